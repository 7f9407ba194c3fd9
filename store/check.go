package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// Badger trusts its files: over a table that was cut off it ends the process, and with a MANIFEST that
// was cut off or lost it silently removes the tables that are no longer named in it. So they are looked
// at before Badger sees them. Close leaves a seal, the names and sizes of all files; when there is one,
// everything must be as it says. After a kill there is none, and only what Badger could not have left
// behind is an error.

// sealFile is what Close leaves and open takes away.
const sealFile = "closed.json"

// seal is what was there when the store was closed.
type seal struct {
	Revision uint64           `json:"revision"`
	Files    map[string]int64 `json:"files"` // name -> size
}

// checkFiles looks at the files before Badger does. The caller has the lock.
func checkFiles(dir string) (seal, error) {
	s, err := readSeal(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return seal{}, checkUnsealed(dir)
	case err != nil:
		return seal{}, damaged(dir, err)
	}
	for name, size := range s.Files {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return seal{}, damaged(dir, err)
		}
		if info.Size() != size {
			return seal{}, damaged(dir, fmt.Errorf("%s had %d bytes when the store was closed and has %d now", name, size, info.Size()))
		}
	}
	return s, nil
}

func readSeal(dir string) (seal, error) {
	data, err := os.ReadFile(filepath.Join(dir, sealFile))
	if err != nil {
		return seal{}, err
	}
	var s seal
	if err := json.Unmarshal(data, &s); err != nil {
		return seal{}, fmt.Errorf("%s: %w", sealFile, err)
	}
	return s, nil
}

// breakSeal takes the seal away before anything is changed: one that came back after a power cut would
// call a good store damaged.
func breakSeal(dir string) error {
	err := os.Remove(filepath.Join(dir, sealFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(dir))
}

// writeSeal notes what there is, after Badger has closed its files.
func writeSeal(dir string, revision uint64) error {
	s := seal{Revision: revision, Files: map[string]int64{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && entry.Name() != lockFile && entry.Name() != nextFile {
			s.Files[entry.Name()] = info.Size()
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(dir, sealFile, data)
}

// writeFile makes a file that is there whole or not at all.
func writeFile(dir, name string, data []byte) error {
	file, err := os.CreateTemp(dir, name+"-*")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncDir(dir)
}

// checkUnsealed looks at what a killed process left. A table that the MANIFEST does not name was never
// finished: its data is still in the logs, and Badger removes it.
func checkUnsealed(dir string) error {
	manifest, err := os.Open(filepath.Join(dir, "MANIFEST"))
	if err != nil {
		tables, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*.sst"))
		if errors.Is(err, fs.ErrNotExist) && len(tables) == 0 {
			return dropStillborn(dir)
		}
		return damaged(dir, err)
	}
	defer manifest.Close()
	named, _, err := badger.ReplayManifestFile(manifest, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return damaged(dir, err)
	}
	for id := range named.Tables {
		if err := checkTable(table.NewFilename(id, dir)); err != nil {
			return damaged(dir, err)
		}
	}
	return dropStillborn(dir)
}

// escapeGlob lets a directory's name stand for itself in a pattern.
func escapeGlob(dir string) string {
	var escaped []byte
	for _, c := range []byte(dir) {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, c)
	}
	return string(escaped)
}

// dropStillborn removes log files without a byte in them: the process was killed between making the
// file and giving it its size, before it wrote anything there. Badger would refuse to open.
func dropStillborn(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		logs, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			return damaged(dir, err)
		}
		for _, path := range logs {
			info, err := os.Stat(path)
			if err == nil && info.Size() == 0 {
				err = os.Remove(path)
			}
			if err != nil {
				return dirError(dir, err)
			}
		}
	}
	return nil
}

// maxTableChecksum is far above what the checksum record at the end of a table takes.
const maxTableChecksum = 64

// checkTable makes sure that the end of a table is where the file ends: index, its length, checksum,
// its length; lengths are four bytes big-endian. Without that Badger reads beyond the file. Whether the
// checksum is right Badger finds out itself, and says so.
func checkTable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	for _, most := range []int64{maxTableChecksum, end} {
		var length [4]byte
		if end -= 4; end < 0 {
			return fmt.Errorf("%s is cut off", path)
		}
		if _, err := file.ReadAt(length[:], end); err != nil {
			return err
		}
		n := int64(binary.BigEndian.Uint32(length[:]))
		if n == 0 || n > most || n > end {
			return fmt.Errorf("%s does not end as a table does", path)
		}
		end -= n
	}
	return nil
}
