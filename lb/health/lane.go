package health

import (
	"cmp"
	"slices"
	"time"

	"github.com/xdire/xlb/internal/heap"
)

// group is the targets of one Target.Group. The checker's lock guards it.
type group struct {
	of                 any
	quick, fresh, slow lane // fresh are those that nobody knows yet
	targets, running   int
}

// lane is a queue of the targets of a group of one sort, so that a sort that takes long does not hold up the others.
type lane struct {
	group   *group
	due     *heap.Heap[*target] // the one that is due first on top
	running int
	index   int  // in the agenda, -1 when it is not
	waiting bool // its first target is due, and it may begin
}

// never is after every time that something is due.
var never = time.Unix(1<<40, 0)

// next is when the first of its targets is due.
func (l *lane) next() time.Time {
	if l.due.Len() == 0 {
		return never
	}
	return l.due.Top().due
}

// soonest orders the agenda.
func soonest(a, b *lane) bool { return a.next().Before(b.next()) }

func (c *Checker) groupOf(id any) *group {
	g := c.groups[id]
	if g == nil {
		g = &group{of: id}
		for _, l := range g.lanes() {
			l.group = g
			l.index = -1
			l.due = heap.New(func(a, b *target) bool { return a.due.Before(b.due) }, func(t *target) *int { return &t.index })
		}
		c.groups[id] = g
	}
	return g
}

func (g *group) lanes() [3]*lane { return [3]*lane{&g.quick, &g.fresh, &g.slow} }

// settle puts the lanes of a group that may begin something into the agenda and takes the others out, and forgets a
// group that has nothing. The caller holds the lock.
func (c *Checker) settle(g *group) {
	for _, l := range g.lanes() {
		ready := l.due.Len() > 0 && !c.full(l)
		if l.waiting {
			l.waiting = false
			c.waiting = slices.DeleteFunc(c.waiting, func(one *lane) bool { return one == l })
		}
		switch {
		case ready && l.index < 0:
			c.agenda.Push(l)
		case ready:
			c.agenda.Fix(l)
		case l.index >= 0:
			c.agenda.Remove(l)
		}
	}
	if g.targets == 0 && g.running == 0 && c.groups[g.of] == g {
		delete(c.groups, g.of)
	}
	select {
	case c.wake <- struct{}{}:
	default: // it is told already
	}
}

// full tells whether a lane has all the places of its group that it may have.
func (c *Checker) full(l *lane) bool {
	g := l.group
	half, most := c.cfg.Share/2, c.cfg.Share-max(c.cfg.Share/4, 1)
	switch {
	case g.running >= c.cfg.Share:
		return true
	case l == &g.quick:
		return false
	case g.fresh.running+g.slow.running >= most:
		return true
	}
	return l == &g.slow && g.slow.running >= half
}

// next takes out a target that is due, of the group that has the fewest under way, or tells how long to wait for one.
func (c *Checker) next(now time.Time) (t *target, from *lane, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.agenda.Len() > 0 && !c.agenda.Top().next().After(now) {
		l := c.agenda.Pop()
		l.waiting = true
		c.waiting = append(c.waiting, l)
	}
	wait = time.Hour // or until somebody wakes the loop
	if c.agenda.Len() > 0 {
		wait = min(wait, c.agenda.Top().next().Sub(now))
	}
	free := c.cfg.Workers - c.running
	if free <= 0 || len(c.waiting) == 0 {
		return nil, nil, wait
	}
	l := c.fewest()
	if free <= c.cfg.Workers/4 && l.group.running > 0 {
		return nil, nil, wait // these places are for groups that have nothing under way
	}
	t = l.due.Pop()
	l.running++
	l.group.running++
	c.running++
	c.settle(l.group)
	return t, l, 0
}

// fewest is the lane whose group has the fewest under way, the one that is due first among those.
func (c *Checker) fewest() *lane {
	return slices.MinFunc(c.waiting, func(a, b *lane) int {
		return cmp.Or(cmp.Compare(a.group.running, b.group.running), a.next().Compare(b.next()))
	})
}

// leave gives a place in a lane back.
func (c *Checker) leave(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.running--
	l.group.running--
	c.running--
	c.settle(l.group)
}
