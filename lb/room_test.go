package lb

import (
	"strconv"
	"testing"
)

// One group may take three quarters; the rest is for those that have little.
func TestRoomKeepsAQuarterForSmallGroups(t *testing.T) {
	r := newRoom(160, nil)
	takes := func(group string, tries, want int) {
		t.Helper()
		got := 0
		for range tries {
			if r.take(group) {
				got++
			}
		}
		if got != want {
			t.Errorf("%s got %d places, want %d", group, got, want)
		}
	}
	takes("large", 500, 120)
	takes("second", 500, 10)
	takes("third", 500, 10)
	for i := range 20 {
		takes("one of "+strconv.Itoa(i), 1, 1)
	}
	takes("late", 1, 0)
	for range 120 {
		r.leave("large")
	}
	takes("late", 1, 1)
	takes("large", 500, 79) // up to three quarters of all again
	for range 79 {
		r.leave("large")
	}
	if got := len(r.shards); got != shards || r.taken.Load() != 41 {
		t.Errorf("%d are taken, want 41", r.taken.Load())
	}
	alone := newRoom(4, func() bool { return false })
	for range 4 {
		if !alone.take("a") {
			t.Error("the only group there is does not get all")
		}
	}
	without := newRoom(0, nil)
	if !without.take("a") || without.taken.Load() != 0 {
		t.Error("no bound is one")
	}
}

// A server that is full refuses with a reason of its own, and has room again when connections end.
func TestFullServerRefuses(t *testing.T) {
	pool := poolOf(upstream(t, echo))
	r := newRig(t, Config{MaxConnections: 4, Admit: admit(Admission{Pool: pool, Group: "a", Keys: []string{"k"}})})
	for range 3 {
		open(t, r)
	}
	r.dial(t)
	if e := r.next(t, Closed, 0); e.Reason != ReasonServerLimit {
		t.Errorf("the fourth of a group ended with %s, want %s", e.Reason, ReasonServerLimit)
	}
	if got := r.Drop("k", ReasonKilled); got != 3 {
		t.Errorf("%d dropped, want 3", got)
	}
	eventually(t, "room again", func() bool { return r.room.taken.Load() == 0 })
	open(t, r)
}
