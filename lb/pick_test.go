package lb

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueIsFairWithEveryStrategy(t *testing.T) {
	for _, s := range allStrategies {
		synctest.Test(t, func(t *testing.T) {
			pool := NewPool(PoolConfig{Strategy: s, Backends: []Backend{{Addr: "a", Capacity: 1}, {Addr: "b", Capacity: 1}}})
			take(t, pool, pickKey{})
			take(t, pool, pickKey{})
			var waiting []<-chan string
			for range 20 {
				waiting = append(waiting, wait(t, pool))
			}
			for i, got := range waiting {
				pool.release(pool.backends[i%2])
				synctest.Wait()
				if name := <-got; name != pool.backends[i%2].addr {
					t.Errorf("strategy %d: the %d. got %q, want %q", s, i, name, pool.backends[i%2].addr)
				}
				if left := pool.Stats().Waiting; left != len(waiting)-1-i {
					t.Errorf("strategy %d: %d wait after %d were served, want %d", s, left, i+1, len(waiting)-1-i)
				}
			}
		})
	}
}

func TestTurnsSurviveUpdates(t *testing.T) {
	for _, s := range []Strategy{RoundRobin, LeastConnections, WeightedRoundRobin} {
		random := seeded(t)
		pool := weighted(s, 1, 1, 1, 1, 1)
		got := make([]int, 5)
		for range 1000 {
			b := take(t, pool, pickKey{})
			got[number(b)]++
			pool.release(b)
			switch random.Intn(4) {
			case 0:
				pool.Update(pool.cfg)
			case 1:
				pool.cfg.Backends[random.Intn(5)].Capacity = random.Intn(3)
				pool.Update(pool.cfg)
			}
		}
		if !slices.Equal(got, []int{200, 200, 200, 200, 200}) {
			t.Errorf("strategy %d: counts %v", s, got)
		}
	}
	pool := poolOf("a", "b", "c", "d")
	take(t, pool, pickKey{})
	pool.Update(PoolConfig{Backends: []Backend{{Addr: "d"}, {Addr: "x"}, {Addr: "b"}, {Addr: "c"}}})
	if b := take(t, pool, pickKey{}); b.addr != "b" {
		t.Errorf("the turn was b's, %s got it, want b", b.addr)
	}
	pool.Update(PoolConfig{Backends: []Backend{{Addr: "a"}, {Addr: "b"}, {Addr: "d"}}})
	if b := take(t, pool, pickKey{}); b.addr != "d" {
		t.Errorf("c had the turn and is gone, %s got it instead of d, want d", b.addr)
	}
}

// The numbers of a pool add up at every moment, whatever is done to it at the same time.
func TestPoolAddsUpUnderChange(t *testing.T) {
	for _, s := range allStrategies {
		t.Run(fmt.Sprint("strategy ", s), func(t *testing.T) {
			random := seeded(t)
			pool := NewPool(anyConfig(random, s))
			stop, running := make(chan struct{}), sync.WaitGroup{}
			for i := range 8 {
				running.Go(func() { useUp(t, pool, i, stop) })
			}
			for range 100 {
				switch random.Intn(3) {
				case 0:
					pool.Update(anyConfig(random, Strategy(random.Intn(8))))
				case 1:
					pool.Update(anyConfig(random, s))
				default:
					pool.SetHealth(fmt.Sprint(random.Intn(5)), Health{State: HealthState(random.Intn(4))})
				}
				checkSums(t, pool)
			}
			close(stop)
			running.Wait()
			checkSums(t, pool)
			if s := pool.Stats(); s.Active != 0 || s.Waiting != 0 || len(pool.removed) != 0 {
				t.Errorf("left over: %+v, removed %v", s, pool.removed)
			}
		})
	}
}

func anyConfig(random *rand.Rand, s Strategy) PoolConfig {
	cfg := PoolConfig{
		Strategy: s, PanicPercent: []int{-1, 0, 100}[random.Intn(3)], QueueLimit: 1 + random.Intn(5),
		SlowStart: time.Duration(random.Intn(3)) * time.Millisecond,
	}
	for i := range 5 {
		if random.Intn(4) > 0 {
			cfg.Backends = append(cfg.Backends, Backend{
				Addr: fmt.Sprint(i), Capacity: 3, Weight: random.Intn(4), Backup: random.Intn(4) == 0,
				State: State(max(0, random.Intn(6)-3)),
			})
		}
	}
	random.Shuffle(len(cfg.Backends), func(i, j int) { cfg.Backends[i], cfg.Backends[j] = cfg.Backends[j], cfg.Backends[i] })
	return cfg
}

// useUp takes slots and gives them back, some after a second try.
func useUp(t *testing.T, p *Pool, i int, stop <-chan struct{}) {
	for round := 0; ; round++ {
		select {
		case <-stop:
			return
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round%4)*100*time.Microsecond)
		var tried attempts
		for range 1 + round%3 {
			b, err := p.acquire(ctx, someKey(i*round), tried)
			if err != nil {
				break
			}
			if tried.has(b) {
				t.Error("it was tried")
			}
			tried = append(tried, b)
			p.release(b)
		}
		cancel()
	}
}

// checkSums looks at what has to be so whenever the lock is free.
func checkSums(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	free := 0
	for at, b := range p.candidates {
		if b.at != at || b.state != Ready {
			t.Errorf("candidate %s at %d, not %d, state %d", b.addr, b.at, at, b.state)
		}
		if !b.full() {
			free++
		}
	}
	if free != p.free {
		t.Errorf("%d are free, not %d", free, p.free)
	}
	for _, b := range p.backends {
		if b.active < 0 || b.active > b.capacity {
			t.Errorf("%s has %d connections of %d", b.addr, b.active, b.capacity)
		}
	}
	waiting := 0
	for w := p.queue.first; w != nil; w = w.next {
		waiting++
		if len(w.tried) == 0 && p.free > 0 {
			t.Error("one waits though there is room")
		}
	}
	if waiting != p.queue.len || waiting > 8 {
		t.Errorf("%d wait, not %d", waiting, p.queue.len)
	}
}
