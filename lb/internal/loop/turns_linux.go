package loop

import (
	"sync/atomic"
	"time"
)

// turnWindow is for how long the longest turn is remembered at least.
const turnWindow = 10 * time.Second

// turns remembers the longest one of a while. One goroutine notes, any may ask.
type turns struct {
	now, before atomic.Int64 // nanoseconds of the longest in this window, and in the one before
	window      atomic.Int64 // number of this window
}

func windowOf(at time.Time) int64 { return at.Unix() / int64(turnWindow/time.Second) }

func (t *turns) note(took time.Duration, at time.Time) {
	if window := windowOf(at); window != t.window.Load() {
		last := int64(0)
		if window == t.window.Load()+1 {
			last = t.now.Load()
		}
		t.before.Store(last)
		t.now.Store(0)
		t.window.Store(window)
	}
	if int64(took) > t.now.Load() {
		t.now.Store(int64(took))
	}
}

func (t *turns) longest(at time.Time) time.Duration {
	switch windowOf(at) - t.window.Load() {
	case 0:
		return time.Duration(max(t.now.Load(), t.before.Load()))
	case 1: // no turn since
		return time.Duration(t.now.Load())
	}
	return 0
}
