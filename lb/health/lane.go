package health

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
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
	due     dueHeap
	running int
	index   int  // in the agenda, -1 when it is not
	waiting bool // its first target is due, and it may begin
}

// never is after every time that something is due.
var never = time.Unix(1<<40, 0)

// next is when the first of its targets is due.
func (l *lane) next() time.Time {
	if len(l.due) == 0 {
		return never
	}
	return l.due[0].due
}

func (c *Checker) groupOf(id any) *group {
	g := c.groups[id]
	if g == nil {
		g = &group{of: id}
		for _, l := range g.lanes() {
			l.group = g
			l.index = -1
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
		ready := len(l.due) > 0 && !c.full(l)
		if l.waiting {
			l.waiting = false
			c.waiting = slices.DeleteFunc(c.waiting, func(one *lane) bool { return one == l })
		}
		switch {
		case ready && l.index < 0:
			heap.Push(&c.agenda, l)
		case ready:
			heap.Fix(&c.agenda, l.index)
		case l.index >= 0:
			heap.Remove(&c.agenda, l.index)
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
	for len(c.agenda) > 0 && !c.agenda[0].next().After(now) {
		l := heap.Pop(&c.agenda).(*lane)
		l.waiting = true
		c.waiting = append(c.waiting, l)
	}
	wait = time.Hour // or until somebody wakes the loop
	if len(c.agenda) > 0 {
		wait = min(wait, c.agenda[0].next().Sub(now))
	}
	free := c.cfg.Workers - c.running
	if free <= 0 || len(c.waiting) == 0 {
		return nil, nil, wait
	}
	l := c.fewest()
	if free <= c.cfg.Workers/4 && l.group.running > 0 {
		return nil, nil, wait // these places are for groups that have nothing under way
	}
	t = heap.Pop(&l.due).(*target)
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

// agenda is a heap of lanes, the one whose first target is due first on top.
type agenda []*lane

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].next().Before(a[j].next()) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index = i
	a[j].index = j
}

// Push implements heap.Interface.
func (a *agenda) Push(x any) {
	l := x.(*lane)
	l.index = len(*a)
	*a = append(*a, l)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	l := (*a)[last]
	(*a)[last] = nil // the array must not keep it
	*a = (*a)[:last]
	l.index = -1
	return l
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

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	t := x.(*target)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil // the array must not keep it
	*h = (*h)[:last]
	t.index = -1
	return t
}
