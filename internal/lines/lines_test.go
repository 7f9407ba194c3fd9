package lines

import (
	"maps"
	"testing"
	"time"
)

// Five of a kind in a second are written, the rest is counted, and kinds do not count for one another.
func TestBound(t *testing.T) {
	var b Bound[string]
	now := time.Unix(1000, 0)
	written := func(kind string, n int) (yes int) {
		for range n {
			if b.Allow(kind, now) {
				yes++
			}
		}
		return yes
	}
	if got := written("a", 3); got != 3 {
		t.Errorf("got %d of 3 lines, want 3", got)
	}
	if got := written("a", 10); got != 2 {
		t.Errorf("got %d more lines in the same second, want 2", got)
	}
	if got := written("b", 6); got != 5 {
		t.Errorf("got %d lines of another kind, want 5", got)
	}
	now = now.Add(time.Second)
	if got := written("a", 7); got != 5 {
		t.Errorf("got %d lines in the next second, want 5", got)
	}
	if got, want := b.Skipped(), (map[string]int{"a": 10, "b": 1}); !maps.Equal(got, want) {
		t.Errorf("got %v skipped, want %v", got, want)
	}
	if got := b.Skipped(); len(got) != 0 {
		t.Errorf("they are counted again: %v", got)
	}
}
