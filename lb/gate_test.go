package lb

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func visitor(id uint64, from string) *conn {
	return &conn{id: id, remote: netip.AddrPortFrom(netip.MustParseAddr(from), 1)}
}

// A full gate sends away one of the largest crowd: the oldest that is silent, or the oldest of all.
func TestWhoGivesWay(t *testing.T) {
	g := newGate(4)
	one, _ := g.enter(visitor(1, "10.0.0.1"))
	first, _ := g.enter(visitor(2, "10.0.0.2"))
	second, _ := g.enter(visitor(3, "10.0.0.2"))
	g.enter(visitor(4, "10.0.0.3"))
	first.heard()
	if _, evicted := g.enter(visitor(5, "10.0.0.3")); evicted == nil || evicted.id != 3 {
		t.Fatalf("%+v gave way, want the silent one of the largest crowd", evicted)
	}
	g.leave(second) // it was evicted
	one.heard()
	g.enter(visitor(6, "2001:db8::1"))        // of 10.0.0.3, which has two
	g.enter(visitor(7, "2001:db8::ffff:1:2")) // the same /64
	if _, evicted := g.enter(visitor(8, "10.0.0.9")); evicted == nil || evicted.id != 6 {
		t.Fatalf("%+v gave way, want the older one of the /64", evicted)
	}
	if g.count() != 4 {
		t.Errorf("%d in flight", g.count())
	}
}

// Whatever comes and goes: the counts are right, and nobody gives way but one of the largest crowd.
func TestGateKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGate(5)
		inside := map[*ticket]string{}
		from := rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"})
		sizes := func() (all map[string]int, largest int) {
			all = map[string]int{}
			for _, f := range inside {
				all[f]++
				largest = max(largest, all[f])
			}
			return all, largest
		}
		some := func(t *rapid.T) *ticket {
			for ticket := range inside {
				return ticket
			}
			t.Skip("nobody is inside")
			return nil
		}
		id := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				f := from.Draw(t, "from")
				id++
				before, largest := sizes()
				ticket, evicted := g.enter(visitor(id, f))
				if (evicted != nil) != (len(inside) == 5) {
					t.Fatalf("%+v gave way with %d inside", evicted, len(inside))
				}
				for other, from := range inside {
					if other.conn == evicted {
						if before[from] != largest {
							t.Fatalf("one of %d gave way, the largest crowd has %d", before[from], largest)
						}
						delete(inside, other)
						g.leave(other)
					}
				}
				inside[ticket] = f
			},
			"hear": func(t *rapid.T) { some(t).heard() },
			"leave": func(t *rapid.T) {
				ticket := some(t)
				delete(inside, ticket)
				g.leave(ticket)
				ticket.heard() // late
			},
			"": func(t *rapid.T) {
				if g.count() != len(inside) {
					t.Fatalf("%d counted, %d inside", g.count(), len(inside))
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
