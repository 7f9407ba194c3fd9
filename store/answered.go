package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Badger reads its write log up to the first record that is not whole, and forgets what is behind it: after
// a kill that is the write that was going on. But a bit that flipped in the middle, or a log that is gone,
// looks the same to it, and what was lost may be revocations. So two things are looked at. Records behind a
// broken one are damage, and Badger does not get to see the log. And a counter beside the database says up
// to which revision changes were answered; a database that has less has lost something.

// answeredFile holds the newest revision that was answered, and when: 8 bytes each, then a checksum. It is
// written without waiting for the disk, so after a power cut it may be a little behind, never ahead.
const (
	answeredFile = "answered"
	answeredSize = 20
)

// answered is the counter of what was answered.
type answered struct {
	file     *os.File
	revision uint64    // as found when it was opened
	at       time.Time // of it
}

// openAnswered opens the counter, or makes it at the first start.
func openAnswered(dir string) (*answered, error) {
	file, err := os.OpenFile(filepath.Join(dir, answeredFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	a := &answered{file: file}
	var record [answeredSize]byte
	if n, _ := file.ReadAt(record[:], 0); n == answeredSize && binary.BigEndian.Uint32(record[16:]) == crc32.ChecksumIEEE(record[:16]) {
		a.revision = binary.BigEndian.Uint64(record[:])
		a.at = time.Unix(0, int64(binary.BigEndian.Uint64(record[8:])))
	}
	return a, nil
}

// note says that everything up to the revision was made durable.
func (a *answered) note(revision uint64, at time.Time) error {
	record := binary.BigEndian.AppendUint64(make([]byte, 0, answeredSize), revision)
	record = binary.BigEndian.AppendUint64(record, uint64(at.UnixNano()))
	record = binary.BigEndian.AppendUint32(record, crc32.ChecksumIEEE(record))
	_, err := a.file.WriteAt(record, 0)
	return err
}

// ErrLoss: changes that were answered are not in the store any more. See BadgerConfig.AcceptLoss.
var ErrLoss = errors.New("the store has lost changes")

// checkLoss compares what is there with what was answered.
func (b *Badger) checkLoss(revision uint64, at time.Time) error {
	if revision >= b.answered.revision {
		return nil
	}
	err := fmt.Errorf("%w: %s ends at change %d of %s, and changes up to %d were answered, the last one at %s",
		ErrLoss, b.dir, revision, stampOf(at), b.answered.revision, stampOf(b.answered.at))
	return b.lossOr(err, at)
}

// lossOr returns the loss with what to do about it, unless it was accepted.
func (b *Badger) lossOr(err error, since time.Time) error {
	if !b.cfg.AcceptLoss {
		return fmt.Errorf("%w. Restore the data directory from a backup that is newer, or start once with -accept-loss to go on without them", err)
	}
	b.tell(LogError, fmt.Sprintf("%v. It was accepted: what was revoked or changed since %s may be undone. "+
		"Revoke what was issued before with DELETE /api/v1/client/frontend/{uuid}/certificates?issuedBefore=, and look at what has changed", err, stampOf(since)))
	return nil
}

func stampOf(at time.Time) string {
	if at.IsZero() {
		return "a time that is not known"
	}
	return at.UTC().Format(time.RFC3339)
}

// checkLogs looks for damage in the write logs of a process that did not close the store.
func (b *Badger) checkLogs() error {
	logs, err := filepath.Glob(filepath.Join(escapeGlob(b.dir), "*.mem"))
	if err != nil {
		return damaged(b.dir, err)
	}
	for _, path := range logs {
		behind, err := commitsBehindDamage(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return dirError(b.dir, err)
		}
		// One may be the write that was going on: the disk is free to keep the end of it and not the start.
		if behind > 1 {
			err := fmt.Errorf("%w: %s is damaged, and %d changes are behind the damage", ErrLoss, path, behind)
			if err := b.lossOr(err, b.answered.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// What Badger's write log looks like: a header, then records of two flag bytes, the lengths of key and value
// and an expiry as varints, key, value, and a checksum of all that. Each commit ends with a record of this key.
const (
	logHeader    = 20
	commitKey    = "!badger!txn"
	commitKeyLen = len(commitKey) + 8 // and a timestamp
	commitHeader = 5                  // all of its varints are short
)

// commitsBehindDamage counts the whole commit records behind the first record that is not whole.
func commitsBehindDamage(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil || len(data) < logHeader {
		return 0, err
	}
	at := logHeader
	for {
		n := logRecord(data[at:])
		if n == 0 {
			break
		}
		at += n
	}
	count := 0
	for rest := data[at:]; ; {
		i := bytes.Index(rest, []byte(commitKey))
		if i < 0 {
			return count, nil
		}
		if i >= commitHeader && rest[i-3] == byte(commitKeyLen) && logRecord(rest[i-commitHeader:]) > 0 {
			count++
		}
		rest = rest[i+1:]
	}
}

// logRecord returns the length of the whole record at the start of data, 0 when there is none.
func logRecord(data []byte) int {
	at := 2
	var lengths [3]uint64
	for i := range lengths {
		if at >= len(data) {
			return 0
		}
		value, n := binary.Uvarint(data[at:])
		if n <= 0 {
			return 0
		}
		lengths[i] = value
		at += n
	}
	if lengths[0] == 0 || lengths[0] > 1<<16 || lengths[1] > uint64(len(data)) {
		return 0
	}
	end := at + int(lengths[0]) + int(lengths[1])
	if end+crc32.Size > len(data) {
		return 0
	}
	if binary.BigEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)) {
		return 0
	}
	return end + crc32.Size
}
