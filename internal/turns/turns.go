// Package turns shares what only a few can do at once among those who ask for it.
package turns

import (
	"context"
	"slices"
	"sync"
)

// Turns lets a few at a time do something. Those who wait come by turns, one of each, so that whoever asks for many
// holds up nobody else for more than one. The zero value lets one at a time.
type Turns struct {
	// Slots is how many at a time. Zero and negative are 1. It is not to be changed after the first Take.
	Slots int

	mu      sync.Mutex
	busy    int
	waiting map[string][]chan struct{} // by who asks, first come first
	order   []string                   // who is next
}

// Take returns when it is the caller's turn, who calls Pass then; or with the error of ctx.
func (t *Turns) Take(ctx context.Context, whose string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.mu.Lock()
	if t.busy < max(t.Slots, 1) {
		t.busy++
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
func (t *Turns) giveUp(whose string, mine chan struct{}) {
	t.mu.Lock()
	i := slices.Index(t.waiting[whose], mine)
	if i >= 0 {
		t.waiting[whose] = slices.Delete(t.waiting[whose], i, i+1)
		t.tidy(whose)
	}
	t.mu.Unlock()
	if i < 0 {
		t.Pass()
	}
}

// tidy forgets one who waits for nothing. The caller holds the lock.
func (t *Turns) tidy(whose string) {
	if len(t.waiting[whose]) == 0 {
		delete(t.waiting, whose)
		t.order = slices.DeleteFunc(t.order, func(one string) bool { return one == whose })
	}
}

// Pass ends the caller's turn.
func (t *Turns) Pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.busy--
		return
	}
	whose := t.order[0]
	t.order = append(t.order[1:], whose)
	next := t.waiting[whose][0]
	t.waiting[whose] = t.waiting[whose][1:]
	t.tidy(whose)
	close(next)
}
