package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A dump is all records at one revision, as a stream: a line that says what it is, then for each key its length, the
// key, the revision that wrote it, the length of the value and the value; a length of 0 ends them, and the revision, the
// number of keys and a SHA-256 of all before it follow. Numbers are varints (encoding/binary).
const dumpMagic = "xlb records 1\n"

// maxValue bounds what is believed of a length in a dump. An engine takes MaxBytes in one change.
const maxValue = MaxBytes

// Dumped says what a dump holds.
type Dumped struct {
	Revision uint64
	Keys     int
}

// ErrDump: what was read is no dump, or not a whole one.
var ErrDump = errors.New("this is no whole dump of records")

// Dump writes all records at one revision to w. Writes go on meanwhile. It takes as long as w does, and keeps what is
// deleted meanwhile on the disk until it has ended.
func (s *Store) Dump(ctx context.Context, w io.Writer) (Dumped, error) {
	return view(ctx, s, func(r Reader) (Dumped, error) { return dump(r, w) })
}

func dump(r Reader, w io.Writer) (Dumped, error) {
	sum := sha256.New()
	buffered := bufio.NewWriter(w)
	out := io.MultiWriter(buffered, sum)
	done := Dumped{Revision: r.Revision()}
	if _, err := io.WriteString(out, dumpMagic); err != nil {
		return Dumped{}, err
	}
	for item, err := range r.Scan("", "", 0) {
		if err != nil {
			return Dumped{}, err
		}
		head := binary.AppendUvarint(nil, uint64(len(item.Key)))
		head = append(head, item.Key...)
		head = binary.AppendUvarint(head, item.Revision)
		head = binary.AppendUvarint(head, uint64(len(item.Value)))
		if _, err := out.Write(append(head, item.Value...)); err != nil {
			return Dumped{}, err
		}
		done.Keys++
	}
	end := binary.AppendUvarint([]byte{0}, done.Revision)
	if _, err := out.Write(binary.AppendUvarint(end, uint64(done.Keys))); err != nil {
		return Dumped{}, err
	}
	_, err := buffered.Write(sum.Sum(nil))
	return done, errors.Join(err, buffered.Flush())
}

// dumpReader reads the items of a dump.
type dumpReader struct {
	in   *bufio.Reader
	sum  hash.Hash
	keys int
}

// ReadDump reads a dump to its end and gives each of its items to keep, which owns them. An error of keep comes
// back as it is; ErrDump when the stream is cut off or is something else, and then nothing that was given counts.
func ReadDump(r io.Reader, keep func(Item) error) (Dumped, error) {
	s := &dumpReader{in: bufio.NewReader(r), sum: sha256.New()}
	magic, err := s.bytes(len(dumpMagic))
	if err != nil || string(magic) != dumpMagic {
		return Dumped{}, fmt.Errorf("%w: it begins otherwise", ErrDump)
	}
	for {
		item, more, err := s.next()
		if err != nil {
			return Dumped{}, fmt.Errorf("%w: after %d records: %w", ErrDump, s.keys, err)
		}
		if !more {
			return s.end()
		}
		s.keys++
		if err := keep(item); err != nil {
			return Dumped{}, err
		}
	}
}

func (s *dumpReader) next() (item Item, more bool, err error) {
	n, err := s.number()
	if err != nil || n == 0 {
		return Item{}, false, err
	}
	key, err := s.bytes(n)
	if err != nil {
		return Item{}, false, err
	}
	revision, err := binary.ReadUvarint(s)
	if err != nil {
		return Item{}, false, err
	}
	if n, err = s.number(); err != nil {
		return Item{}, false, err
	}
	value, err := s.bytes(n)
	return Item{Key: string(key), Value: value, Revision: revision}, true, err
}

func (s *dumpReader) end() (Dumped, error) {
	revision, err := binary.ReadUvarint(s)
	if err != nil {
		return Dumped{}, fmt.Errorf("%w: %w", ErrDump, err)
	}
	keys, err := binary.ReadUvarint(s)
	if err != nil {
		return Dumped{}, fmt.Errorf("%w: %w", ErrDump, err)
	}
	sum := make([]byte, sha256.Size)
	want := s.sum.Sum(nil)
	if _, err := io.ReadFull(s.in, sum); err != nil || string(sum) != string(want) || keys != uint64(s.keys) {
		return Dumped{}, fmt.Errorf("%w: its checksum is another", ErrDump)
	}
	return Dumped{Revision: revision, Keys: s.keys}, nil
}

// number reads a length.
func (s *dumpReader) number() (int, error) {
	n, err := binary.ReadUvarint(s)
	if err == nil && n > maxValue {
		err = fmt.Errorf("a record of %d bytes", n)
	}
	return int(n), err
}

func (s *dumpReader) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, err
	}
	s.sum.Write(b)
	return b, nil
}

// ReadByte implements io.ByteReader, for numbers.
func (s *dumpReader) ReadByte() (byte, error) {
	b, err := s.in.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
	}
	return b, err
}

// loadBatch is how many records are written to the disk together.
const loadBatch = 500

// Load fills an engine that was never written to with a dump: the same keys, values and revisions. When it fails the
// engine is good for nothing but to be thrown away with its directory.
func (b *Badger) Load(ctx context.Context, r io.Reader) (Dumped, error) {
	if err := b.enter(); err != nil {
		return Dumped{}, err
	}
	defer b.leave()
	if revision := b.Revision(); revision != 0 {
		return Dumped{}, fmt.Errorf("%w: the store has %d changes already, and only an empty one can be filled", ErrExists, revision)
	}
	var batch []Item
	done, err := ReadDump(r, func(item Item) error {
		if err := checkKey(item.Key); err != nil {
			return err
		}
		if batch = append(batch, item); len(batch) < loadBatch {
			return ctx.Err()
		}
		err := b.put(batch)
		batch = batch[:0]
		return err
	})
	if err == nil {
		err = b.put(batch)
	}
	if err != nil {
		return Dumped{}, err
	}
	// The revision comes last: without it there is no store.
	now := time.Now()
	if err := b.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(revisionKey), packRevision(done.Revision, now)) }); err != nil {
		return Dumped{}, err
	}
	b.log.jump(done.Revision)
	return done, b.answered.note(done.Revision, now)
}

// put writes records with the revisions that they have.
func (b *Badger) put(batch []Item) error {
	w := b.db.NewWriteBatch()
	defer w.Cancel()
	for _, item := range batch {
		if err := w.Set([]byte(item.Key), pack(item.Revision, item.Value)); err != nil {
			return err
		}
	}
	return w.Flush()
}
