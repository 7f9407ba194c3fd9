package live

import (
	"slices"
	"testing"
)

func TestIdentitiesAreThoseThatAreConnected(t *testing.T) {
	var all identities
	a, b := CertificateKey{"ca", "a1"}, CertificateKey{"ca", "b2"}
	for _, key := range []CertificateKey{a, b, b} {
		all.add(key, 1)
	}
	want := []Identity{{Serial: "b2", Active: 2}, {Serial: "a1", Active: 1}}
	if got := all.list(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	all.add(a, -1)
	all.add(b, -1)
	want = []Identity{{Serial: "b2", Active: 1}}
	if got := all.list(); !slices.Equal(got, want) {
		t.Errorf("after two have ended: %+v, want %+v", got, want)
	}
}
