// Package relay passes the changes of a store on to a process that had it before and still has connections, so that what is
// revoked is revoked for those too.
//
// The two take turns: a Hub sends a change, or nothing each second, and waits until the other has applied it. Who does not
// answer in time is not waited for any longer; who hears nothing for that long knows that what it has may be out of date.
package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/xdire/xlb/store"
)

const (
	heartbeat = time.Second
	// patience is how long one waits for the other.
	patience = 5 * time.Second
)

// ErrMissed is the error of both sides when changes cannot be sent any more.
var ErrMissed = errors.New("changes were missed")

// message is what a Hub sends.
type message struct {
	Change   *store.Change `json:"change,omitempty"` // nil: nothing has changed
	Finished bool          `json:"finished,omitempty"`
}

// answer is what comes back.
type answer struct {
	Applied uint64 `json:"applied"` // up to this revision
}

// Hub sends changes to any number of followers. Make one with NewHub.
type Hub struct {
	finishing context.Context // ends with Finish
	finish    context.CancelFunc

	mu        sync.Mutex
	followers map[*follower]struct{}
	moved     chan struct{} // closed and replaced when a follower has moved, comes or goes
	last      uint64        // revision, of Finish
}

type follower struct{ applied uint64 }

// NewHub returns a hub that nobody follows.
func NewHub() *Hub {
	h := &Hub{followers: map[*follower]struct{}{}, moved: make(chan struct{})}
	h.finishing, h.finish = context.WithCancel(context.Background())
	return h
}

// change changes what others wait for.
func (h *Hub) change(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
	close(h.moved)
	h.moved = make(chan struct{})
}

// until returns when what it asks for is so, or when ctx ends.
func (h *Hub) until(ctx context.Context, is func() bool) {
	for {
		h.mu.Lock()
		moved := h.moved
		done := is()
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// Joined returns when somebody follows, or ctx ends.
func (h *Hub) Joined(ctx context.Context) {
	h.until(ctx, func() bool { return len(h.followers) > 0 })
}

// Wait returns when all followers have applied everything up to rev or are lost, or when ctx ends.
func (h *Hub) Wait(ctx context.Context, rev uint64) {
	h.until(ctx, func() bool {
		for one := range h.followers {
			if one.applied < rev {
				return false
			}
		}
		return true
	})
}

// Finish lets all followers know, after everything up to rev, that nothing will change until somebody else has the store. It
// returns when they have gone, or ctx ends.
func (h *Hub) Finish(ctx context.Context, rev uint64) {
	h.change(func() { h.last = rev })
	h.finish()
	h.until(ctx, func() bool { return len(h.followers) == 0 })
}

// Serve sends what changes after the revision from to the process at the other end, until ctx, the connection or the changes
// end. It stops the watcher, which has to begin there; the caller closes conn.
func (h *Hub) Serve(ctx context.Context, conn net.Conn, watcher *store.RecordWatcher, from uint64) error {
	defer watcher.Stop()
	one := &follower{applied: from}
	h.change(func() { h.followers[one] = struct{}{} })
	defer h.change(func() { delete(h.followers, one) })
	in := json.NewDecoder(conn)
	for sent := from; ; {
		next, err := h.next(ctx, watcher, sent)
		if err != nil {
			return err
		}
		if err := send(conn, next); err != nil {
			return err
		}
		var back answer
		if err := receive(conn, in, &back); err != nil {
			return err
		}
		h.change(func() { one.applied = back.Applied })
		if next.Finished {
			return nil
		}
		if c := next.Change; c != nil && c.Last {
			sent = c.Revision
		}
		if c := next.Change; c != nil && c.Resync {
			return ErrMissed
		}
	}
}

// next waits for a change, but not for long. sent is the last revision that is complete at the other end.
func (h *Hub) next(ctx context.Context, watcher *store.RecordWatcher, sent uint64) (message, error) {
	wait, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	if h.finishing.Err() != nil {
		h.mu.Lock()
		last := h.last
		h.mu.Unlock()
		if sent >= last {
			return message{Finished: true}, nil
		}
	} else {
		defer context.AfterFunc(h.finishing, cancel)()
	}
	change, err := watcher.NextChange(wait)
	switch {
	case err == nil:
		return message{Change: &change}, nil
	case ctx.Err() != nil:
		return message{}, ctx.Err()
	case wait.Err() != nil:
		return message{}, nil
	}
	return message{}, err // the store is closed
}

// Follow calls apply with everything that the Hub at the other end sends after the revision from, and tells it the revision
// that apply returns. It returns nil after Finish, and otherwise why it cannot go on: ErrMissed, ctx's error, or what became of conn, which it closes.
func Follow(ctx context.Context, conn net.Conn, from uint64, apply func(store.Change) uint64) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	applied := from
	in := json.NewDecoder(conn)
	for {
		var next message
		if err := receive(conn, in, &next); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		if next.Change != nil && next.Change.Resync {
			return ErrMissed
		}
		if next.Change != nil {
			applied = apply(*next.Change)
		}
		if err := send(conn, answer{applied}); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		if next.Finished {
			return nil
		}
	}
}

func send(conn net.Conn, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = conn.Write(append(text, '\n'))
	return err
}

func receive(conn net.Conn, in *json.Decoder, v any) error {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := in.Decode(v); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}
