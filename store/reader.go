package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"
)

// A value on the disk is the revision that wrote it, eight bytes big-endian, and then the value.
const revisionBytes = 8

func pack(revision uint64, value []byte) []byte {
	packed := make([]byte, revisionBytes, revisionBytes+len(value))
	binary.BigEndian.PutUint64(packed, revision)
	return append(packed, value...)
}

// unpack copies an item's value out of the mapped file.
func unpack(item *badger.Item) (value []byte, revision uint64, err error) {
	err = item.Value(func(packed []byte) error {
		if len(packed) < revisionBytes {
			return fmt.Errorf("%w: key %q has a value of %d bytes", ErrUnreadable, item.Key(), len(packed))
		}
		revision = binary.BigEndian.Uint64(packed)
		value = bytes.Clone(packed[revisionBytes:])
		return nil
	})
	return value, revision, err
}

// lookup reads one key. Keys that Badger cannot have, such as an empty one, are not there.
func lookup(txn *badger.Txn, key string) (value []byte, revision uint64, err error) {
	item, err := txn.Get([]byte(key))
	if errors.Is(err, badger.ErrKeyNotFound) || errors.Is(err, badger.ErrEmptyKey) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read %q: %w", key, err)
	}
	return unpack(item)
}

type badgerReader struct {
	ctx      context.Context
	txn      *badger.Txn
	revision uint64
}

func (r *badgerReader) Revision() uint64 { return r.revision }

func (r *badgerReader) Get(key string) ([]byte, uint64, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, 0, err
	}
	return lookup(r.txn, key)
}

func (r *badgerReader) Scan(prefix, after string, limit int) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = []byte(prefix)
		opt.PrefetchSize = 16 // a page of a list, not a hundred
		it := r.txn.NewIterator(opt)
		defer it.Close()
		seen := 0
		for it.Seek([]byte(max(prefix, after))); it.Valid(); it.Next() {
			key := string(it.Item().Key())
			if key == revisionKey || after != "" && key <= after {
				continue
			}
			value, revision, err := r.read(it.Item())
			if !yield(Item{Key: key, Value: value, Revision: revision}, err) || err != nil {
				return
			}
			if seen++; seen == limit {
				return
			}
		}
	}
}

func (r *badgerReader) read(item *badger.Item) ([]byte, uint64, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, 0, err
	}
	return unpack(item)
}
