package health

import (
	"container/heap"
	"context"
	"time"
)

// lane is a queue of targets of one sort, so that a sort that takes long does not hold up the others.
type lane struct {
	due  dueHeap
	wake chan struct{}
	jobs chan *target
}

func (c *Checker) lanes() []*lane { return []*lane{&c.quick, &c.fresh, &c.slow} }

// dispatch hands the targets of a lane to the workers when they are due, until ctx ends.
func (c *Checker) dispatch(ctx context.Context, l *lane) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait := c.next(l)
		if t != nil {
			select {
			case l.jobs <- t:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

// next takes out the target that is due, or tells how long to wait for one.
func (c *Checker) next(l *lane) (*target, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.due) == 0 {
		return nil, time.Hour // or until somebody nudges
	}
	if wait := time.Until(l.due[0].due); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&l.due).(*target), 0
}

// nudge tells the dispatcher that something is due earlier than it knew.
func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// dueHeap is a heap of targets, the one that is due first on top.
type dueHeap []*target

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index = i
	h[j].index = j
}

func (h *dueHeap) Push(x any) {
	t := x.(*target)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil // the array must not keep it
	*h = (*h)[:last]
	t.index = -1
	return t
}
