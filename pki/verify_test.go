package pki

import (
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestVerifierSaysWhy(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	a, other := around(t, now), around(t, now)
	v := NewVerifier(a.Certificate())
	good := issue(t, a, now)
	server := must[*x509.Certificate](t)(a.IssueServer(ServerRequest{Names: []string{"localhost"}, PublicKey: request(t, now).PublicKey, Now: now}))
	forged := *good
	forged.Raw = slices.Clone(good.Raw)
	forged.Raw[len(forged.Raw)-1] ^= 1
	forged.Signature = slices.Clone(good.Signature)
	forged.Signature[len(forged.Signature)-1] ^= 1
	cases := []struct {
		name string
		cert *x509.Certificate
		at   time.Time
		want error
	}{
		{"good", good, now, nil},
		{"first second", good, good.NotBefore, nil},
		{"too early", good, good.NotBefore.Add(-time.Second), ErrNotYetValid},
		{"last second", good, good.NotAfter.Add(-time.Second), nil},
		{"expired", good, good.NotAfter, ErrExpired},
		{"of another authority", issue(t, other, now), now, ErrOtherAuthority},
		{"a server's", server, now, ErrUsage},
		{"a server's, expired", server, server.NotAfter, ErrUsage},
		{"forged", &forged, now, ErrOtherAuthority},
		{"self-signed", other.Certificate(), now, ErrOtherAuthority},
	}
	for range 2 { // the second time it is remembered
		for _, c := range cases {
			id, err := v.Verify([]*x509.Certificate{c.cert, other.Certificate()}, c.at)
			if !errors.Is(err, c.want) || (err == nil) != (id == a.ID()) {
				t.Errorf("%s: %q, %v; want %v", c.name, id, err, c.want)
			}
		}
	}
	if _, err := v.Verify(nil, now); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("no certificate: %v", err)
	}
	if len(v.verified) != 1 {
		t.Errorf("remembers %d checks, want the good one only", len(v.verified))
	}
}

func TestTwoAuthoritiesOfOneName(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	v := NewVerifier(a.Certificate(), b.Certificate())
	for _, of := range []*Authority{a, b, a} {
		if id, err := v.Verify([]*x509.Certificate{issue(t, of, now)}, now); id != of.ID() || err != nil {
			t.Errorf("authority %q, %v; want %q", id, err, of.ID())
		}
	}
	if subjects := v.Pool(); subjects.Equal(x509.NewCertPool()) {
		t.Error("the hint for clients is empty")
	}
}

func TestSetIssuersForgets(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	v := NewVerifier(a.Certificate())
	chain := []*x509.Certificate{issue(t, a, now)}
	if _, err := v.Verify(chain, now); err != nil {
		t.Fatal(err)
	}
	v.SetIssuers([]*x509.Certificate{b.Certificate()}, nil)
	if _, err := v.Verify(chain, now); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("an authority that is no longer trusted: %v", err)
	}
	v.SetIssuers(nil, nil)
	if _, err := v.Verify(chain, now); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("no authority at all: %v", err)
	}
	v.SetIssuers([]*x509.Certificate{b.Certificate(), a.Certificate()}, nil)
	if _, err := v.Verify(chain, now); err != nil {
		t.Errorf("trusted again: %v", err)
	}
}

// The caller's slice stays the caller's: a change in it is no change of trust.
func TestSetIssuersKeepsNoHoldOfTheSlice(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	roots := []*x509.Certificate{a.Certificate()}
	v := NewVerifier(roots...)
	roots[0] = b.Certificate()
	if _, err := v.Verify([]*x509.Certificate{issue(t, b, now)}, now); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("an authority that was never trusted: %v", err)
	}
}

// A check that was begun under the old authorities must not be remembered under the new ones.
func TestCheckUnderOldRootsIsNotRemembered(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	v := NewVerifier(a.Certificate())
	old := v.issuers
	v.SetIssuers([]*x509.Certificate{b.Certificate()}, nil)
	v.remember([32]byte{1}, verdict{authority: a.ID()}, old)
	v.SetIssuers(nil, nil)
	v.remember([32]byte{1}, verdict{authority: a.ID()}, old)
	if len(v.verified) != 0 {
		t.Error("it was remembered")
	}
}

func TestVerifierIsBounded(t *testing.T) {
	v := NewVerifier()
	for i := range maxRemembered + 100 {
		v.remember([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, verdict{authority: "x"}, v.issuers)
	}
	if len(v.verified) != maxRemembered {
		t.Errorf("remembers %d, want %d", len(v.verified), maxRemembered)
	}
}

func TestVerifierInParallel(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	v := NewVerifier(a.Certificate())
	chain, foreign := []*x509.Certificate{issue(t, a, now)}, []*x509.Certificate{issue(t, b, now)}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := v.Verify(chain, now); err != nil {
					t.Error(err)
				}
				if _, err := v.Verify(foreign, now); err == nil {
					t.Error("took a foreign one")
				}
				v.SetIssuers([]*x509.Certificate{a.Certificate()}, nil)
				v.Pool()
			}
		})
	}
	group.Wait()
}

// Who comes with a certificate of a retired authority is told so, and whose it is stays known.
func TestRetiredAuthority(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	v := NewVerifier(a.Certificate())
	chain := []*x509.Certificate{issue(t, a, now)}
	v.SetIssuers([]*x509.Certificate{b.Certificate()}, []*x509.Certificate{a.Certificate()})
	for range 2 { // checked, and remembered
		if id, err := v.Verify(chain, now); !errors.Is(err, ErrRetired) || id != a.ID() {
			t.Errorf("got %q and %v, want %q and %v", id, err, a.ID(), ErrRetired)
		}
	}
	v.SetIssuers([]*x509.Certificate{b.Certificate(), a.Certificate()}, nil)
	if id, err := v.Verify(chain, now); err != nil || id != a.ID() {
		t.Errorf("trusted again: got %q and %v", id, err)
	}
}
