package store

import (
	"context"
	"iter"
)

// What one Update may do. Any engine can hold to these, etcd with its own limits too: it compares and writes 128 keys at most.
const (
	MaxReads = 120     // distinct keys that are read
	MaxKeys  = 100     // distinct keys that are written
	MaxBytes = 1 << 20 // sum of all keys and values that are written
)

// Engine is a key-value store with revisions. Keys are strings, ordered by their bytes and not empty;
// values are bytes. All methods may be called at the same time from many goroutines.
type Engine interface {
	// View calls fn with a reader of one revision: nothing that is written meanwhile shows in it.
	// The reader is good until fn returns. View returns fn's error as it is.
	View(ctx context.Context, fn func(Reader) error) error

	// Update calls fn, and writes what fn set and deleted if nothing that fn read has changed since.
	// Otherwise it calls fn again, so fn must have no other effect than on tx and on variables it
	// sets afresh each time. fn must not block and must not call Update. When fn returns an error
	// nothing is written and the error comes back as it is.
	//
	// rev is the revision of the change, and greater than all before it. It is durable when Update returns. When nothing was
	// written, rev is the revision that fn read at; with an error it is 0. After ctx has ended Update gives up, unless writing has
	// begun: then it waits for the result, so an error means that the change was not made (with one
	// exception: a disk that fails while writing).
	//
	// Errors: ErrConflict when it was repeated too often, ErrTooLarge, ErrReadOnly, ErrClosed.
	Update(ctx context.Context, fn func(tx Txn) error) (rev uint64, err error)

	// Watch returns a watcher of all changes to keys with the prefix ("" for all) and with a revision
	// above from, also those made before the call. It never fails here; Next tells. The caller must
	// Stop it.
	Watch(prefix string, from uint64) *Watcher

	// Close ends all watchers, waits for calls that are going on, and gives the files back.
	// A second Close does nothing.
	Close() error
}

// Reader reads one revision of an engine.
type Reader interface {
	// Get returns a key's value and the revision that wrote it, or ErrNotFound. The caller owns value.
	Get(key string) (value []byte, rev uint64, err error)

	// Scan yields the keys with the prefix that come after the key `after` ("" for all), in order, at
	// most limit of them (0 for all). It ends early with the error in the second value, which is
	// otherwise nil.
	Scan(prefix, after string, limit int) iter.Seq2[Item, error]

	// Revision is the revision that is read: every change up to it shows and none after it.
	Revision() uint64
}

// Item is one key in a scan. The caller owns Value.
type Item struct {
	Key      string
	Value    []byte
	Revision uint64 // that wrote it
}

// Txn is one transaction. It reads its own writes. There are no scans in it, so that every engine can
// tell whether what was read still holds. It is good until fn returns, and for one goroutine.
type Txn interface {
	// Get returns a key's value and the revision that wrote it (0 when this transaction did), or
	// ErrNotFound. The caller owns value. Going over MaxReads makes Update fail with ErrTooLarge after fn
	// returned.
	Get(key string) (value []byte, rev uint64, err error)

	// Set writes a key. The transaction keeps a copy of value. Going over MaxKeys or MaxBytes makes
	// Update fail with ErrTooLarge after fn returned.
	Set(key string, value []byte)

	// Delete removes a key. To delete a key that is not there is no change.
	Delete(key string)
}

// Change is one key of one revision.
type Change struct {
	Revision uint64
	Key      string
	Value    []byte // nil when Deleted; the caller owns it
	Deleted  bool

	// Last is set on the last change of its revision. With a prefix, it is set on a change that the
	// watcher sees only if it was the last of all.
	Last bool

	// Resync means that changes were missed: the watcher fell behind, or began at a revision that is
	// no longer remembered. Read everything again in a View; changes after Revision follow, and some
	// of them may be in that View already. Nothing but Revision is set.
	Resync bool
}
