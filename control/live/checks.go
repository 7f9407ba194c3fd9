package live

import (
	"sync"
	"time"

	"github.com/xdire/xlb/lb/health"
)

// checksKept is how many of a route's last checks are remembered.
const checksKept = 24

// CheckMark is how one check of a route went.
type CheckMark struct {
	Failed bool
	Slow   bool    // it took over half of its time-out
	Share  float64 // of its time-out that it took, 0 to 1
}

// Checks are the last checks of a route.
type Checks struct {
	Marks []CheckMark // oldest first, at most 24
	At    time.Time   // of the last; zero before there was one
	Took  time.Duration
}

// checkLogs are the last checks of a frontend's routes, by address. The zero value is empty.
type checkLogs struct {
	mu  sync.Mutex
	all map[string]*Checks
}

// note adds a check.
func (l *checkLogs) note(addr string, timeout time.Duration, r health.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]*Checks{}
	}
	c := l.all[addr]
	if c == nil {
		c = &Checks{Marks: make([]CheckMark, 0, checksKept)}
		l.all[addr] = c
	}
	if len(c.Marks) == checksKept {
		copy(c.Marks, c.Marks[1:])
		c.Marks = c.Marks[:checksKept-1]
	}
	share := min(1, r.Took.Seconds()/max(timeout, time.Millisecond).Seconds())
	c.Marks = append(c.Marks, CheckMark{Failed: r.Reason != "", Slow: share > 0.5, Share: share})
	c.At = r.At
	c.Took = r.Took
}

// of returns the last checks of a route, in memory of their own.
func (l *checkLogs) of(addr string) Checks {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.all[addr]
	if c == nil {
		return Checks{}
	}
	found := *c
	found.Marks = append([]CheckMark(nil), c.Marks...)
	return found
}

// keep forgets the checks of addresses that are not among these, and all of them without any.
func (l *checkLogs) keep(addresses map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr := range l.all {
		if !addresses[addr] {
			delete(l.all, addr)
		}
	}
}
