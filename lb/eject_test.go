package lb

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// day is when the ejection tests begin; atSecond is so many seconds later.
var day = time.Date(2027, 1, 23, 0, 0, 0, 0, time.UTC)

func atSecond(seconds float64) time.Time {
	return day.Add(time.Duration(seconds * float64(time.Second)))
}

// ejectorOf has n addresses: a, b, c ...
func ejectorOf(t testing.TB, cfg EjectConfig, n int) *Ejector {
	t.Helper()
	e := &Ejector{}
	var addrs []string
	for i := range n {
		addrs = append(addrs, string(rune('a'+i)))
	}
	if back := e.Update(cfg, addrs, day); back != nil {
		t.Errorf("back: %v", back)
	}
	return e
}

// failConnects lets n connects fail and returns whether the last one ejected, and for how long. None of the others
// may.
func failConnects(t testing.TB, e *Ejector, addr string, n int, when time.Time) (ejected bool, lasts time.Duration) {
	t.Helper()
	for i := range n {
		out, until := e.Failed(addr, when)
		if out && i < n-1 {
			t.Errorf("failure %d of %d ejected %s", i+1, n, addr)
		}
		if ejected = out; out {
			lasts = until.Sub(when)
		}
	}
	return ejected, lasts
}

func TestFailuresInARowEject(t *testing.T) {
	e := ejectorOf(t, EjectConfig{}, 4)
	failConnects(t, e, "a", 4, atSecond(0))
	if e.Succeeded("a", atSecond(1)) {
		t.Error("back without having been out")
	}
	if out, _ := failConnects(t, e, "a", 4, atSecond(2)); out {
		t.Error("a success did not reset the count")
	}
	if out, lasts := failConnects(t, e, "a", 1, atSecond(2)); !out || lasts != 30*time.Second {
		t.Errorf("ejected %v for %v", out, lasts)
	}
	if out, _ := failConnects(t, e, "a", 20, atSecond(3)); out {
		t.Error("ejected twice")
	}
	if out, _ := failConnects(t, e, "unknown", 20, atSecond(3)); out {
		t.Error("ejected what is not there")
	}
	want := Suspect{Addr: "a", Failures: 5, Count: 1, Since: atSecond(2), Until: atSecond(32)}
	failConnects(t, e, "b", 1, atSecond(3))
	if got := e.Snapshot(atSecond(4)); len(got) != 2 || got[0] != want || got[1] != (Suspect{Addr: "b", Failures: 1}) {
		t.Errorf("%+v", got)
	}
	off := ejectorOf(t, EjectConfig{Failures: -1}, 4)
	if out, _ := failConnects(t, off, "a", 100, atSecond(0)); out || len(off.Snapshot(atSecond(1))) != 0 {
		t.Error("ejected although it is off")
	}
	var zero Ejector
	if out, _ := zero.Failed("a", atSecond(0)); out || zero.Succeeded("a", atSecond(0)) || zero.Due(atSecond(0)) != nil || zero.Over(atSecond(0)) != nil || zero.Snapshot(atSecond(0)) != nil {
		t.Error("the zero value knows something")
	}
}

func TestEjectionsGetLongerAndAreMadeUpFor(t *testing.T) {
	e := ejectorOf(t, EjectConfig{}, 2)
	now := atSecond(0)
	for n := 1; n <= 12; n++ {
		_, lasts := failConnects(t, e, "a", 5, now)
		if want := min(time.Duration(n)*30*time.Second, 300*time.Second); lasts != want {
			t.Fatalf("ejection %d lasts %v, want %v", n, lasts, want)
		}
		now = now.Add(lasts)
		if over := e.Over(now.Add(-1)); over != nil {
			t.Errorf("over too early: %v", over)
		}
		if over := e.Over(now); !slices.Equal(over, []string{"a"}) || e.Over(now) != nil {
			t.Errorf("over: %v", over)
		}
	}
	// The time of the ejection itself does not count as calm.
	if got := e.Snapshot(now); got[0].Count != 12 {
		t.Errorf("%+v", got)
	}
	now = now.Add(10*30*time.Second + time.Second)
	if got := e.Snapshot(now); got[0].Count != 2 {
		t.Errorf("%+v", got)
	}
	if _, lasts := failConnects(t, e, "a", 5, now); lasts != 90*time.Second {
		t.Errorf("the third one lasts %v", lasts)
	}
	e.Succeeded("a", now)
	if got := e.Snapshot(now.Add(time.Hour)); got != nil {
		t.Errorf("after an hour: %+v", got)
	}
	if _, lasts := failConnects(t, e, "a", 5, now.Add(time.Hour)); lasts != 30*time.Second {
		t.Errorf("after an hour: %v", lasts)
	}
}

// A failure now and then is no calm: the time starts anew.
func TestCalmIsWithoutFailures(t *testing.T) {
	e := ejectorOf(t, EjectConfig{}, 2)
	failConnects(t, e, "a", 5, atSecond(0))
	e.Succeeded("a", atSecond(1))
	for s := 20.0; s <= 200; s += 20 {
		failConnects(t, e, "a", 1, atSecond(s))
		e.Succeeded("a", atSecond(s+1))
	}
	if got := e.Snapshot(atSecond(200)); len(got) != 1 || got[0].Count != 1 {
		t.Errorf("%+v", got)
	}
}

func TestEjectedAddressesAreProbed(t *testing.T) {
	e := ejectorOf(t, EjectConfig{}, 4)
	failConnects(t, e, "b", 5, atSecond(0))
	failConnects(t, e, "a", 5, atSecond(1))
	for _, c := range []struct {
		at   float64
		want []string
	}{{1.9, nil}, {2, []string{"b"}}, {2.5, nil}, {4, []string{"a", "b"}}, {4, nil}, {6, []string{"a", "b"}}, {30, []string{"a"}}} {
		if got := e.Due(atSecond(c.at)); !slices.Equal(got, c.want) {
			t.Errorf("at %v: %v, want %v", c.at, got, c.want)
		}
	}
	if !e.Succeeded("a", atSecond(30)) || e.Succeeded("a", atSecond(30)) {
		t.Error("a success brings it back, once")
	}
	if got := e.Over(atSecond(30)); !slices.Equal(got, []string{"b"}) || e.Due(atSecond(40)) != nil {
		t.Errorf("over: %v", got)
	}
}

func TestHalfOfTheAddressesStay(t *testing.T) {
	for _, c := range []struct{ addrs, percent, want int }{
		{1, 0, 0}, {2, 0, 1}, {3, 0, 1}, {4, 0, 2}, {5, 0, 2}, {10, 0, 5}, {10, 10, 1}, {4, 10, 1}, {4, -1, 1}, {4, 100, 4}, {4, 1000, 4}, {1, 100, 0},
	} {
		e := ejectorOf(t, EjectConfig{MaxPercent: c.percent}, c.addrs)
		got := 0
		for i := range c.addrs {
			if out, _ := failConnects(t, e, string(rune('a'+i)), 5, atSecond(0)); out {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%+v: %d ejected", c, got)
		}
	}
	// What could not be ejected is, with its next failure, when there is room.
	e := ejectorOf(t, EjectConfig{}, 2)
	failConnects(t, e, "a", 5, atSecond(0))
	failConnects(t, e, "b", 5, atSecond(1))
	e.Succeeded("a", atSecond(2))
	if out, _ := failConnects(t, e, "b", 1, atSecond(3)); !out {
		t.Error("b stays although a is back")
	}
}

func TestUpdateKeepsTheAccount(t *testing.T) {
	e := ejectorOf(t, EjectConfig{}, 6)
	for i, addr := range []string{"a", "b", "c"} {
		failConnects(t, e, addr, 5, atSecond(float64(i)))
	}
	failConnects(t, e, "d", 4, atSecond(3))
	if back := e.Update(EjectConfig{}, []string{"b", "c", "d", "e", "b"}, atSecond(4)); back != nil {
		t.Errorf("back: %v", back)
	}
	if out, _ := failConnects(t, e, "d", 1, atSecond(4)); out {
		t.Error("three of four are out")
	}
	if back := e.Update(EjectConfig{}, []string{"b", "c", "d"}, atSecond(5)); !slices.Equal(back, []string{"b"}) {
		t.Errorf("back: %v, want the one whose time is over first", back)
	}
	if back := e.Update(EjectConfig{Failures: -1}, []string{"b", "c", "d"}, atSecond(6)); !slices.Equal(back, []string{"c"}) {
		t.Errorf("switched off, back: %v", back)
	}
	if out, lasts := failConnects(t, ejectorOf(t, EjectConfig{Failures: 1, Base: time.Hour}, 2), "a", 1, atSecond(0)); !out || lasts != time.Hour {
		t.Errorf("ejected %v for %v", out, lasts)
	}
}

// Whatever happens: enough addresses stay, every ejection ends, and the callers hear of each end once.
func TestEjectorKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Ejector
		addrs := []string{"a", "b", "c", "d", "e", "f", "g"}
		out, now := map[string]time.Time{}, day
		release := func(back ...string) {
			for _, addr := range back {
				if out[addr].IsZero() {
					t.Fatalf("%s is back and was not out", addr)
				}
				delete(out, addr)
			}
		}
		known := addrs
		e.Update(EjectConfig{Failures: 2}, known, now)
		addr := rapid.SampledFrom(addrs)
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
			},
			"fail": func(t *rapid.T) {
				a := addr.Draw(t, "addr")
				if ejected, until := e.Failed(a, now); ejected {
					if !out[a].IsZero() || until.Sub(now) > 300*time.Second || until.Sub(now) < 30*time.Second {
						t.Fatalf("%s ejected until %v, was out until %v", a, until, out[a])
					}
					out[a] = until
				}
			},
			"succeed": func(t *rapid.T) {
				a := addr.Draw(t, "addr")
				if e.Succeeded(a, now) {
					release(a)
				}
			},
			"over": func(t *rapid.T) {
				release(e.Over(now)...)
				for a, until := range out {
					if !until.After(now) {
						t.Fatalf("%s is still out", a)
					}
				}
			},
			"update": func(t *rapid.T) {
				known = rapid.SliceOfDistinct(addr, rapid.ID[string]).Draw(t, "addrs")
				back := e.Update(EjectConfig{Failures: 2}, known, now)
				for a := range out {
					if !slices.Contains(known, a) {
						delete(out, a)
					}
				}
				release(back...)
			},
			"": func(t *rapid.T) {
				if most := len(known) / 2; len(out) > most || e.ejected != len(out) {
					t.Fatalf("%d are out, %d counted, of %d", len(out), e.ejected, len(known))
				}
			},
		})
	})
}
