package lb

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"testing"
)

func TestHashGoesByWeight(t *testing.T) {
	const n = 20000
	for _, s := range []Strategy{SourceHash, IdentityHash} {
		weights := []int{1, 2, 3, 10, 4}
		for i, got := range counts(t, weighted(s, weights...), n) {
			if share := float64(weights[i]) / float64(sum(weights)); !near(got, n, share, 0.02) {
				t.Errorf("strategy %d: %d of %d, want %.3f", s, got, n, share)
			}
		}
	}
}

func TestHashGoesByItsKeyAlone(t *testing.T) {
	a := someKey(1)
	source, identity := weighted(SourceHash, 1, 1, 1, 1, 1), weighted(IdentityHash, 1, 1, 1, 1, 1)
	for i := range 100 {
		if take(t, source, someKey(i)) != take(t, source, pickKey{someKey(i).address, "other"}) {
			t.Error("the identity matters to the source's hash")
		}
		if take(t, identity, someKey(i)) != take(t, identity, pickKey{a.address, someKey(i).identity}) {
			t.Error("the address matters to the identity's hash")
		}
	}
	for i := range 100 {
		key := pickKey{address: someKey(i).address}
		if take(t, identity, key).addr != take(t, source, key).addr {
			t.Error("without an identity the address does not stand in")
		}
	}
	mapped := netip.AddrFrom16(a.address.As16())
	if take(t, source, a) != take(t, source, pickKey{address: mapped}) {
		t.Error("an address and its IPv6 form differ")
	}
	for _, pool := range []*Pool{source, identity} {
		got := make([]int, 5)
		for range 500 {
			got[number(take(t, pool, pickKey{}))]++
		}
		if slices.Min(got) == 0 {
			t.Errorf("without any key: %v", got)
		}
	}
}

// The order of the backends and where they are is nothing to the hash.
func TestBalancersAgreeOnTheHash(t *testing.T) {
	one := weighted(SourceHash, 1, 2, 3)
	other := NewPool(PoolConfig{Strategy: SourceHash, Backends: []Backend{{Addr: "2", Weight: 3}, {Addr: "0"}, {Addr: "1", Weight: 2}}})
	for i := range 1000 {
		if a, b := take(t, one, someKey(i)), take(t, other, someKey(i)); a.addr != b.addr {
			t.Fatalf("key %d: %s and %s", i, a.addr, b.addr)
		}
	}
}

// When a backend cannot be picked its keys move, all in the same way each time, and no others.
func TestHashMovesOnlyTheKeysOfTheLost(t *testing.T) {
	const n = 5000
	lose := map[string]func(*Pool){
		"down":    func(p *Pool) { p.SetHealth("3", Health{State: Down}) },
		"full":    func(p *Pool) { p.backends[3].capacity = 1; p.backends[3].active = 1 },
		"drained": func(p *Pool) { p.cfg.Backends[3].State = Drain; p.Update(p.cfg) },
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			pool := weighted(SourceHash, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
			before := owner(t, pool, n)
			lose(pool)
			after, again := owner(t, pool, n), owner(t, pool, n)
			moved := map[int]int{}
			for i := range before {
				switch {
				case after[i] == 3 || after[i] != again[i]:
					t.Fatalf("key %d: %d, then %d", i, after[i], again[i])
				case before[i] == 3:
					moved[after[i]]++
				case before[i] != after[i]:
					t.Errorf("key %d went from %d to %d", i, before[i], after[i])
				}
			}
			if len(moved) != 9 {
				t.Errorf("its keys went to %v", moved)
			}
		})
	}
}

// owner is the number of the backend of each of n keys.
func owner(t testing.TB, p *Pool, n int) []int {
	t.Helper()
	all := make([]int, n)
	for i := range all {
		b := take(t, p, someKey(i))
		p.release(b)
		all[i] = number(b)
	}
	return all
}

func TestRemovedBackendMovesFewKeys(t *testing.T) {
	const n, keys = 20, 20000
	pool := weighted(IdentityHash, slices.Repeat([]int{1}, n)...)
	before := owner(t, pool, keys)
	pool.Update(PoolConfig{Strategy: IdentityHash, Backends: slices.Delete(pool.cfg.Backends, 7, 8)})
	moved := 0
	for i, now := range owner(t, pool, keys) {
		if now != before[i] {
			moved++
		}
	}
	if !near(moved, keys, 1.0/n, 0.2) {
		t.Errorf("%d of %d keys moved", moved, keys)
	}
}

// The server hands on whom the connection comes from and what Admit says of it.
func TestServerGivesTheHashItsKey(t *testing.T) {
	addrs := names(t, 3)
	for s, key := range map[Strategy]pickKey{
		SourceHash:   {address: netip.MustParseAddr("127.0.0.1")},
		IdentityHash: {identity: "somebody"},
	} {
		cfg := PoolConfig{Strategy: s}
		for _, addr := range addrs {
			cfg.Backends = append(cfg.Backends, Backend{Addr: addr})
		}
		pool := NewPool(cfg)
		r := newRig(t, Config{Admit: func(tls.ConnectionState) (Admission, error) {
			return Admission{Pool: pool, HashKey: key.identity}, nil
		}})
		want := take(t, NewPool(cfg), key).addr
		for range 5 {
			if got := ask(t, r); got != string(rune('a'+slices.Index(addrs, want))) {
				t.Errorf("strategy %d: %q answered, the key is that of %s, want %q", s, got, want, string(rune('a'+slices.Index(addrs, want))))
			}
		}
	}
}
