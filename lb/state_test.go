package lb

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// who is the names of all that a pool gives connections to, in the order of the configuration.
func who(t testing.TB, p *Pool) string {
	t.Helper()
	seen := map[string]bool{}
	for i := range 50 * len(p.backends) {
		b, err := p.acquire(t.Context(), someKey(i), nil)
		if err != nil {
			return string(ReasonOf(err))
		}
		p.release(b)
		seen[b.addr] = true
	}
	var names []string
	for _, b := range p.backends {
		if seen[b.addr] {
			names = append(names, b.addr)
		}
	}
	return strings.Join(names, " ")
}

// staged is a pool of backends in words: "a down", "b backup drain", "c up full".
func staged(s Strategy, panicPercent int, backends ...string) *Pool {
	cfg := PoolConfig{Strategy: s, PanicPercent: panicPercent, QueueLimit: -1}
	for _, text := range backends {
		b := Backend{Addr: strings.Fields(text)[0], Backup: strings.Contains(text, "backup")}
		switch {
		case strings.Contains(text, "drain"):
			b.State = Drain
		case strings.Contains(text, "maintenance"):
			b.State = Maintenance
		}
		if strings.Contains(text, "full") {
			b.Capacity = 1
		}
		cfg.Backends = append(cfg.Backends, b)
	}
	p := NewPool(cfg)
	for i, text := range backends {
		for word, state := range map[string]HealthState{"up": Up, "down": Down, "ejected": Ejected} {
			if slices.Contains(strings.Fields(text), word) {
				p.SetHealth(p.backends[i].addr, Health{State: state})
			}
		}
		if strings.Contains(text, "full") {
			p.mu.Lock()
			p.occupy(p.backends[i], 1)
			p.mu.Unlock()
		}
	}
	return p
}

func TestWhoGetsConnections(t *testing.T) {
	for _, c := range []struct {
		name     string
		panic    int
		backends []string
		want     string
		panics   bool
	}{
		{"all unknown", 0, []string{"a", "b", "c"}, "a b c", false},
		{"down and ejected", 0, []string{"a", "b down", "c up", "d up", "e ejected"}, "a c d", false},
		{"drain and maintenance", 0, []string{"a drain", "b", "c maintenance"}, "b", false},
		{"all drained", 0, []string{"a drain", "b maintenance"}, "no-route", false},
		{"full", 0, []string{"a full", "b"}, "b", false},
		{"all full", 0, []string{"a full", "b full"}, "all-full", false},
		{"half is enough", 0, []string{"a down", "b", "c", "d down"}, "b c", false},
		{"panic below half", 0, []string{"a down", "b down", "c"}, "a b c", true},
		{"panic of all", 0, []string{"a down"}, "a", true},
		{"a panic takes none that is not ready", 0, []string{"a down", "b drain", "c maintenance", "d down"}, "a d", true},
		{"those that are not ready do not count", 0, []string{"a down", "b", "c drain", "d drain"}, "b", false},
		{"panic below 20", 20, []string{"a down", "b down", "c down", "d"}, "d", false},
		{"panic below 100", 100, []string{"a down", "b", "c"}, "a b c", true},
		{"more than 100 is 100", 1000, []string{"a", "b", "c"}, "a b c", false},
		{"never panic", -1, []string{"a down", "b down", "c"}, "c", false},
		{"never panic, nobody", -1, []string{"a down", "b down"}, "no-route", false},
		{"backups wait", 0, []string{"a", "b backup"}, "a", false},
		{"backups wait for the last", 0, []string{"a down", "b down", "c", "d backup"}, "c", false},
		{"backups come in", 0, []string{"a down", "b drain", "c backup", "d backup"}, "c d", false},
		{"backups come in, the healthy", 0, []string{"a down", "b backup down", "c backup"}, "c", false},
		{"a full primary is usable", 0, []string{"a full", "b backup"}, "all-full", false},
		{"panic when no backup is healthy", 0, []string{"a down", "b backup down"}, "a", true},
		{"panic when no backup is ready", 0, []string{"a down", "b backup drain"}, "a", true},
		{"backups without primaries", 0, []string{"a backup", "b drain"}, "a", false},
		{"backups in a panic", 0, []string{"a backup down", "b drain"}, "a", true},
		{"backups, never panic", -1, []string{"a backup down", "b drain"}, "no-route", false},
		{"nothing", 0, nil, "no-route", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range allStrategies {
				pool := staged(s, c.panic, c.backends...)
				got := who(t, pool)
				if len(c.backends) == 0 {
					_, err := pool.acquire(t.Context(), pickKey{}, nil)
					got = string(ReasonOf(err))
				}
				if got != c.want || pool.Stats().Panic != c.panics {
					t.Errorf("strategy %d: %q, panic %v; want %q", s, got, pool.Stats().Panic, c.want)
				}
			}
		})
	}
}

func TestHealthIsShownAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := poolOf("a:1", "b:1")
		started := time.Now()
		pool.SetHealth("b:1", Health{State: Down, Reason: ReasonBackendRefused, Detail: "nobody listens"})
		time.Sleep(time.Second)
		pool.SetHealth("b:1", Health{State: Down, Reason: ReasonBackendTimeout})
		pool.SetHealth("nobody:1", Health{State: Down})
		pool.Update(PoolConfig{Backends: []Backend{{Addr: "b:1", Weight: 1000, Backup: true, State: Drain}, {Addr: "c:1", Weight: -3}}})
		s := pool.Stats().Backends
		if want := (Health{State: Down, Reason: ReasonBackendTimeout, Since: started}); s[0].Health != want {
			t.Errorf("health %+v, want %+v", s[0].Health, want)
		}
		if s[0].Weight != 256 || !s[0].Backup || s[0].State != Drain || s[1].Weight != 1 || s[1].Health != (Health{}) {
			t.Errorf("stats %+v", s)
		}
		pool.SetHealth("b:1", Health{State: Up})
		if since := pool.Stats().Backends[0].Health.Since; !since.Equal(started.Add(time.Second)) {
			t.Errorf("up since %v", since)
		}
		pool.SetHealth("b:1", Health{State: Up, Since: started})
		if since := pool.Stats().Backends[0].Health.Since; !since.Equal(started) {
			t.Errorf("up since %v, was told %v", since, started)
		}
	})
}

// One that was removed while it was down is as unknown as a new one, though its connections go on.
func TestRemovedBackendComesBackUnknown(t *testing.T) {
	pool := poolOf("a")
	b := take(t, pool, pickKey{})
	pool.SetHealth("a", Health{State: Down})
	pool.Update(PoolConfig{})
	pool.Update(PoolConfig{Backends: []Backend{{Addr: "a"}}})
	if s := pool.Stats().Backends[0]; s.Health != (Health{}) || s.Active != 1 {
		t.Errorf("stats %+v", s)
	}
	pool.release(b)
}

// A backend that is back gets a tenth of its weight at first, and all of it after SlowStart.
func TestSlowStart(t *testing.T) {
	for _, s := range []Strategy{WeightedRoundRobin, Random, TwoChoices} {
		t.Run(fmt.Sprint("strategy ", s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 10000
				pool := weighted(s, 10, 10)
				pool.cfg.SlowStart = 100 * time.Second
				pool.Update(pool.cfg)
				pool.SetHealth("1", Health{State: Up})
				if got := counts(t, pool, n); !near(got[1], n, 0.5, 0) {
					t.Errorf("at the first look: %v", got)
				}
				pool.SetHealth("1", Health{State: Down})
				counts(t, pool, 100)
				pool.SetHealth("1", Health{State: Up})
				for _, weight := range []float64{0.1, 0.325, 0.55, 0.775, 1, 1} {
					share := weight / (1 + weight)
					if got := counts(t, pool, n); !near(got[1], n, share, 0) {
						t.Errorf("weight %v: counts %v, want a share of %.3f", weight, got, share)
					}
					time.Sleep(25 * time.Second)
				}
				if pool.warming {
					t.Error("it never ends")
				}
			})
		})
	}
}

// RoundRobin knows no weights, and the hashing strategies share the keys out.
func TestSlowStartWithoutWeights(t *testing.T) {
	for _, s := range []Strategy{RoundRobin, SourceHash, IdentityHash} {
		t.Run(fmt.Sprint("strategy ", s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 10000
				pool := weighted(s, 1, 1)
				pool.cfg.SlowStart = 100 * time.Second
				pool.Update(pool.cfg)
				pool.SetHealth("1", Health{State: Down})
				pool.SetHealth("1", Health{State: Up})
				for _, warmth := range []float64{0.1, 0.325, 0.55, 0.775, 1, 1} {
					share := warmth / 2 // of the keys
					if s == RoundRobin {
						share = warmth / (1 + warmth)
					}
					if got := counts(t, pool, n); !near(got[1], n, share, 0.02) {
						t.Errorf("warmth %v: counts %v, want a share of %.3f", warmth, got, share)
					}
					time.Sleep(25 * time.Second)
				}
				if pool.warming {
					t.Error("it never ends")
				}
			})
		})
	}
}

// A key that has come back stays: its backend only gets warmer.
func TestSlowStartMovesEachKeyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := weighted(SourceHash, 1, 1, 1)
		pool.cfg.SlowStart = 100 * time.Second
		pool.Update(pool.cfg)
		pool.SetHealth("1", Health{State: Down})
		pool.SetHealth("1", Health{State: Up})
		back := map[int]bool{}
		for range 12 {
			for i := range 500 {
				b := take(t, pool, someKey(i))
				pool.release(b)
				if back[i] && b.addr != "1" {
					t.Fatalf("key %d went away again", i)
				}
				back[i] = b.addr == "1"
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// When all start slowly they take turns, with any strategy.
func TestSlowStartOfAll(t *testing.T) {
	for _, s := range allStrategies {
		pool := weighted(s, 1, 1, 1)
		pool.cfg.SlowStart = time.Hour
		pool.Update(pool.cfg)
		for _, b := range pool.backends {
			pool.SetHealth(b.addr, Health{State: Down})
			pool.SetHealth(b.addr, Health{State: Up})
		}
		const n = 3000
		got := counts(t, pool, n)
		for i := range pool.backends {
			if !near(got[i], n, 1.0/3, 0.06) {
				t.Errorf("strategy %d: %v", s, got)
				break
			}
		}
	}
}

func TestSlowStartOfLeastConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := weighted(LeastConnections, 1, 1)
		pool.cfg.SlowStart = 100 * time.Second
		pool.Update(pool.cfg)
		pool.SetHealth("1", Health{State: Ejected})
		pool.SetHealth("1", Health{State: Up})
		for range 110 {
			take(t, pool, pickKey{})
		}
		if got := pool.backends[1].active; got < 9 || got > 11 {
			t.Errorf("%d of 110 at the start, want 10", got)
		}
		time.Sleep(100 * time.Second)
		for range 110 {
			take(t, pool, pickKey{})
		}
		if a, b := pool.backends[0].active, pool.backends[1].active; a != b {
			t.Errorf("%d and %d at the end", a, b)
		}
	})
}

// Where nobody looks any more nobody is known to be back.
func TestUnknownDoesNotStartSlowly(t *testing.T) {
	pool := weighted(WeightedRoundRobin, 1, 1)
	pool.cfg.SlowStart = time.Hour
	pool.Update(pool.cfg)
	for _, state := range []HealthState{Up, Down, Up, Ejected, Unknown} {
		pool.SetHealth("0", Health{State: state})
	}
	if got := counts(t, pool, 100); got[0] < 49 || got[0] > 51 {
		t.Errorf("counts %v", got)
	}
}

func TestSlowStartCanBeSwitchedOff(t *testing.T) {
	pool := weighted(WeightedRoundRobin, 1, 1)
	pool.cfg.SlowStart = time.Hour
	pool.Update(pool.cfg)
	pool.SetHealth("0", Health{State: Down})
	pool.SetHealth("0", Health{State: Up})
	pool.cfg.SlowStart = -1
	pool.Update(pool.cfg)
	if got := counts(t, pool, 100); got[0] < 49 || got[0] > 51 {
		t.Errorf("counts %v", got)
	}
}

// Connections to a backend in maintenance end at once, those of a drained one by the drain timeout.
func TestMaintenanceClosesAtOnceDrainLater(t *testing.T) {
	addrs := []string{upstream(t, echo), upstream(t, echo)}
	pool := poolOf(addrs...)
	r := newRig(t, Config{Admit: to(pool), CloseTimeout: 100 * time.Millisecond})
	conns := make([]*net.TCPConn, 2)
	for i := range conns { // one after the other, so that each has its turn
		conns[i] = r.dialPlain(t)
		mustWrite(t, conns[i], "x")
		mustRead(t, conns[i], "x")
		eventually(t, "it has its backend", func() bool { return pool.Stats().Backends[i].Active == 1 })
	}
	pool.Update(PoolConfig{DrainTimeout: 500 * time.Millisecond, Backends: []Backend{{Addr: addrs[0], State: Drain}, {Addr: addrs[1], State: Maintenance}}})
	for i := range addrs {
		if e := r.next(t, Closed, i); e.Reason != ReasonKilled || e.Backend != addrs[1-i] {
			t.Errorf("reason %s, route %s", e.Reason, e.Backend)
		}
		if i == 0 {
			if left := time.Until(pool.Stats().Backends[0].ClosesAt); left <= 0 || left > 500*time.Millisecond {
				t.Errorf("what is left of the drained one has %v", left)
			}
			mustWrite(t, conns[0], "y")
			mustRead(t, conns[0], "y")
		}
	}
}

func TestDeadlineOfDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		update := func(p *Pool, s State, d time.Duration) {
			p.Update(PoolConfig{DrainTimeout: d, Backends: []Backend{{Addr: "a:1", State: s}}})
		}
		pool := poolOf("a:1")
		b, started := take(t, pool, pickKey{}), time.Now()
		update(pool, Drain, -1)
		if b.closeBy.Load() != 0 {
			t.Error("for ever has an end")
		}
		update(pool, Drain, time.Minute)
		time.Sleep(time.Second)
		update(pool, Drain, time.Minute)
		pool.Update(PoolConfig{DrainTimeout: time.Minute})
		update(pool, Drain, time.Minute)
		if by := time.Unix(0, b.closeBy.Load()); !by.Equal(started.Add(time.Minute)) {
			t.Errorf("it was put off to %v", by.Sub(started))
		}
		update(pool, Maintenance, time.Minute)
		if by := time.Unix(0, b.closeBy.Load()); by.After(time.Now()) {
			t.Errorf("maintenance waits %v", time.Until(by))
		}
		update(pool, Ready, time.Minute)
		if b.closeBy.Load() != 0 {
			t.Error("it is ready and its connections would end")
		}
		pool.release(b)
	})
}

// What makes a backend usable serves those who wait, and what leaves them none sends them away.
func TestHealthServesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(PoolConfig{PanicPercent: -1, Backends: []Backend{{Addr: "a", Capacity: 1}, {Addr: "b", Capacity: 1}}})
		pool.SetHealth("b", Health{State: Down})
		take(t, pool, pickKey{})
		first, second := wait(t, pool), wait(t, pool)
		time.Sleep(time.Minute)
		if s := pool.Stats(); s.Waiting != 2 || s.QueueLimit != 1024 || s.OldestWait != time.Minute {
			t.Errorf("stats %+v", s)
		}
		pool.SetHealth("b", Health{State: Up})
		if got := <-first; got != "b" {
			t.Errorf("the first got %q, want %q", got, "b")
		}
		pool.SetHealth("a", Health{State: Down})
		pool.SetHealth("b", Health{State: Down})
		if got := <-second; got != string(ReasonNoBackend) {
			t.Errorf("the second got %q, want %q", got, string(ReasonNoBackend))
		}
		if s := pool.Stats(); s.Waiting != 0 || s.OldestWait != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// wait joins the queue, and sends the name of the backend it gets or the reason why it gets none.
func wait(t *testing.T, p *Pool) <-chan string {
	got := make(chan string, 1)
	go func() {
		b, err := p.acquire(t.Context(), pickKey{}, nil)
		if err != nil {
			got <- string(ReasonOf(err))
			return
		}
		got <- b.addr
	}()
	synctest.Wait()
	return got
}
