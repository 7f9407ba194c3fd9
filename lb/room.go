package lb

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// The last part of a room is kept for groups that have little of it, so that one that takes all it can get leaves
// something to the others.
const (
	keptPart  = 4  // a quarter is kept
	smallPart = 16 // for those that have less than a sixteenth
)

// room bounds the connections that are admitted at once. Make one with newRoom.
type room struct {
	most   int64 // 0 and negative are no bound
	shared func() bool
	taken  atomic.Int64
	seed   maphash.Seed
	shards [shards]roomShard // by group
}

type roomShard struct {
	mu sync.Mutex
	by map[string]int64
}

func newRoom(most int, shared func() bool) *room {
	if shared == nil {
		shared = func() bool { return true }
	}
	r := &room{most: int64(most), shared: shared, seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].by = map[string]int64{}
	}
	return r
}

// take finds a place for one more of a group, and returns whether there is one.
func (r *room) take(group string) bool {
	if r.most <= 0 {
		return true
	}
	s := &r.shards[maphash.String(r.seed, group)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	n := r.taken.Add(1)
	isKept := n > r.most-r.most/keptPart
	if n > r.most || isKept && s.by[group] >= max(1, r.most/smallPart) && r.shared() {
		r.taken.Add(-1)
		return false
	}
	s.by[group]++
	return true
}

// leave gives a place back.
func (r *room) leave(group string) {
	if r.most <= 0 {
		return
	}
	s := &r.shards[maphash.String(r.seed, group)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	r.taken.Add(-1)
	if s.by[group]--; s.by[group] == 0 {
		delete(s.by, group)
	}
}
