package lb

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestKillClosesOneAndNoOther(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		r := newRig(t, Config{TLS: with, Admit: keyed(poolOf(upstream(t, echo)), "frontend:1", "client:7")})
		conns := []stream{open(t, r), open(t, r), open(t, r)}
		victim := r.next(t, Accepted, 1).ID
		for _, wrong := range []struct {
			key string
			id  uint64
		}{{"frontend:2", victim}, {"", victim}, {"frontend:1", 0}, {"frontend:1", victim + 100}} {
			if r.Kill(wrong.key, wrong.id) {
				t.Errorf("killed %d of %q", wrong.id, wrong.key)
			}
		}
		if !r.Kill("frontend:1", victim) {
			t.Fatal("not killed")
		}
		if r.Kill("frontend:1", victim) || r.Kill("client:7", victim) {
			t.Error("killed twice")
		}
		for _, c := range r.Connections("client:7") {
			if c.ID == victim {
				t.Error("it is still listed")
			}
		}
		conns[1].SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conns[1].Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("its client sees %v", err)
		}
		if e := r.next(t, Closed, 0); e.ID != victim || e.Reason != ReasonKilled {
			t.Errorf("connection %d ended: %s", e.ID, e.Reason)
		}
		for _, other := range []stream{conns[0], conns[2]} {
			mustWrite(t, other, "still")
			mustRead(t, other, "still")
		}
	})
}

// Who hears that a connection has closed, and lists what is open, finds it gone.
func TestClosedConnectionIsNotListed(t *testing.T) {
	var served atomic.Pointer[rig]
	listed := make(chan int, 1)
	trace := func(e Event) {
		if e.Kind == Closed {
			listed <- len(served.Load().Connections("k"))
		}
	}
	r := newRig(t, Config{Admit: keyed(poolOf(upstream(t, echo)), "k"), Trace: trace})
	served.Store(r)
	open(t, r).Close()
	select {
	case n := <-listed:
		if n != 0 {
			t.Errorf("%d connections are listed when the only one has closed, want 0", n)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("nothing was told of the end in 5 s")
	}
}

func TestKillReachesOneThatWaits(t *testing.T) {
	pool := NewPool(PoolConfig{Backends: []Backend{{Addr: upstream(t, echo), Capacity: 1}}})
	r := newRig(t, Config{Admit: keyed(pool, "k")})
	first := open(t, r)
	r.dial(t)
	eventually(t, "it waits", func() bool { return pool.Stats().Waiting == 1 })
	if !r.Kill("k", r.next(t, Accepted, 1).ID) {
		t.Error("not killed")
	}
	if e := r.next(t, Closed, 0); e.Reason != ReasonKilled {
		t.Errorf("reason %s, want %v", e.Reason, ReasonKilled)
	}
	mustWrite(t, first, "still")
	mustRead(t, first, "still")
	eventually(t, "nobody waits", func() bool { return pool.Stats().Waiting == 0 })
}

// A connection that ends while several want to kill it dies once, and leaves nothing behind.
func TestKillRacesWithTheEnd(t *testing.T) {
	pool := poolOf(upstream(t, echo))
	r := newRig(t, Config{Admit: keyed(pool, "k")})
	var kills, reasons atomic.Int64
	for i := range 200 {
		conn := open(t, r)
		id := r.next(t, Accepted, i).ID
		var all sync.WaitGroup
		all.Go(func() { conn.Close() })
		for range 2 {
			all.Go(func() {
				if r.Kill("k", id) {
					kills.Add(1)
				}
			})
		}
		all.Go(func() { r.Connections("k") })
		all.Wait()
		if r.next(t, Closed, i).Reason == ReasonKilled {
			reasons.Add(1)
		}
	}
	if kills.Load() > 200 || reasons.Load() > kills.Load() {
		t.Errorf("%d kills, %d connections ended by one", kills.Load(), reasons.Load())
	}
	eventually(t, "nothing is left", func() bool {
		s := pool.Stats()
		return len(r.Connections("k")) == 0 && s.Active == 0 && r.Stats().Live == 0
	})
}

func TestConnectionsTellWhetherTheSessionWasResumed(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: keyed(poolOf(upstream(t, echo)), "k")})
	cfg := r.clientConfig(t, "client")
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, want := range []bool{false, true} {
		conn, err := r.dialTLS(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, conn, "x")
		mustRead(t, conn, "x")
		all := r.Connections("k")
		if len(all) != 1 || all[0].Resumed != want {
			t.Errorf("connections %+v, want one with resumed %v", all, want)
		}
		r.Kill("k", all[0].ID)
	}
}
