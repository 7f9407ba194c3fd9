package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// How a write gets to the disk.
//
// Update runs fn against a snapshot and remembers what it read. The result, a pending, goes into a
// queue. Whoever gets the turn commits all that is queued as one Badger transaction, so that one
// fsync serves many writers: for each pending, in order, it looks whether what was read still holds,
// gives it the next revision, and adds its writes; after the commit it publishes the changes to the
// watchers and tells the others. One turn at a time makes the order of commits, of revisions and of
// Watch the same.
//
// A pending whose reads no longer hold runs again. After a few such rounds the writer takes the turn
// before it runs fn, and then nothing can come between: so one that keeps losing ends too.

// optimisticTries is how often an Update runs before it takes the turn first.
const optimisticTries = 4

// pending is one Update that waits to be committed.
type pending struct {
	read  map[string]uint64 // key -> revision it was read at, 0 for absent
	write map[string][]byte // nil for deleted
	bytes int               // size of write

	done chan struct{} // closed when rev and err are set
	rev  uint64
	err  error // errStale: run again
}

// errStale says that something a pending read has changed.
var errStale = errors.New("stale read")

// commitQueue is what waits for the turn. The turn itself is a channel of one, so that waiting for it
// can end with a context.
type commitQueue struct {
	turn chan struct{}
	mu   sync.Mutex
	wait []*pending
}

func (q *commitQueue) init() { q.turn = make(chan struct{}, 1) }

func (q *commitQueue) add(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait = append(q.wait, p)
}

// withdraw takes p out again, and reports false when it is too late because p is being committed.
func (q *commitQueue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.wait, p)
	if i < 0 {
		return false
	}
	q.wait = slices.Delete(q.wait, i, i+1)
	return true
}

// What is committed at once stays within one Badger transaction, which takes 15 % of a memtable.
const (
	batchKeys  = 1000
	batchBytes = MaxBytes
)

// take removes from the queue what goes into the next commit together with first, which may be nil.
func (q *commitQueue) take(first *pending) []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	var batch []*pending
	keys := 0
	bytes := 0
	if first != nil {
		batch = append(batch, first)
		keys = len(first.write)
		bytes = first.bytes
	}
	n := 0
	for _, p := range q.wait {
		keys += len(p.write)
		bytes += p.bytes
		if len(batch) > 0 && (keys > batchKeys || bytes > batchBytes) {
			break
		}
		batch = append(batch, p)
		n++
	}
	q.wait = slices.Delete(q.wait, 0, n)
	return batch
}

// Update implements Engine.
func (b *Badger) Update(ctx context.Context, fn func(Txn) error) (uint64, error) {
	if err := b.enter(); err != nil {
		return 0, err
	}
	defer b.leave()
	for range optimisticTries {
		p, err := b.run(ctx, fn)
		if err != nil || len(p.write) == 0 {
			return p.rev, err
		}
		if err := b.enqueue(ctx, p); !errors.Is(err, errStale) {
			return p.rev, err
		}
	}
	return b.updateAlone(ctx, fn)
}

// updateAlone runs fn while nobody else can commit.
func (b *Badger) updateAlone(ctx context.Context, fn func(Txn) error) (uint64, error) {
	select {
	case b.queue.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrConflict, ctx.Err())
	}
	defer func() { <-b.queue.turn }()
	p, err := b.run(ctx, fn)
	if err != nil || len(p.write) == 0 {
		return p.rev, err
	}
	b.commit(b.queue.take(p))
	if errors.Is(p.err, errStale) {
		return 0, ErrConflict // cannot be: nobody else commits
	}
	return p.rev, p.err
}

// run calls fn once on a snapshot. When it writes nothing, rev is the snapshot's.
func (b *Badger) run(ctx context.Context, fn func(Txn) error) (p *pending, err error) {
	defer b.asFailure(&err)
	p = &pending{read: map[string]uint64{}, write: map[string][]byte{}, done: make(chan struct{})}
	if err := ctx.Err(); err != nil {
		return p, err
	}
	txn := b.db.NewTransaction(false)
	defer txn.Discard()
	rev, err := revisionOf(txn)
	if err != nil {
		return p, fmt.Errorf("read the revision: %w", err)
	}
	tx := &badgerTxn{ctx: ctx, txn: txn, pending: p}
	if err := fn(tx); err != nil {
		return p, err
	}
	if tx.err != nil {
		return p, tx.err
	}
	if len(p.write) == 0 {
		p.rev = rev
		return p, nil
	}
	err = b.writable(isUrgent(ctx))
	b.noteRefused(err)
	return p, err
}

// enqueue hands p to whoever commits next, perhaps this caller, and waits for the result.
func (b *Badger) enqueue(ctx context.Context, p *pending) error {
	b.queue.add(p)
	select {
	case <-p.done:
	case b.queue.turn <- struct{}{}:
		b.lead(p)
	case <-ctx.Done():
		if b.queue.withdraw(p) {
			return ctx.Err()
		}
	}
	<-p.done
	return p.err
}

// lead commits until p is done, and gives the turn back. Another may have committed p before the turn
// came; then there is nothing to do, and those behind it wait for the turn themselves.
func (b *Badger) lead(p *pending) {
	defer func() { <-b.queue.turn }()
	for {
		select {
		case <-p.done:
			return
		default:
			b.commit(b.queue.take(nil))
		}
	}
}

// commit writes a batch as one Badger transaction. The caller has the turn.
func (b *Badger) commit(batch []*pending) {
	changes, revision, err := b.write(batch)
	if err == nil && len(changes) > 0 {
		b.log.publish(changes, revision)
	}
	for _, p := range batch {
		if err != nil {
			p.rev = 0
			p.err = err
		}
		close(p.done)
	}
	for _, c := range changes {
		b.written += weight(c)
	}
	if b.written >= memTable {
		b.written = 0
		b.compact()
	}
}

// write sets rev and err of everything in the batch and returns the changes in order, with the newest
// revision. An error is for all of them.
func (b *Badger) write(batch []*pending) ([]Change, uint64, error) {
	if err := b.failure(); err != nil {
		return nil, 0, err
	}
	txn := b.db.NewTransaction(true)
	defer txn.Discard()
	before, err := revisionOf(txn)
	if err != nil {
		return nil, 0, fmt.Errorf("read the revision: %w", err)
	}
	revision := before
	var changes []Change
	for _, p := range batch {
		made, err := p.apply(txn, revision+1)
		if errors.Is(err, errStale) {
			p.err = err
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if len(made) > 0 {
			revision++
		}
		p.rev = revision
		changes = append(changes, made...)
	}
	if revision == before {
		return nil, before, nil
	}
	now := time.Now()
	if err := txn.Set([]byte(revisionKey), packRevision(revision, now)); err != nil {
		return nil, 0, fmt.Errorf("write the revision: %w", err)
	}
	if err := txn.Commit(); err != nil {
		return nil, 0, b.fail(err)
	}
	if err := b.answered.note(revision, now); err != nil {
		return nil, 0, b.fail(err)
	}
	return changes, revision, nil
}

// apply adds the writes to txn with a revision, in the order of the keys, unless something that was
// read has changed. It returns what really changes: to delete what is not there is nothing.
func (p *pending) apply(txn *badger.Txn, revision uint64) ([]Change, error) {
	for key, seen := range p.read {
		_, now, err := lookup(txn, key)
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		if now != seen {
			return nil, errStale
		}
	}
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(p.write)) {
		change, changed, err := applyKey(txn, key, p.write[key], revision)
		if err != nil {
			return nil, fmt.Errorf("write %q: %w", key, err)
		}
		if changed {
			changes = append(changes, change)
		}
	}
	if n := len(changes); n > 0 {
		changes[n-1].Last = true
	}
	return changes, nil
}

func applyKey(txn *badger.Txn, key string, value []byte, revision uint64) (Change, bool, error) {
	if value != nil {
		err := txn.Set([]byte(key), pack(revision, value))
		return Change{Revision: revision, Key: key, Value: value}, true, err
	}
	if _, _, err := lookup(txn, key); err != nil {
		if isNotFound(err) {
			err = nil
		}
		return Change{}, false, err
	}
	return Change{Revision: revision, Key: key, Deleted: true}, true, txn.Delete([]byte(key))
}

// badgerTxn collects what fn reads and writes.
type badgerTxn struct {
	ctx     context.Context
	txn     *badger.Txn
	pending *pending
	err     error // first misuse, reported when fn has returned
}

func (t *badgerTxn) Get(key string) ([]byte, uint64, error) {
	if value, written := t.pending.write[key]; written {
		if value == nil {
			return nil, 0, ErrNotFound
		}
		return bytes.Clone(value), 0, nil
	}
	if err := t.ctx.Err(); err != nil {
		return nil, 0, err
	}
	value, rev, err := lookup(t.txn, key)
	if err == nil || isNotFound(err) {
		t.pending.read[key] = rev
		if len(t.pending.read) > MaxReads && t.err == nil {
			t.err = fmt.Errorf("%w: at most %d keys are read", ErrTooLarge, MaxReads)
		}
	}
	return value, rev, err
}

func (t *badgerTxn) Set(key string, value []byte) {
	t.put(key, append([]byte{}, value...)) // never nil
}

func (t *badgerTxn) Delete(key string) { t.put(key, nil) }

func (t *badgerTxn) put(key string, value []byte) {
	p := t.pending
	if err := checkKey(key); err != nil && t.err == nil {
		t.err = err
	}
	if old, written := p.write[key]; written {
		p.bytes -= len(key) + len(old)
	}
	p.write[key] = value
	p.bytes += len(key) + len(value)
	if (len(p.write) > MaxKeys || p.bytes > MaxBytes) && t.err == nil {
		t.err = fmt.Errorf("%w: at most %d keys and %d bytes", ErrTooLarge, MaxKeys, MaxBytes)
	}
}
