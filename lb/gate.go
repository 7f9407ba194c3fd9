package lb

import (
	"container/heap"
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/xdire/xlb/internal/source"
)

// gate bounds the handshakes in flight. When it is full, one of the source gives way that has most of them: one that
// has not said anything yet if there is such, the oldest of these. So nobody is kept out by what others do from
// elsewhere, and of those who share a source the slow ones last longer than the silent ones.
type gate struct {
	most int // 0 and negative are no bound

	inFlight atomic.Int64
	seed     maphash.Seed
	shards   [shards]gateShard // by source
}

type gateShard struct {
	mu      sync.Mutex
	sources map[netip.Prefix]*crowd
	order   crowdHeap
}

// crowd is the handshakes of one source.
type crowd struct {
	from   netip.Prefix
	silent list.List // of *ticket, oldest first: those that have not said hello
	heard  list.List // of *ticket, oldest first
	index  int       // in the shard's heap
}

func (c *crowd) len() int { return c.silent.Len() + c.heard.Len() }

// ticket is a place in the gate. The shard's lock guards it.
type ticket struct {
	conn  *conn
	shard *gateShard
	crowd *crowd
	list  *list.List
	at    *list.Element // nil once it has left
}

func newGate(most int) *gate { return &gate{most: most, seed: maphash.MakeSeed()} }

// enter lets c in and returns the one that has to go for it, if any.
func (g *gate) enter(c *conn) (t *ticket, evicted *conn) {
	if n := g.inFlight.Add(1); g.most > 0 && n > int64(g.most) {
		evicted = g.evict()
	}
	from := source.Of(c.remote.Addr())
	s := &g.shards[maphash.Comparable(g.seed, from)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.sources[from]
	if one == nil {
		if s.sources == nil {
			s.sources = map[netip.Prefix]*crowd{}
		}
		one = &crowd{from: from}
		s.sources[from] = one
		heap.Push(&s.order, one)
	}
	t = &ticket{conn: c, shard: s, crowd: one, list: &one.silent}
	t.at = t.list.PushBack(t)
	heap.Fix(&s.order, one.index)
	return t, evicted
}

// heard notes that the client has said hello.
func (t *ticket) heard() {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	if t.at == nil || t.list == &t.crowd.heard {
		return
	}
	t.list.Remove(t.at)
	t.list = &t.crowd.heard
	t.at = t.list.PushBack(t)
}

// evict takes one of the largest crowd out, nil when there is none by now.
func (g *gate) evict() *conn {
	var largest *gateShard
	most := 0
	for i := range g.shards {
		if n := g.shards[i].largest(); n > most {
			largest = &g.shards[i]
			most = n
		}
	}
	if largest == nil {
		return nil
	}
	c := largest.evict()
	if c != nil {
		g.inFlight.Add(-1)
	}
	return c
}

// largest is how many handshakes the largest crowd has.
func (s *gateShard) largest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return 0
	}
	return s.order[0].len()
}

func (s *gateShard) evict() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return nil
	}
	first := s.order[0].silent.Front()
	if first == nil {
		first = s.order[0].heard.Front()
	}
	t := first.Value.(*ticket)
	t.leave()
	return t.conn
}

// leave gives the place back. The caller holds the shard's lock.
func (t *ticket) leave() {
	t.list.Remove(t.at)
	t.at = nil
	s := t.shard
	if t.crowd.len() > 0 {
		heap.Fix(&s.order, t.crowd.index)
		return
	}
	heap.Remove(&s.order, t.crowd.index)
	delete(s.sources, t.crowd.from)
}

// leave is harmless for one that was evicted.
func (g *gate) leave(t *ticket) {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	if t.at != nil {
		t.leave()
		g.inFlight.Add(-1)
	}
}

func (g *gate) count() int { return int(g.inFlight.Load()) }

// crowdHeap has the largest crowd on top.
type crowdHeap []*crowd

func (h crowdHeap) Len() int           { return len(h) }
func (h crowdHeap) Less(i, j int) bool { return h[i].len() > h[j].len() }
func (h crowdHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index = i
	h[j].index = j
}

// Push implements heap.Interface.
func (h *crowdHeap) Push(x any) {
	c := x.(*crowd)
	c.index = len(*h)
	*h = append(*h, c)
}

// Pop implements heap.Interface.
func (h *crowdHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil // the array must not keep it
	*h = (*h)[:last]
	return c
}
