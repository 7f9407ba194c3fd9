package source

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// A full gate sends away one of the largest crowd: the oldest that is silent, or the oldest of all.
func TestWhoGivesWay(t *testing.T) {
	g := NewGate[int](5, 0)
	enter := func(from string, who, want int) *Ticket[int] {
		t.Helper()
		ticket, evicted, someone := g.Enter(addr(from), who)
		if evicted != want || someone != (want != 0) {
			t.Fatalf("%d enters and %d gives way, want %d", who, evicted, want)
		}
		return ticket
	}
	enter("10.0.0.1", 1, 0)
	first := enter("10.0.0.2", 2, 0)
	silent := enter("10.0.0.2", 3, 0)
	third := enter("10.0.0.2", 4, 0)
	enter("10.0.0.3", 5, 0)
	first.Heard()
	enter("10.0.0.3", 6, 3) // the oldest silent one of 10.0.0.2, which has three
	silent.Leave()          // it had to go already
	third.Leave()
	enter("2001:db8::1", 7, 0)
	enter("2001:db8::ffff:1:2", 8, 5) // 10.0.0.3 has two; that is the same /64 again
	enter("10.0.0.9", 9, 7)           // which has two now
	if g.Inside() != 5 {
		t.Errorf("%d are inside, want 5", g.Inside())
	}
}

// Where every source has one, a silent one gives way before those that have said something, the oldest first.
func TestSilentOnesGiveWayAmongEquals(t *testing.T) {
	g := NewGate[int](200, 0)
	var tickets []*Ticket[int]
	for i := range 200 {
		ticket, _, _ := g.Enter(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), i)
		tickets = append(tickets, ticket)
	}
	for i := range 100 {
		tickets[i].Heard()
	}
	for i := range 100 {
		_, evicted, someone := g.Enter(netip.AddrFrom4([4]byte{10, 0, 2, byte(i)}), 1000+i)
		if !someone || evicted != 100+i {
			t.Fatalf("%d gave way (%v), want %d", evicted, someone, 100+i)
		}
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

// Who enters is not the one that gives way, though it has said nothing yet.
func TestNewcomerOfAFullSourceGetsIn(t *testing.T) {
	for _, most := range []int{1, 2} {
		g := NewGate[int](0, most)
		for i := range most {
			ticket, _, _ := g.Enter(addr("10.0.0.1"), 1+i)
			ticket.Heard()
		}
		if _, evicted, someone := g.Enter(addr("10.0.0.1"), 9); !someone || evicted != 1 || g.Inside() != most {
			t.Errorf("of %d: %d gave way (%v), want 1", most, evicted, someone)
		}
	}
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
