package lb

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"
	"testing/quick"
	"time"
)

// seeded returns a source whose seed the log of a failing test shows.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewSource(seed))
}

func nodesOf(n int, weight func(i int) int) []node {
	nodes := make([]node, n)
	for i := range nodes {
		nodes[i] = node{fmt.Sprintf("10.0.%d.%d:443", i/256, i%256), weight(i)}
	}
	return nodes
}

func unmoved(int) int { return 1 }

// owners is who has each slot, by name.
func owners(nodes []node) []string {
	var m maglev
	m.build(nodes)
	names := make([]string, maglevSlots)
	for slot := range names {
		names[slot] = nodes[m.at(uint64(slot))].name
	}
	return names
}

func TestMaglevSharesByWeight(t *testing.T) {
	random := seeded(t)
	for _, n := range []int{1, 2, 3, 10, 100, 1000} {
		for _, weight := range []func(int) int{unmoved, func(int) int { return 1 + random.Intn(8) }} {
			nodes := nodesOf(n, weight)
			counts, sum := map[string]int{}, 0
			for _, name := range owners(nodes) {
				counts[name]++
			}
			for _, node := range nodes {
				sum += node.weight
			}
			for _, node := range nodes {
				want := float64(maglevSlots) * float64(node.weight) / float64(sum)
				if got := float64(counts[node.name]); math.Abs(got-want) > 2+0.02*want {
					t.Errorf("n %d, weight %d: %v slots, want %v", n, node.weight, got, want)
				}
			}
		}
	}
}

// When a node goes its slots have to move; of the others' only few may.
func TestMaglevMovesFewSlots(t *testing.T) {
	random := seeded(t)
	for _, n := range []int{2, 3, 10, 100, 1000} {
		nodes := nodesOf(n, unmoved)
		before := owners(nodes)
		gone := random.Intn(n)
		after := owners(slices.Delete(slices.Clone(nodes), gone, gone+1))
		moved := 0
		for slot := range before {
			if before[slot] != after[slot] && before[slot] != nodes[gone].name {
				moved++
			}
		}
		if share := float64(moved) / maglevSlots; share > 0.03 {
			t.Errorf("n %d: %.4f of the slots moved between nodes that stay", n, share)
		} else {
			t.Logf("n %d: %.4f moved", n, share)
		}
	}
}

func TestMaglevWithMoreNodesThanSlots(t *testing.T) {
	var m maglev
	m.build(nodesOf(maglevSlots+10, unmoved))
	for slot := range uint64(maglevSlots) {
		if m.at(slot) >= maglevUnused {
			t.Fatalf("slot %d has node %d", slot, m.at(slot))
		}
	}
}

// Every process has to have the same hash, today's and tomorrow's.
func TestHashIsStableAndMixed(t *testing.T) {
	if got := hashOf("10.0.0.1:443", 1); got != 0xa48dd9e265d7d56e || got != hashOf([]byte("10.0.0.1:443"), 1) {
		t.Errorf("hash %x", got)
	}
	differs := func(text []byte, i uint, bit uint8) bool {
		if len(text) == 0 {
			return true
		}
		other := slices.Clone(text)
		other[i%uint(len(text))] ^= 1 << (bit % 8)
		return hashOf(text, 0) != hashOf(other, 0)
	}
	if err := quick.Check(differs, &quick.Config{Rand: seeded(t)}); err != nil {
		t.Error(err)
	}
}
