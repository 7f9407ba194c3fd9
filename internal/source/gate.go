package source

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/xdire/xlb/internal/heap"
)

// shards is into how many parts a gate is divided, so that those who enter seldom wait for one another.
const shards = 64

// Gate bounds how many may be inside at once, such as handshakes in flight, in all and of each source. When it is full,
// one of the source gives way that has most of them; when a source has all that it may, one of its own. That is one
// that has not said anything yet if there is such, the oldest of these, and so it is among sources that have as many.
// So nobody is kept out by what others do from
// elsewhere, and of those who share a source the slow ones last longer than the silent ones. Make one with [NewGate].
type Gate[T any] struct {
	most, ofSource int // 0 and negative are no bound

	inside  atomic.Int64
	entered atomic.Uint64
	seed    maphash.Seed
	shards  [shards]gateShard[T] // by source
}

type gateShard[T any] struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*crowd[T]
	order   *heap.Heap[*crowd[T]] // the one that gives way on top
}

// crowd is what one source has inside.
type crowd[T any] struct {
	from   netip.Prefix
	silent list.List // of *Ticket, oldest first: those that have not said anything
	heard  list.List // of *Ticket, oldest first
	index  int       // in the shard's heap
}

func (c *crowd[T]) len() int { return c.silent.Len() + c.heard.Len() }

// standing is by what crowds are compared when one has to give way.
type standing struct {
	len      int
	isSilent bool   // its oldest, that has not said anything
	since    uint64 // when that one entered
}

func (c *crowd[T]) standing() standing {
	first := c.oldest()
	return standing{c.len(), first.list == &c.silent, first.since}
}

// before tells whether a gives way rather than b.
func (a standing) before(b standing) bool {
	switch {
	case a.len != b.len:
		return a.len > b.len
	case a.isSilent != b.isSilent:
		return a.isSilent
	}
	return a.since < b.since
}

// oldest is who gives way.
func (c *crowd[T]) oldest() *Ticket[T] {
	if first := c.silent.Front(); first != nil {
		return first.Value.(*Ticket[T])
	}
	return c.heard.Front().Value.(*Ticket[T])
}

// Ticket is a place in a gate.
type Ticket[T any] struct {
	who     T
	since   uint64
	gate    *Gate[T]
	shard   *gateShard[T] // whose lock guards the rest
	crowd   *crowd[T]
	list    *list.List
	element *list.Element // nil once it has left
}

// NewGate returns a gate for most in all and ofSource of each source; 0 and negative are no bound.
func NewGate[T any](most, ofSource int) *Gate[T] {
	g := &Gate[T]{most: most, ofSource: ofSource, seed: maphash.MakeSeed()}
	for i := range g.shards {
		s := &g.shards[i]
		s.sources = map[netip.Prefix]*crowd[T]{}
		s.order = heap.New(func(a, b *crowd[T]) bool { return a.standing().before(b.standing()) }, func(c *crowd[T]) *int { return &c.index })
	}
	return g
}

// Enter lets who in, from an address, and returns the one that has to go for it, if any.
func (g *Gate[T]) Enter(addr netip.Addr, who T) (t *Ticket[T], evicted T, someone bool) {
	if n := g.inside.Add(1); g.most > 0 && n > int64(g.most) {
		evicted, someone = g.Evict()
	}
	from := Of(addr)
	s := &g.shards[maphash.Comparable(g.seed, from)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.sources[from]
	if !someone && known && g.ofSource > 0 && one.len() >= g.ofSource { // before who enters is among them: it is silent
		first := one.oldest()
		first.leave()
		evicted = first.who
		someone = true
		one, known = s.sources[from]
	}
	if !known {
		one = &crowd[T]{from: from}
		s.sources[from] = one
	}
	t = &Ticket[T]{who: who, since: g.entered.Add(1), gate: g, shard: s, crowd: one, list: &one.silent}
	t.element = t.list.PushBack(t)
	if known {
		s.order.Fix(one)
	} else {
		s.order.Push(one)
	}
	return t, evicted, someone
}

// Heard notes that it has said something.
func (t *Ticket[T]) Heard() {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	if t.element == nil || t.list == &t.crowd.heard {
		return
	}
	t.list.Remove(t.element)
	t.list = &t.crowd.heard
	t.element = t.list.PushBack(t)
	t.shard.order.Fix(t.crowd)
}

// Evict takes one of the largest crowd out and returns it, unless there is none. It has to go, as if one had entered a
// full gate.
func (g *Gate[T]) Evict() (who T, someone bool) {
	var worst *gateShard[T]
	var its standing
	for i := range g.shards {
		if top, someone := g.shards[i].top(); someone && (worst == nil || top.before(its)) {
			worst = &g.shards[i]
			its = top
		}
	}
	if worst == nil {
		return who, false
	}
	return worst.evict()
}

// top is the standing of the crowd that gives way first.
func (s *gateShard[T]) top() (its standing, someone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.order.Len() == 0 {
		return its, false
	}
	return s.order.Top().standing(), true
}

func (s *gateShard[T]) evict() (who T, someone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.order.Len() == 0 {
		return who, false
	}
	t := s.order.Top().oldest()
	t.leave()
	return t.who, true
}

// leave gives the place back. The caller holds the shard's lock.
func (t *Ticket[T]) leave() {
	t.list.Remove(t.element)
	t.element = nil
	t.gate.inside.Add(-1)
	s := t.shard
	if t.crowd.len() > 0 {
		s.order.Fix(t.crowd)
		return
	}
	s.order.Remove(t.crowd)
	delete(s.sources, t.crowd.from)
}

// Leave gives the place back. It may be called again, and for one that had to go.
func (t *Ticket[T]) Leave() {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	if t.element != nil {
		t.leave()
	}
}

// Inside is how many there are.
func (g *Gate[T]) Inside() int { return int(g.inside.Load()) }
