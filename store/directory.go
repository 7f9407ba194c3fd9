package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
)

// prepareDir makes the directory, or makes sure that this user can work in it. Badger ends the process
// when it meets some of these, so they are found before.
func prepareDir(dir string, log func(string)) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return dirError(dir, err)
	}
	if info, err := os.Stat(dir); err != nil {
		return dirError(dir, err)
	} else if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			log(fmt.Sprintf("%s can be entered by other users of this machine: %v", dir, err))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return dirError(dir, err)
	}
	for _, entry := range entries {
		if err := tryFile(filepath.Join(dir, entry.Name()), entry); err != nil {
			return dirError(dir, err)
		}
	}
	return tryWrite(dir)
}

// tryFile makes sure that a file of Badger's can be read and written.
func tryFile(path string, entry fs.DirEntry) error {
	if !entry.Type().IsRegular() {
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the process that has it open removed it
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// tryWrite makes sure that a file can be made in dir.
func tryWrite(dir string) error {
	file, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return dirError(dir, err)
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// dirError says what is wrong with the directory and what to do.
func dirError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w in %s: make room on that disk and start again: %w", ErrNoSpace, dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w; give %s and the files in it to the user that runs xlb (user id %d)", ErrUnreadable, err, dir, os.Getuid())
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %s is on a read-only disk: %w", ErrUnreadable, dir, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s is not a directory: %w", ErrUnreadable, dir, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreadable, dir, err)
}

// tightenFiles takes the files away from others. Badger makes some by the umask; those that it makes
// later are behind the directory's mode.
func tightenFiles(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			_ = os.Chmod(filepath.Join(dir, entry.Name()), 0o600)
		}
	}
}

// openDB opens Badger and puts its errors, and its panics over damaged files, into words.
func openDB(dir string, cfg BadgerConfig) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, unreadable(dir, fmt.Errorf("%v", r))
		}
	}()
	db, err = badger.Open(badgerOptions(dir, cfg))
	if err == nil {
		return db, nil
	}
	// Badger keeps no error values behind these texts.
	if strings.Contains(err.Error(), "Cannot acquire directory lock") {
		return nil, fmt.Errorf("%w: another xlb%s uses %s; stop it, or give this one a data directory of its own", ErrLocked, lockOwner(dir), dir)
	}
	if strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return nil, dirError(dir, fmt.Errorf("%w: %w", syscall.ENOSPC, err))
	}
	return nil, unreadable(dir, err)
}

// lockOwner is " (process 123)" when the owner of the lock left its number.
func lockOwner(dir string) string {
	pid, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	if owner := strings.TrimSpace(string(pid)); err == nil && owner != "" && len(owner) < 12 {
		return " (process " + owner + ")"
	}
	return ""
}

// unreadable is for what is in the directory.
func unreadable(dir string, err error) error {
	return fmt.Errorf("%w: what is in %s is damaged or was not written by xlb; move it away and restore a copy, or start with an empty directory: %w",
		ErrUnreadable, dir, err)
}
