package lb

import (
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

// unname has a connection found by its keys no more.
func (r *registry) unname(c *conn, keys []string) {
	for _, key := range keys {
		r.shardOf(key).remove(key, c)
	}
}

// remove forgets a connection that has no keys, or none any more.
func (r *registry) remove(c *conn) {
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
