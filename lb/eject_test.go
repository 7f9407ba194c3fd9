package lb

import (
	"maps"
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

// accounts is an ejector with n backends, named a, b, c ...
type accounts struct {
	ejector
	backends map[string]*suspect
}

func ejectorOf(cfg EjectConfig, n int) *accounts {
	if cfg.Failures == 0 {
		cfg.Failures = 5
	}
	e := &accounts{ejector: ejector{cfg: cfg.withDefaults(), of: n}, backends: map[string]*suspect{}}
	for i := range n {
		e.backends[string(rune('a'+i))] = &suspect{}
	}
	return e
}

// failConnects lets n connects fail and returns whether the last one ejected, and for how long. None of the others
// may.
func failConnects(t testing.TB, e *accounts, name string, n int, when time.Time) (ejected bool, lasts time.Duration) {
	t.Helper()
	s := e.backends[name]
	for i := range n {
		out := e.failed(s, when)
		if out && i < n-1 {
			t.Errorf("failure %d of %d ejected %s", i+1, n, name)
		}
		if ejected = out; out {
			lasts = s.until.Sub(when)
		}
	}
	return ejected, lasts
}

func (e *accounts) works(name string, when time.Time) bool {
	return e.succeeded(e.backends[name], when)
}

// over ends the ejections whose time has come, as the pool's timers do, and names them.
func (e *accounts) over(now time.Time) (back []string) {
	for _, name := range slices.Sorted(maps.Keys(e.backends)) {
		if s := e.backends[name]; s.out() && !now.Before(s.until) {
			e.release(s, s.until)
			back = append(back, name)
		}
	}
	return back
}

func TestFailuresInARowEject(t *testing.T) {
	e := ejectorOf(EjectConfig{}, 4)
	failConnects(t, e, "a", 4, atSecond(0))
	if e.works("a", atSecond(1)) {
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
	if !e.works("a", atSecond(4)) || e.works("a", atSecond(4)) {
		t.Error("a success brings it back, once")
	}
	for _, off := range []int{-1, 0} {
		e := ejectorOf(EjectConfig{Failures: -1}, 4)
		e.cfg.Failures = off
		if out, _ := failConnects(t, e, "a", 100, atSecond(0)); out {
			t.Errorf("ejected although Failures is %d", off)
		}
	}
}

func TestEjectionsGetLongerAndAreMadeUpFor(t *testing.T) {
	e := ejectorOf(EjectConfig{}, 2)
	now := atSecond(0)
	for n := 1; n <= 12; n++ {
		_, lasts := failConnects(t, e, "a", 5, now)
		if want := min(time.Duration(n)*30*time.Second, 300*time.Second); lasts != want {
			t.Fatalf("ejection %d lasts %v, want %v", n, lasts, want)
		}
		now = now.Add(lasts)
		if over := e.over(now.Add(-1)); over != nil {
			t.Errorf("over too early: %v", over)
		}
		if over := e.over(now); !slices.Equal(over, []string{"a"}) || e.over(now) != nil {
			t.Errorf("over: %v", over)
		}
	}
	// The time of the ejection itself does not count as calm.
	if got := e.countAt(e.backends["a"], now); got != 12 {
		t.Errorf("%d, want 12", got)
	}
	now = now.Add(10*30*time.Second + time.Second)
	if got := e.countAt(e.backends["a"], now); got != 2 {
		t.Errorf("%d, want 2", got)
	}
	if _, lasts := failConnects(t, e, "a", 5, now); lasts != 90*time.Second {
		t.Errorf("the third one lasts %v, want %v", lasts, 90*time.Second)
	}
	e.works("a", now)
	if got := e.countAt(e.backends["a"], now.Add(time.Hour)); got != 0 {
		t.Errorf("after an hour: %d, want 0", got)
	}
	if _, lasts := failConnects(t, e, "a", 5, now.Add(time.Hour)); lasts != 30*time.Second {
		t.Errorf("after an hour: %v, want %v", lasts, 30*time.Second)
	}
}

// A failure now and then is no calm: the time starts anew.
func TestCalmIsWithoutFailures(t *testing.T) {
	e := ejectorOf(EjectConfig{}, 2)
	failConnects(t, e, "a", 5, atSecond(0))
	e.works("a", atSecond(1))
	for s := 20.0; s <= 200; s += 20 {
		failConnects(t, e, "a", 1, atSecond(s))
		e.works("a", atSecond(s+1))
	}
	if got := e.countAt(e.backends["a"], atSecond(200)); got != 1 {
		t.Errorf("%d, want 1", got)
	}
}

func TestHalfOfTheAddressesStay(t *testing.T) {
	for _, c := range []struct{ addrs, percent, want int }{
		{1, 0, 0}, {2, 0, 1}, {3, 0, 1}, {4, 0, 2}, {5, 0, 2}, {10, 0, 5}, {10, 10, 1}, {4, 10, 1}, {4, -1, 1}, {4, 100, 4}, {4, 1000, 4}, {1, 100, 0},
	} {
		e := ejectorOf(EjectConfig{MaxPercent: c.percent}, c.addrs)
		got := 0
		for i := range c.addrs {
			if out, _ := failConnects(t, e, string(rune('a'+i)), 5, atSecond(0)); out {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%+v: %d ejected, want %d", c, got, c.want)
		}
	}
	// What could not be ejected is, with its next failure, when there is room.
	e := ejectorOf(EjectConfig{}, 2)
	failConnects(t, e, "a", 5, atSecond(0))
	failConnects(t, e, "b", 5, atSecond(1))
	e.works("a", atSecond(2))
	if out, _ := failConnects(t, e, "b", 1, atSecond(3)); !out {
		t.Error("b stays although a is back")
	}
}

// Whatever happens: enough backends stay, and every ejection ends.
func TestEjectorKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := ejectorOf(EjectConfig{Failures: 2}, 7)
		now := day
		name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"})
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
			},
			"fail": func(t *rapid.T) {
				s := e.backends[name.Draw(t, "name")]
				wasOut := s.out()
				lasts := func() time.Duration { return s.until.Sub(now) }
				if e.failed(s, now) && (wasOut || lasts() > 300*time.Second || lasts() < 30*time.Second) {
					t.Fatalf("ejected for %v, was out %v", lasts(), wasOut)
				}
			},
			"succeed": func(t *rapid.T) {
				s := e.backends[name.Draw(t, "name")]
				if wasOut := s.out(); e.succeeded(s, now) != wasOut || s.out() {
					t.Fatalf("out %v, then %v", wasOut, s.out())
				}
			},
			"over": func(t *rapid.T) { e.over(now) },
			"": func(t *rapid.T) {
				out := 0
				for _, s := range e.backends {
					if s.out() {
						out++
					}
				}
				if out > 3 || out != e.ejected {
					t.Fatalf("%d are out, %d counted, of 7", out, e.ejected)
				}
			},
		})
	})
}
