package source

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// A full gate sends away one of the largest crowd: the oldest that is silent, or the oldest of all.
func TestWhoGivesWay(t *testing.T) {
	g := NewGate[int](4, 3)
	one, _, _ := g.Enter(addr("10.0.0.1"), 1)
	first, _, _ := g.Enter(addr("10.0.0.2"), 2)
	second, _, _ := g.Enter(addr("10.0.0.2"), 3)
	g.Enter(addr("10.0.0.3"), 4)
	first.Heard()
	if _, evicted, _ := g.Enter(addr("10.0.0.3"), 5); evicted != 3 {
		t.Fatalf("%d gave way, want the silent one of the largest crowd", evicted)
	}
	second.Leave() // it was evicted
	one.Heard()
	g.Enter(addr("2001:db8::1"), 6)        // of 10.0.0.3, which has two
	g.Enter(addr("2001:db8::ffff:1:2"), 7) // the same /64
	if _, evicted, _ := g.Enter(addr("10.0.0.9"), 8); evicted != 6 {
		t.Fatalf("%d gave way, want the older one of the /64", evicted)
	}
	if g.Inside() != 4 {
		t.Errorf("%d in flight", g.Inside())
	}
}

// Whatever comes and goes: the counts are right, and nobody gives way but one of the largest crowd.
func TestGateKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGate[int](5, 0)
		inside := map[*Ticket[int]]string{}
		from := rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"})
		sizes := func() (all map[string]int, largest int) {
			all = map[string]int{}
			for _, f := range inside {
				all[f]++
				largest = max(largest, all[f])
			}
			return all, largest
		}
		some := func(t *rapid.T) *Ticket[int] {
			for ticket := range inside {
				return ticket
			}
			t.Skip("nobody is inside")
			return nil
		}
		id := 0
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				f := from.Draw(t, "from")
				id++
				before, largest := sizes()
				ticket, evicted, someone := g.Enter(addr(f), id)
				if someone != (len(inside) == 5) {
					t.Fatalf("%d gave way with %d inside", evicted, len(inside))
				}
				for other, from := range inside {
					if someone && other.who == evicted {
						if before[from] != largest {
							t.Fatalf("one of %d gave way, the largest crowd has %d", before[from], largest)
						}
						delete(inside, other)
						other.Leave()
					}
				}
				inside[ticket] = f
			},
			"hear": func(t *rapid.T) { some(t).Heard() },
			"leave": func(t *rapid.T) {
				ticket := some(t)
				delete(inside, ticket)
				ticket.Leave()
				ticket.Heard() // late
			},
			"": func(t *rapid.T) {
				if g.Inside() != len(inside) {
					t.Fatalf("%d counted, %d inside", g.Inside(), len(inside))
				}
				crowds := 0
				for i := range g.shards {
					crowds += len(g.shards[i].sources)
				}
				if all, _ := sizes(); len(all) != crowds {
					t.Fatalf("%d sources are remembered, %d are inside", crowds, len(all))
				}
			},
		})
	})
}

// A source that has all it may makes room for itself, and for nobody else.
func TestSourceMakesRoomForItself(t *testing.T) {
	g := NewGate[int](0, 2)
	g.Enter(addr("10.0.0.2"), 1)
	g.Enter(addr("10.0.0.1"), 2)
	g.Enter(addr("10.0.0.1"), 3)
	if _, evicted, someone := g.Enter(addr("10.0.0.1"), 4); !someone || evicted != 2 || g.Inside() != 3 {
		t.Errorf("%d gave way (%v), %d are inside", evicted, someone, g.Inside())
	}
}
