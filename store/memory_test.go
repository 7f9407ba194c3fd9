package store

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// memory is a second engine, by which the contract is held to what Engine says and not to what Badger does. Its revisions
// begin high and leave gaps, as those of a cluster do that others use too.
type memory struct {
	log    *changeLog
	state  atomic.Pointer[memoryState]
	turn   chan struct{}
	inside sync.RWMutex // held for reading by calls that go on
	closed bool
}

// memoryState is all there is at one revision. It is not changed.
type memoryState struct {
	revision uint64
	items    map[string]Item
}

const (
	memoryFirst = 1000 // revision
	memoryStep  = 7
)

func newMemory(watchLog int) *memory {
	cfg := BadgerConfig{WatchLog: watchLog}.withDefaults()
	m := &memory{log: newChangeLog(memoryFirst, cfg.WatchLog, watchLogBytes), turn: make(chan struct{}, 1)}
	m.state.Store(&memoryState{revision: memoryFirst, items: map[string]Item{}})
	return m
}

func (m *memory) Revision() uint64 { return m.state.Load().revision }

func (m *memory) Watch(prefix string, from uint64) *Watcher { return m.log.watch(prefix, from) }

func (m *memory) Close() error {
	m.inside.Lock()
	defer m.inside.Unlock()
	m.closed = true
	m.log.close()
	return nil
}

// enter begins a call; what it returns ends it.
func (m *memory) enter(ctx context.Context) (leave func(), err error) {
	m.inside.RLock()
	if err = ctx.Err(); err == nil && m.closed {
		err = ErrClosed
	}
	if err != nil {
		m.inside.RUnlock()
		return nil, err
	}
	return m.inside.RUnlock, nil
}

func (m *memory) View(ctx context.Context, fn func(Reader) error) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return fn(memoryReader{ctx, m.state.Load()})
}

func (m *memory) Update(ctx context.Context, fn func(Txn) error) (uint64, error) {
	leave, err := m.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	for range optimisticTries {
		tx, err := m.run(ctx, fn)
		if err != nil {
			return 0, err
		}
		if len(tx.write) == 0 {
			return tx.state.revision, nil
		}
		if err := m.take(ctx); err != nil {
			return 0, err
		}
		rev, fresh := m.commit(tx)
		<-m.turn
		if fresh {
			return rev, nil
		}
	}
	if err := m.take(ctx); err != nil {
		return 0, err
	}
	defer func() { <-m.turn }()
	tx, err := m.run(ctx, fn)
	if err != nil {
		return 0, err
	}
	if len(tx.write) == 0 {
		return tx.state.revision, nil
	}
	rev, _ := m.commit(tx)
	return rev, nil
}

func (m *memory) take(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) run(ctx context.Context, fn func(Txn) error) (*memoryTxn, error) {
	tx := &memoryTxn{memoryReader: memoryReader{ctx, m.state.Load()}, read: map[string]uint64{}, write: map[string][]byte{}}
	if err := ctx.Err(); err != nil {
		return tx, err
	}
	if err := fn(tx); err != nil {
		return tx, err
	}
	return tx, tx.err
}

// commit makes the next state, unless something that was read has changed. The caller has the turn.
func (m *memory) commit(tx *memoryTxn) (rev uint64, fresh bool) {
	now := m.state.Load()
	for key, seen := range tx.read {
		if now.items[key].Revision != seen {
			return 0, false
		}
	}
	next := &memoryState{revision: now.revision + memoryStep, items: maps.Clone(now.items)}
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(tx.write)) {
		value := tx.write[key]
		_, there := next.items[key]
		switch {
		case value != nil:
			next.items[key] = Item{Key: key, Value: value, Revision: next.revision}
		case there:
			delete(next.items, key)
		default:
			continue
		}
		changes = append(changes, Change{Revision: next.revision, Key: key, Value: value, Deleted: value == nil})
	}
	if len(changes) == 0 {
		return now.revision, true
	}
	changes[len(changes)-1].Last = true
	m.state.Store(next)
	m.log.publish(changes, next.revision)
	return next.revision, true
}

type memoryReader struct {
	ctx   context.Context
	state *memoryState
}

func (r memoryReader) Revision() uint64 { return r.state.revision }

func (r memoryReader) Get(key string) ([]byte, uint64, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, 0, err
	}
	item, there := r.state.items[key]
	if !there {
		return nil, 0, ErrNotFound
	}
	return bytes.Clone(item.Value), item.Revision, nil
}

func (r memoryReader) Scan(prefix, after string, limit int) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		seen := 0
		for _, key := range slices.Sorted(maps.Keys(r.state.items)) {
			if !strings.HasPrefix(key, prefix) || after != "" && key <= after {
				continue
			}
			value, rev, err := r.Get(key)
			if !yield(Item{key, value, rev}, err) || err != nil {
				return
			}
			if seen++; seen == limit {
				return
			}
		}
	}
}

type memoryTxn struct {
	memoryReader
	read  map[string]uint64
	write map[string][]byte // nil to delete
	err   error
}

func (t *memoryTxn) Get(key string) ([]byte, uint64, error) {
	if value, written := t.write[key]; written {
		if value == nil {
			return nil, 0, ErrNotFound
		}
		return bytes.Clone(value), 0, nil
	}
	value, rev, err := t.memoryReader.Get(key)
	if err == nil || isNotFound(err) {
		t.read[key] = rev
		t.misuse(len(t.read) > MaxReads, fmt.Errorf("%w: too many reads", ErrTooLarge))
	}
	return value, rev, err
}

func (t *memoryTxn) Set(key string, value []byte) { t.put(key, append([]byte{}, value...)) }
func (t *memoryTxn) Delete(key string)            { t.put(key, nil) }

func (t *memoryTxn) put(key string, value []byte) {
	err := checkKey(key)
	t.misuse(err != nil, err)
	t.write[key] = value
	size := 0
	for k, v := range t.write {
		size += len(k) + len(v)
	}
	t.misuse(len(t.write) > MaxKeys || size > MaxBytes, fmt.Errorf("%w: too much is written", ErrTooLarge))
}

func (t *memoryTxn) misuse(is bool, err error) {
	if is && t.err == nil {
		t.err = err
	}
}
