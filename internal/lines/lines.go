// Package lines bounds the lines of a log that others can cause: so many of a kind in a second, and then a count of the
// rest.
package lines

import (
	"maps"
	"sync"
	"time"
)

// perSecond is how many lines of a kind are written in a second.
const perSecond = 5

// Bound decides which lines are written. The zero value is ready for use. It remembers what came in this second and what
// was not written, so its size is bounded by how often [Bound.Skipped] is called.
type Bound[K comparable] struct {
	mu      sync.Mutex
	second  int64
	written map[K]int
	skipped map[K]int
}

// Allow tells whether a line of a kind may be written now, and counts it when it may not.
func (b *Bound[K]) Allow(kind K, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if second := now.Unix(); b.written == nil || second != b.second {
		b.second = second
		b.written = map[K]int{}
	}
	if b.written[kind] < perSecond {
		b.written[kind]++
		return true
	}
	if b.skipped == nil {
		b.skipped = map[K]int{}
	}
	b.skipped[kind]++
	return false
}

// Skipped returns how many lines of each kind were not written since the last call. The caller owns the map.
func (b *Bound[K]) Skipped() map[K]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	skipped := maps.Clone(b.skipped)
	clear(b.skipped)
	return skipped
}
