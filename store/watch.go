package store

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
)

// Watcher delivers changes in order. It keeps no buffer of its own: it is a position in the engine's
// log of recent changes, so a slow or forgotten one holds nothing back and costs no memory.
// Next must be called by one goroutine at a time; Stop by any.
type Watcher struct {
	log    *changeLog
	prefix string
	from   uint64 // changes up to here are skipped
	next   uint64 // number of the next change to look at
	resync bool   // say so first

	stop    chan struct{}
	stopped sync.Once
}

// Next waits for the next change. It returns ctx's error when ctx ends first, and ErrClosed after Stop
// or when the engine is closed; what was committed before that may not have been delivered.
func (w *Watcher) Next(ctx context.Context) (Change, error) {
	for {
		if err := w.ended(ctx); err != nil {
			return Change{}, err
		}
		change, found, more, err := w.log.after(w)
		if found || err != nil {
			return change, err
		}
		select {
		case <-more:
		case <-w.stop:
		case <-ctx.Done():
		}
	}
}

func (w *Watcher) ended(ctx context.Context) error {
	select {
	case <-w.stop:
		return fmt.Errorf("watch stopped: %w", ErrClosed)
	default:
		return ctx.Err()
	}
}

// Stop ends the watcher: Next returns ErrClosed. It can be called more than once.
func (w *Watcher) Stop() {
	w.stopped.Do(func() { close(w.stop) })
}

// changeLog is the recent changes in memory, and where watchers wait for more. Every change has a
// number, counted from the start of the process; entries[0] has the number first.
type changeLog struct {
	maxEntries, maxBytes int

	mu       sync.Mutex
	entries  []Change
	first    uint64
	bytes    int
	floor    uint64 // every change with a revision above it is in entries
	revision uint64 // the newest, whether or not it is in entries
	more     chan struct{}
	closed   bool
}

func newChangeLog(revision uint64, maxEntries, maxBytes int) *changeLog {
	return &changeLog{
		maxEntries: maxEntries, maxBytes: maxBytes, floor: revision, revision: revision, more: make(chan struct{}),
	}
}

// watch makes a watcher that begins after the revision from.
func (l *changeLog) watch(prefix string, from uint64) *Watcher {
	w := &Watcher{log: l, prefix: prefix, from: from, stop: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if from < l.floor {
		w.resync = true
		return w
	}
	i := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Revision > from })
	w.next = l.first + uint64(i)
	return w
}

// publish appends the changes of one or more whole revisions, in order, and wakes all watchers.
// revision is the newest of them. The log owns the changes from here on.
func (l *changeLog) publish(changes []Change, revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, c := range changes {
		l.bytes += weight(c)
	}
	l.entries = append(l.entries, changes...)
	l.revision = revision
	l.trim()
	close(l.more)
	l.more = make(chan struct{})
}

// jump sets the newest revision after the engine was opened again. When it is another one, something was
// committed that was not published: all watchers have to read everything again.
func (l *changeLog) jump(revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || revision == l.revision {
		return
	}
	l.first += uint64(len(l.entries)) + 1
	l.entries = nil
	l.bytes = 0
	l.floor = revision
	l.revision = revision
	close(l.more)
	l.more = make(chan struct{})
}

// trim drops the oldest revisions, whole ones only, until the log is within its bounds.
func (l *changeLog) trim() {
	drop := 0
	for drop < len(l.entries) && (len(l.entries)-drop > l.maxEntries || l.bytes > l.maxBytes) {
		l.floor = l.entries[drop].Revision
		for drop < len(l.entries) && l.entries[drop].Revision == l.floor {
			l.bytes -= weight(l.entries[drop])
			drop++
		}
	}
	clear(l.entries[:drop]) // lets go of the values
	l.first += uint64(drop)
	l.entries = l.entries[drop:] // append moves to a new array when this one is used up
}

// weight is about what a change takes in memory.
func weight(c Change) int { return 96 + len(c.Key) + len(c.Value) }

// after moves w to the next change it is interested in. When there is none, more is closed as soon as
// there may be one.
func (l *changeLog) after(w *Watcher) (change Change, found bool, more <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Change{}, false, nil, ErrClosed
	}
	if w.resync || w.next < l.first {
		w.resync = false
		w.next = l.first + uint64(len(l.entries))
		w.from = l.revision
		return Change{Revision: l.revision, Resync: true}, true, nil, nil
	}
	for i := int(w.next - l.first); i < len(l.entries); i++ {
		c := l.entries[i]
		w.next++
		if c.Revision > w.from && strings.HasPrefix(c.Key, w.prefix) {
			c.Value = bytes.Clone(c.Value)
			return c, true, nil, nil
		}
	}
	return Change{}, false, l.more, nil
}

// close wakes all watchers for the last time.
func (l *changeLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.more)
	}
}
