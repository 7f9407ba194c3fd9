package pki

import (
	"context"
	"slices"
	"sync"
)

// turns lets one at a time do something. Those who wait come by turns, one of each, so that whoever asks for many
// holds up nobody else for more than one. The zero value is ready.
type turns struct {
	mu      sync.Mutex
	busy    bool
	waiting map[string][]chan struct{} // by who asks, first come first
	order   []string                   // who is next
}

// take returns when it is the caller's turn, who calls pass then; or with the error of ctx.
func (t *turns) take(ctx context.Context, whose string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.mu.Lock()
	if !t.busy {
		t.busy = true
		t.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	if t.waiting == nil {
		t.waiting = map[string][]chan struct{}{}
	}
	if len(t.waiting[whose]) == 0 {
		t.order = append(t.order, whose)
	}
	t.waiting[whose] = append(t.waiting[whose], mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		t.giveUp(whose, mine)
		return ctx.Err()
	}
}

// giveUp leaves the queue. A turn that came meanwhile goes on to the next.
func (t *turns) giveUp(whose string, mine chan struct{}) {
	t.mu.Lock()
	i := slices.Index(t.waiting[whose], mine)
	if i >= 0 {
		t.waiting[whose] = slices.Delete(t.waiting[whose], i, i+1)
		t.tidy(whose)
	}
	t.mu.Unlock()
	if i < 0 {
		t.pass()
	}
}

// tidy forgets one who waits for nothing. The caller holds the lock.
func (t *turns) tidy(whose string) {
	if len(t.waiting[whose]) == 0 {
		delete(t.waiting, whose)
		t.order = slices.DeleteFunc(t.order, func(one string) bool { return one == whose })
	}
}

// pass ends the caller's turn.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.busy = false
		return
	}
	whose := t.order[0]
	t.order = append(t.order[1:], whose)
	next := t.waiting[whose][0]
	t.waiting[whose] = t.waiting[whose][1:]
	t.tidy(whose)
	close(next)
}
