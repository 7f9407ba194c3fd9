package pki

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeysRoundTripAndOpensslReadsThem(t *testing.T) {
	for _, kind := range KeyTypes {
		t.Run(string(kind), func(t *testing.T) {
			key := must[crypto.Signer](t)(GenerateKey(kind))
			text := must[[]byte](t)(EncodeKey(key))
			again := must[crypto.Signer](t)(parseKey(text))
			if !again.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				t.Error("another key came back")
			}
			if _, isRSA := key.(*rsa.PrivateKey); isRSA != strings.HasPrefix(string(text), "-----BEGIN RSA PRIVATE KEY-----\n") {
				t.Errorf("written as %.40q", text)
			}
			if out, err := openssl(t, map[string][]byte{"key.pem": text}, "pkey", "-in", "key.pem", "-noout", "-check"); err != nil {
				t.Errorf("openssl: %s", out)
			}
		})
	}
	if _, err := GenerateKey("dsa"); !errors.Is(err, ErrKeyType) {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestTokenKeyRoundTrip(t *testing.T) {
	der := must[[]byte](t)(NewTokenKey())
	key := must[*rsa.PrivateKey](t)(ParseTokenKey(der))
	if key.N.BitLen() != 3072 || KeyID(key.Public()) != KeyID(must[*rsa.PrivateKey](t)(ParseTokenKey(der)).Public()) || len(KeyID(key.Public())) != 16 {
		t.Errorf("%d bits, ID %q", key.N.BitLen(), KeyID(key.Public()))
	}
	other := must[crypto.Signer](t)(GenerateKey(ECDSAP256))
	if KeyID(other.Public()) == KeyID(key.Public()) || KeyID("no key") != "" {
		t.Error("IDs of different keys")
	}
	for name, bad := range map[string][]byte{"nothing": nil, "ECDSA": must[[]byte](t)(x509.MarshalPKCS8PrivateKey(other))} {
		if _, err := ParseTokenKey(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// fastPool makes keys that take no time, inside a bubble whose clock is the test's.
func fastPool(size int, busy func() bool) *KeyPool {
	return NewKeyPool(KeyPoolConfig{Type: ECDSAP256, Size: size, Busy: busy})
}

// running runs a pool until the test ends, and waits for it.
func running(t *testing.T, p *KeyPool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPoolDefaults(t *testing.T) {
	p := NewKeyPool(KeyPoolConfig{})
	if p.cfg.Type != RSA3072 || cap(p.ready) != 4 {
		t.Errorf("makes %d of %s ahead", cap(p.ready), p.cfg.Type)
	}
}

func TestPoolHandsOutKeysMadeAheadEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fastPool(3, nil)
		running(t, p)
		synctest.Wait()
		if len(p.ready) != 3 {
			t.Fatalf("%d ready, want 3", len(p.ready))
		}
		must0(t, p.turn.Take(t.Context(), "somebody")) // nobody can make one now
		seen := map[string]bool{}
		for i := range 3 {
			seen[KeyID(must[crypto.Signer](t)(p.Get(t.Context(), fmt.Sprint(i))).Public())] = true
		}
		if len(seen) != 3 {
			t.Errorf("%d different keys of 3, want 3", len(seen))
		}
		p.turn.Pass()
		synctest.Wait()
		if len(p.ready) != 3 {
			t.Errorf("%d ready after they were taken, want 3", len(p.ready))
		}
	})
}

func TestPoolWorksWithoutRun(t *testing.T) {
	p := fastPool(1, nil)
	must[crypto.Signer](t)(p.Get(t.Context(), "me"))
	must[crypto.Signer](t)(p.Generate(t.Context(), ECDSAP256, "me"))
	key := must[crypto.Signer](t)(p.Generate(t.Context(), Ed25519, "me"))
	if !strings.Contains(string(must[[]byte](t)(EncodeKey(key))), "PRIVATE KEY") {
		t.Error("no key")
	}
	if _, err := p.Generate(t.Context(), "dsa", "me"); !errors.Is(err, ErrKeyType) {
		t.Errorf("an unknown type: %v", err)
	}
	must[crypto.Signer](t)(p.Generate(t.Context(), Ed25519, "me")) // the turn was given back
}

func TestPoolMakesOneKeyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fastPool(2, nil)
		must0(t, p.turn.Take(t.Context(), "somebody")) // as if a key was being made
		running(t, p)
		var got atomic.Int32
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				kind := []KeyType{ECDSAP256, RSA2048}[i/7]
				if _, err := p.Generate(t.Context(), kind, "me"); err != nil {
					t.Error(err)
				}
				got.Add(1)
			})
		}
		synctest.Wait()
		if got.Load() != 0 || len(p.ready) != 0 {
			t.Errorf("%d keys handed out and %d made ahead while another was being made", got.Load(), len(p.ready))
		}
		p.turn.Pass()
		group.Wait()
	})
}

func TestPoolHonoursTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fastPool(2, nil)
		must0(t, p.turn.Take(t.Context(), "somebody"))
		for _, get := range []func(context.Context) (crypto.Signer, error){
			func(ctx context.Context) (crypto.Signer, error) { return p.Get(ctx, "me") },
			func(ctx context.Context) (crypto.Signer, error) { return p.Generate(ctx, RSA2048, "me") },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			start := time.Now()
			if key, err := get(ctx); !errors.Is(err, context.DeadlineExceeded) || key != nil {
				t.Errorf("got %v, %v", key, err)
			}
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("waited %v, want %v", took, 5*time.Second)
			}
			cancel()
		}
	})
}

// A caller that is gone must not cost a key.
func TestPoolMakesNothingForACallerThatIsGone(t *testing.T) {
	p := fastPool(1, nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if key, err := p.Get(gone, "me"); !errors.Is(err, context.Canceled) || key != nil {
			t.Fatalf("Get: %v, %v", key, err)
		}
		if key, err := p.Generate(gone, Ed25519, "me"); !errors.Is(err, context.Canceled) || key != nil {
			t.Fatalf("Generate: %v, %v", key, err)
		}
	}
}

func TestPoolIsNotRefilledWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		busy.Store(true)
		p := fastPool(2, busy.Load)
		running(t, p)
		time.Sleep(time.Minute)
		if len(p.ready) != 0 {
			t.Errorf("%d made ahead while busy, want 0", len(p.ready))
		}
		must[crypto.Signer](t)(p.Get(t.Context(), "me")) // who asks gets one all the same
		busy.Store(false)
		time.Sleep(2 * busyPause)
		if len(p.ready) != 2 {
			t.Errorf("%d ready after it was busy, want 2", len(p.ready))
		}
	})
}

func TestPoolStopsWithItsError(t *testing.T) {
	if err := NewKeyPool(KeyPoolConfig{Type: "dsa"}).Run(t.Context()); !errors.Is(err, ErrKeyType) {
		t.Errorf("Run: %v", err)
	}
}

// Whoever has just had a key leaves half of the ready ones to others, and keys that take microseconds wait for nobody.
func TestPoolKeepsKeysForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := fastPool(4, nil)
		running(t, p)
		synctest.Wait()
		must0(t, p.turn.Take(t.Context(), "somebody"))
		for range 2 {
			must[crypto.Signer](t)(p.Get(t.Context(), "greedy"))
		}
		within, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Get(within, "greedy"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the third: %v, want a wait", err)
		}
		must[crypto.Signer](t)(p.Get(t.Context(), "modest"))
		must[crypto.Signer](t)(p.Generate(t.Context(), Ed25519, "greedy"))
		time.Sleep(servedLately)
		must[crypto.Signer](t)(p.Get(t.Context(), "greedy"))
		p.turn.Pass()
	})
}

func must0(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
