package lb

import (
	"fmt"
	"testing"
)

// BenchmarkPick is one pick and the end of that connection, while others hold connections.
func BenchmarkPick(b *testing.B) {
	names := []string{"RoundRobin", "LeastConnections", "WeightedRoundRobin", "TwoChoices", "Random", "SourceHash", "IdentityHash"}
	for s, name := range names {
		for _, n := range []int{3, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchmarkPick(b, Strategy(s), n) })
		}
	}
}

func benchmarkPick(b *testing.B, s Strategy, n int) {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = 1 + i%3
	}
	pool := weighted(s, weights...)
	held := make([]*backend, 4*n)
	for i := range held {
		held[i], _ = pool.acquire(b.Context(), someKey(i), nil)
	}
	keys := make([]pickKey, 1024)
	for i := range keys {
		keys[i] = someKey(i)
	}
	ctx, i := b.Context(), 0
	b.ReportAllocs()
	for b.Loop() {
		lease := &held[i%len(held)]
		pool.release(*lease)
		*lease, _ = pool.acquire(ctx, keys[i%len(keys)], nil)
		i++
	}
}

// BenchmarkPickAmongFull has one open backend among 1,000.
func BenchmarkPickAmongFull(b *testing.B) {
	for _, s := range allStrategies {
		b.Run(fmt.Sprint("strategy ", s), func(b *testing.B) {
			cfg := PoolConfig{Strategy: s}
			for i := range 1000 {
				cfg.Backends = append(cfg.Backends, Backend{Addr: fmt.Sprint(i), Capacity: 1})
			}
			pool := NewPool(cfg)
			var last *backend
			for i := range 1000 {
				last, _ = pool.acquire(b.Context(), someKey(i), nil)
			}
			for b.Loop() {
				pool.release(last)
				last, _ = pool.acquire(b.Context(), someKey(1), nil)
			}
		})
	}
}

// BenchmarkUpdate changes one weight of 1,000, and BenchmarkSetHealth the health of one.
func BenchmarkUpdate(b *testing.B) {
	for _, s := range allStrategies {
		b.Run(fmt.Sprint("strategy ", s), func(b *testing.B) {
			pool, round := weighted(s, make([]int, 1000)...), 0
			cfg := pool.cfg
			cfg.Backends = append([]Backend(nil), cfg.Backends...)
			for b.Loop() {
				round++
				cfg.Backends[0].Weight = 1 + round%2
				pool.Update(cfg)
			}
		})
	}
}

func BenchmarkSetHealth(b *testing.B) {
	for _, s := range allStrategies {
		b.Run(fmt.Sprint("strategy ", s), func(b *testing.B) {
			pool, round := weighted(s, make([]int, 1000)...), 0
			for b.Loop() {
				round++
				pool.SetHealth("500", Health{State: Up + HealthState(round%2)})
			}
		})
	}
}
