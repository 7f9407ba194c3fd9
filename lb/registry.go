package lb

import (
	"container/list"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// shards is into how many parts what all connections share is divided, so that they seldom wait for one another.
const shards = 64

// registry knows the live connections: all of them, and by their keys once they are admitted. Make one with
// newRegistry.
type registry struct {
	seed  maphash.Seed
	total atomic.Int64
	conns [shards]connShard
	keys  [shards]keyShard
}

// connShard has the connections whose ids end alike.
type connShard struct {
	mu  sync.Mutex
	all map[*conn]struct{}
}

// keyShard has the keys whose hashes end alike.
type keyShard struct {
	mu  sync.Mutex
	all map[string]map[uint64]*conn // by key, then by id: one of a key is found without a walk over all
}

func newRegistry() *registry {
	r := &registry{seed: maphash.MakeSeed()}
	for i := range shards {
		r.conns[i].all = map[*conn]struct{}{}
		r.keys[i].all = map[string]map[uint64]*conn{}
	}
	return r
}

func (r *registry) shardOf(key string) *keyShard { return &r.keys[maphash.String(r.seed, key)%shards] }

func (r *registry) add(c *conn) {
	s := &r.conns[c.id%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[c] = struct{}{}
	r.total.Add(1)
}

func (r *registry) name(c *conn, keys []string) {
	for _, key := range keys {
		r.shardOf(key).add(key, c)
	}
}

func (s *keyShard) add(key string, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[key] == nil {
		s.all[key] = map[uint64]*conn{}
	}
	s.all[key][c.id] = c
}

func (r *registry) remove(c *conn, keys []string) {
	for _, key := range keys {
		r.shardOf(key).remove(key, c)
	}
	s := &r.conns[c.id%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
	r.total.Add(-1)
}

func (s *keyShard) remove(key string, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all[key], c.id)
	if len(s.all[key]) == 0 {
		delete(s.all, key)
	}
}

func (r *registry) count() int { return int(r.total.Load()) }

func (r *registry) all() []*conn {
	all := make([]*conn, 0, r.count())
	for i := range r.conns {
		s := &r.conns[i]
		s.mu.Lock()
		all = slices.AppendSeq(all, maps.Keys(s.all))
		s.mu.Unlock()
	}
	return all
}

func (r *registry) of(key string) []*conn {
	s := r.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(make([]*conn, 0, len(s.all[key])), maps.Values(s.all[key]))
}

// one is nil when no live connection of the key has the id.
func (r *registry) one(key string, id uint64) *conn {
	s := r.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[key][id]
}

// gate bounds the handshakes in flight. The oldest gives way: honest ones take milliseconds, so what is
// oldest in a full gate is most likely somebody who does not speak.
type gate struct {
	most int // 0 and negative are no bound

	inFlight atomic.Int64
	shards   [shards]gateShard // by the connections' ids
}

type gateShard struct {
	mu    sync.Mutex
	order list.List // of *conn, oldest first
}

// ticket is a place in the gate.
type ticket struct {
	shard *gateShard
	at    *list.Element
}

// enter lets c in and returns the one that has to go for it, if any.
func (g *gate) enter(c *conn) (t ticket, evicted *conn) {
	if n := g.inFlight.Add(1); g.most > 0 && n > int64(g.most) {
		evicted = g.evict()
	}
	s := &g.shards[c.id%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return ticket{s, s.order.PushBack(c)}, evicted
}

// evict takes the oldest out, nil when there is none by now.
func (g *gate) evict() *conn {
	for {
		var oldest *conn
		for i := range g.shards {
			if c := g.shards[i].front(); c != nil && (oldest == nil || c.id < oldest.id) {
				oldest = c
			}
		}
		if oldest == nil {
			return nil
		}
		if s := &g.shards[oldest.id%shards]; s.take(oldest) {
			g.inFlight.Add(-1)
			return oldest
		}
	}
}

func (s *gateShard) front() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first := s.order.Front(); first != nil {
		return first.Value.(*conn)
	}
	return nil
}

// take takes c out if it is still the first one.
func (s *gateShard) take(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.order.Front()
	if first == nil || first.Value.(*conn) != c {
		return false
	}
	s.order.Remove(first)
	first.Value = nil // the mark of one that was evicted
	return true
}

// leave is harmless for one that was evicted.
func (g *gate) leave(t ticket) {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	if t.at.Value != nil {
		t.shard.order.Remove(t.at)
		g.inFlight.Add(-1)
	}
}

func (g *gate) count() int { return int(g.inFlight.Load()) }
