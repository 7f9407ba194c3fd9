package lb

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"net/netip"
	"slices"
	"testing"
)

var allStrategies = []Strategy{RoundRobin, LeastConnections, WeightedRoundRobin, TwoChoices, Random, SourceHash, IdentityHash}

// weighted is a pool whose backends "0", "1" … have these weights.
func weighted(s Strategy, weights ...int) *Pool {
	cfg := PoolConfig{Strategy: s, QueueLimit: -1}
	for i, w := range weights {
		cfg.Backends = append(cfg.Backends, Backend{Addr: fmt.Sprint(i), Weight: w})
	}
	return NewPool(cfg)
}

func randomWeights(random *rand.Rand, most int) []int {
	weights := make([]int, 1+random.Intn(12))
	for i := range weights {
		weights[i] = 1 + random.Intn(most)
	}
	return weights
}

func sum(numbers []int) int {
	total := 0
	for _, n := range numbers {
		total += n
	}
	return total
}

// take gets a slot, of a backend that has one.
func take(t testing.TB, p *Pool, key pickKey, tried ...*backend) *backend {
	t.Helper()
	b, err := p.acquire(t.Context(), key, tried)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused wants acquire to fail for a reason.
func refused(t testing.TB, p *Pool, want Reason, tried ...*backend) {
	t.Helper()
	b, err := p.acquire(t.Context(), pickKey{}, tried)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Fatalf("%v, %v; want %s", b, err, want)
	}
}

// someKey is that of connection i, each from an address and with an identity of its own.
func someKey(i int) pickKey {
	address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return pickKey{address: address, identity: address.String()}
}

// counts is what n connections that end at once get, by the number in the backend's name.
func counts(t testing.TB, p *Pool, n int) []int {
	t.Helper()
	got := make([]int, len(p.backends))
	for i := range n {
		b := take(t, p, someKey(i))
		p.release(b)
		got[number(b)]++
	}
	return got
}

func number(b *backend) int {
	var i int
	fmt.Sscan(b.addr, &i)
	return i
}

// near tells whether a count is within 6 standard deviations of n draws, and some more, of the share p.
func near(got, n int, p, more float64) bool {
	want := float64(n) * p
	return math.Abs(float64(got)-want) <= 6*math.Sqrt(want*(1-p))+more*want+1
}

func TestRoundRobinIgnoresWeights(t *testing.T) {
	if got := counts(t, weighted(RoundRobin, 1, 5, 256), 300); !slices.Equal(got, []int{100, 100, 100}) {
		t.Errorf("counts %v", got)
	}
	if got := counts(t, weighted(Strategy(99), 1, 2, 3), 300); !slices.Equal(got, []int{100, 100, 100}) {
		t.Errorf("an unknown strategy: counts %v", got)
	}
}

// Each cycle is exact, and so is each part of it when the weights have a divisor in common.
func TestWeightedRoundRobinIsExactOverACycle(t *testing.T) {
	random := seeded(t)
	for range 50 {
		weights := randomWeights(random, maxWeight/3)
		factor := 1 + random.Intn(3)
		scaled := make([]int, len(weights))
		for i, w := range weights {
			scaled[i] = factor * w
		}
		pool := weighted(WeightedRoundRobin, scaled...)
		for range 3 {
			if got := counts(t, pool, sum(weights)); !slices.Equal(got, weights) {
				t.Fatalf("factor %d: counts %v, want %v", factor, got, weights)
			}
		}
	}
}

// At no moment is anybody two connections away from what is due.
func TestWeightedRoundRobinIsInterleaved(t *testing.T) {
	random := seeded(t)
	for range 50 {
		weights := randomWeights(random, 20)
		pool := weighted(WeightedRoundRobin, weights...)
		got := make([]int, len(weights))
		for n := 1; n <= 2*sum(weights); n++ {
			b := take(t, pool, pickKey{})
			got[number(b)]++
			for i, w := range weights {
				due := float64(n) * float64(w) / float64(sum(weights))
				if math.Abs(float64(got[i])-due) > 2 {
					t.Fatalf("weights %v: after %d, backend %d has %d, due %.1f", weights, n, i, got[i], due)
				}
			}
		}
	}
	pool := weighted(WeightedRoundRobin, 5, 1, 1)
	order := ""
	for range 14 {
		order += take(t, pool, pickKey{}).addr
	}
	if order != "00010020001002" {
		t.Errorf("order %s, want 00010020001002", order)
	}
}

// The clock of the rounds is set back now and then; nothing may be seen of it.
func TestWeightedRoundRobinStaysExact(t *testing.T) {
	pool := weighted(WeightedRoundRobin, 3, 1, 7)
	for round := range 3 * manyRounds {
		got := counts(t, pool, round%11)
		pool.Update(pool.cfg)
		for i, n := range counts(t, pool, 11-round%11) {
			got[i] += n
		}
		if !slices.Equal(got, []int{3, 1, 7}) {
			t.Fatalf("round %d: counts %v", round, got)
		}
	}
	if now := pool.policy.(*weightedRoundRobin).now; now > manyRounds {
		t.Errorf("the clock is at %v", now)
	}
}

func TestMissedTurnsAreNotMadeUpFor(t *testing.T) {
	pool := NewPool(PoolConfig{Strategy: WeightedRoundRobin, Backends: []Backend{{Addr: "0", Capacity: 1}, {Addr: "1"}}})
	full := take(t, pool, pickKey{})
	for range 100 {
		if b := take(t, pool, pickKey{}); b.addr != "1" {
			t.Fatalf("picked %s, which is full, want 1", b.addr)
		}
	}
	pool.release(full)
	if got := counts(t, pool, 20); got[0] < 9 || got[0] > 11 {
		t.Errorf("after it was full: %v", got)
	}
}

// While connections only come, nobody could have given one to another for whom it were less.
func TestLeastConnectionsEvensOutByWeight(t *testing.T) {
	random := seeded(t)
	for range 50 {
		weights := randomWeights(random, 10)
		pool := weighted(LeastConnections, weights...)
		for range random.Intn(500) {
			take(t, pool, pickKey{})
		}
		for _, a := range pool.backends {
			for _, b := range pool.backends {
				if float64(a.active-1)/float64(a.weight) > float64(b.active)/float64(b.weight) {
					t.Fatalf("%d of weight %d, %d of weight %d", a.active, a.weight, b.active, b.weight)
				}
			}
		}
	}
}

// The heap has to find what a look at all backends finds, through any history.
func TestLeastConnectionsFindsTheLeast(t *testing.T) {
	random := seeded(t)
	pool := weighted(LeastConnections, 1, 2, 3, 4, 1, 2, 3, 4)
	for i := range pool.backends {
		pool.cfg.Backends[i].Capacity = 10 * (i % 3)
	}
	pool.Update(pool.cfg)
	var held []*backend
	for range 5000 {
		if len(held) > 0 && random.Intn(3) == 0 {
			i := random.Intn(len(held))
			pool.release(held[i])
			held = slices.Delete(held, i, i+1)
			continue
		}
		tried := attempts{pool.backends[random.Intn(8)], pool.backends[random.Intn(8)]}
		least := math.Inf(1)
		for _, b := range pool.backends {
			if b.open(tried) {
				least = min(least, float64(b.active)/float64(b.weight))
			}
		}
		b := take(t, pool, pickKey{}, tried...)
		if got := float64(b.active-1) / float64(b.weight); got != least || tried.has(b) {
			t.Fatalf("picked one at %v, the least is %v", got, least)
		}
		held = append(held, b)
	}
}

func TestLeastConnectionsTakesIdleOnesInTurn(t *testing.T) {
	if got := counts(t, weighted(LeastConnections, 1, 1, 1, 1), 400); !slices.Equal(got, []int{100, 100, 100, 100}) {
		t.Errorf("counts %v", got)
	}
}

func TestRandomGoesByWeight(t *testing.T) {
	const n = 10000
	random := seeded(t)
	for _, s := range []Strategy{Random, TwoChoices} { // without load two choices are no choice
		for range 5 {
			weights := randomWeights(random, maxWeight)
			for i, got := range counts(t, weighted(s, weights...), n) {
				if share := float64(weights[i]) / float64(sum(weights)); !near(got, n, share, 0) {
					t.Errorf("strategy %d: %d of %d, want %.3f", s, got, n, share)
				}
			}
		}
	}
}

// Under load two choices stay much closer to each other than random ones.
func TestTwoChoicesEvenOutByWeight(t *testing.T) {
	spread := func(s Strategy) float64 {
		weights := make([]int, 100)
		for i := range weights {
			weights[i] = 1 + i%3
		}
		pool := weighted(s, weights...)
		for range 20000 {
			take(t, pool, pickKey{})
		}
		least, most := math.Inf(1), 0.0
		for _, b := range pool.backends {
			load := float64(b.active) / float64(b.weight)
			least, most = min(least, load), max(most, load)
		}
		return most - least
	}
	two, one := spread(TwoChoices), spread(Random)
	t.Logf("connections for the weight differ by %.1f with two choices, %.1f at random", two, one)
	if two > 12 || two > one/2 {
		t.Errorf("they differ by %.1f, at random by %.1f", two, one)
	}
}

// The two are different ones, so of two backends the one with fewer connections gets each.
func TestTwoChoicesAreTwo(t *testing.T) {
	pool := weighted(TwoChoices, 1, 1)
	for range 1000 {
		take(t, pool, pickKey{})
		if a, b := pool.backends[0].active, pool.backends[1].active; max(a, b)-min(a, b) > 1 {
			t.Fatalf("%d and %d connections", a, b)
		}
	}
}

// No strategy picks one that is full or tried, and each finds the last one that is neither.
func TestEveryStrategyFindsWhatIsOpen(t *testing.T) {
	random := seeded(t)
	for _, s := range allStrategies {
		for _, n := range []int{1, 2, 5, 300} {
			pool := weighted(s, slices.Repeat([]int{1}, n)...)
			for i := range pool.cfg.Backends {
				pool.cfg.Backends[i].Capacity = 1
			}
			pool.Update(pool.cfg)
			seen := map[*backend]bool{}
			for i := range n {
				b := take(t, pool, someKey(i))
				if seen[b] {
					t.Fatalf("strategy %d: %s twice", s, b.addr)
				}
				seen[b] = true
			}
			refused(t, pool, ReasonAllFull)
			refused(t, pool, ReasonAllFull, pool.backends[1:]...)
			refused(t, pool, ReasonNoBackend, pool.backends...)
			last := pool.backends[random.Intn(n)]
			pool.release(last)
			if b := take(t, pool, someKey(random.Int())); b != last {
				t.Errorf("strategy %d: picked %s, %s is open", s, b.addr, last.addr)
			}
			for _, b := range pool.backends {
				pool.release(b)
			}
			others := slices.DeleteFunc(slices.Clone(pool.backends), func(b *backend) bool { return b == last })
			if b := take(t, pool, someKey(random.Int()), others...); b != last {
				t.Errorf("strategy %d: picked %s, not tried is %s", s, b.addr, last.addr)
			}
		}
	}
}

func TestEveryStrategyGoesOnWhenADialFails(t *testing.T) {
	up, down := upstream(t, greeter("up")), closedPort(t)
	for _, s := range allStrategies {
		r := newRig(t, Config{Admit: to(NewPool(PoolConfig{Strategy: s, Backends: []Backend{{Addr: down, Weight: 9}, {Addr: up}}}))})
		for range 4 {
			if got := ask(t, r); got != "up" {
				t.Errorf("strategy %d: %q, want %q", s, got, "up")
			}
		}
	}
}
