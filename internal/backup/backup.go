// Package backup is the form of a backup of a server: a tar archive that says what it is, then has the records of the
// store, and last the files beside it. It is not encrypted; who writes one to a disk does that.
//
//	backup.json     Head
//	records/000001  the records, as the store dumps them, in parts of a megabyte
//	...
//	cacert.pem      the authority that certificates were issued by
//	cakey.pem       its key
//	master.key      the key that seals secrets in the records
//
// The records come first, because how many they are is known when they have been read; the files come last, so that what
// was cut off has none.
package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Format is the version of the form.
const Format = 1

// The files beside the records.
const (
	AuthorityName    = "cacert.pem"
	AuthorityKeyName = "cakey.pem"
	MasterKeyName    = "master.key"
)

const (
	headName   = "backup.json"
	recordsDir = "records/"
	partSize   = 1 << 20
	maxFile    = 1 << 20 // of a file beside the records
)

// Head is what a backup says about itself.
type Head struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the xlb that made it
	At      time.Time `json:"at"`
}

// File is one beside the records.
type File struct {
	Name string
	Data []byte
}

// ErrDamaged: what was read is no backup, or not a whole one.
var ErrDamaged = errors.New("this is no whole backup")

// Write writes a backup to w. dump writes the records to the writer that it gets.
func Write(w io.Writer, head Head, files []File, dump func(io.Writer) error) error {
	archive := tar.NewWriter(w)
	head.Format = Format
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	if err := put(archive, headName, append(text, '\n'), head.At); err != nil {
		return err
	}
	parts := &partWriter{archive: archive, at: head.At}
	if err := errors.Join(dump(parts), parts.flush()); err != nil {
		return err
	}
	for _, f := range files {
		if err := put(archive, f.Name, f.Data, head.At); err != nil {
			return err
		}
	}
	return archive.Close()
}

func put(archive *tar.Writer, name string, data []byte, at time.Time) error {
	err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX})
	if err != nil {
		return err
	}
	_, err = archive.Write(data)
	return err
}

// partWriter makes an entry of each megabyte: an archive has to know the size of an entry before it.
type partWriter struct {
	archive *tar.Writer
	at      time.Time
	buffer  []byte
	parts   int
}

func (p *partWriter) Write(data []byte) (int, error) {
	written := 0
	for len(data) > 0 {
		n := min(len(data), partSize-len(p.buffer))
		p.buffer = append(p.buffer, data[:n]...)
		data = data[n:]
		if len(p.buffer) == partSize {
			if err := p.flush(); err != nil {
				return written, err
			}
		}
		written += n
	}
	return written, nil
}

func (p *partWriter) flush() error {
	if len(p.buffer) == 0 {
		return nil
	}
	p.parts++
	err := put(p.archive, fmt.Sprintf("%s%06d", recordsDir, p.parts), p.buffer, p.at)
	p.buffer = p.buffer[:0]
	return err
}

// Read reads a backup to its end. load gets the records, and has to read them to their end. The files that come back are
// good only when there is no error.
func Read(r io.Reader, load func(Head, io.Reader) error) (Head, []File, error) {
	archive := tar.NewReader(r)
	entry, err := archive.Next()
	if err != nil || entry.Name != headName {
		return Head{}, nil, fmt.Errorf("%w: it begins otherwise", ErrDamaged)
	}
	var head Head
	if err := json.NewDecoder(io.LimitReader(archive, maxFile)).Decode(&head); err != nil {
		return Head{}, nil, fmt.Errorf("%w: %s: %w", ErrDamaged, headName, err)
	}
	if head.Format != Format {
		return head, nil, fmt.Errorf("this backup was made by xlb %s in form %d, and this one knows form %d", head.Version, head.Format, Format)
	}
	parts := &partReader{archive: archive}
	if err := load(head, parts); err != nil {
		return head, nil, err
	}
	if parts.next == nil {
		if _, err := parts.Read(make([]byte, 1)); err != io.EOF {
			return head, nil, fmt.Errorf("%w: there is more than the records", ErrDamaged)
		}
	}
	files, err := readFiles(archive, parts.next)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // to the end: what is around the archive may tell only there that it was cut off
	}
	return head, files, err
}

// partReader puts the parts of the records together again. It ends at the entry that is none, which it keeps.
type partReader struct {
	archive *tar.Reader
	inside  bool        // of a part
	next    *tar.Header // the entry after the records
	parts   int
}

func (p *partReader) Read(b []byte) (int, error) {
	for {
		if p.next != nil {
			return 0, io.EOF
		}
		if p.inside {
			n, err := p.archive.Read(b)
			if err == io.EOF {
				p.inside = false
				err = nil
			}
			if n > 0 || err != nil {
				return n, err
			}
		}
		entry, err := p.archive.Next()
		if err == io.EOF { // no files after them: it was cut off
			return 0, io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if !strings.HasPrefix(entry.Name, recordsDir) {
			p.next = entry
			continue
		}
		if p.parts++; entry.Name != fmt.Sprintf("%s%06d", recordsDir, p.parts) {
			return 0, fmt.Errorf("%w: %s is out of order", ErrDamaged, entry.Name)
		}
		p.inside = true
	}
}

// readFiles reads the entries from one on.
func readFiles(archive *tar.Reader, entry *tar.Header) (files []File, err error) {
	for err == nil {
		if entry.Size > maxFile {
			return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, entry.Name, entry.Size)
		}
		data, readErr := io.ReadAll(archive)
		if readErr != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, entry.Name, readErr)
		}
		files = append(files, File{entry.Name, data})
		entry, err = archive.Next()
	}
	if err != io.EOF {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return files, nil
}
