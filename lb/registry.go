package lb

import (
	"container/list"
	"maps"
	"slices"
	"sync"
)

// registry knows the live connections: all of them, and by their keys once they are admitted.
type registry struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
	keys  map[string]map[uint64]*conn // by key, then by id: one of a key is found without a walk over all
}

func (r *registry) add(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		r.conns, r.keys = map[*conn]struct{}{}, map[string]map[uint64]*conn{}
	}
	r.conns[c] = struct{}{}
}

func (r *registry) name(c *conn, keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if r.keys[key] == nil {
			r.keys[key] = map[uint64]*conn{}
		}
		r.keys[key][c.id] = c
	}
}

func (r *registry) remove(c *conn, keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	for _, key := range keys {
		delete(r.keys[key], c.id)
		if len(r.keys[key]) == 0 {
			delete(r.keys, key)
		}
	}
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *registry) all() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq(make([]*conn, 0, len(r.conns)), maps.Keys(r.conns))
}

func (r *registry) of(key string) []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq(make([]*conn, 0, len(r.keys[key])), maps.Values(r.keys[key]))
}

// one is nil when no live connection of the key has the id.
func (r *registry) one(key string, id uint64) *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[key][id]
}

// gate bounds the handshakes in flight. The oldest gives way: honest ones take milliseconds, so what is
// oldest in a full gate is most likely somebody who does not speak.
type gate struct {
	most int // 0 and negative are no bound

	mu    sync.Mutex
	order list.List // of *conn, oldest first
}

// enter lets c in and returns the one that has to go for it, if any.
func (g *gate) enter(c *conn) (ticket *list.Element, evicted *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.most > 0 && g.order.Len() >= g.most {
		evicted = g.order.Remove(g.order.Front()).(*conn)
	}
	return g.order.PushBack(c), evicted
}

// leave is harmless for one that was evicted.
func (g *gate) leave(ticket *list.Element) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.order.Remove(ticket)
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.order.Len()
}
