package live

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestIdentitiesAreThoseThatAreConnected(t *testing.T) {
	var all identities
	at := time.Unix(1_800_000_000, 0)
	a, b := CertificateKey{"ca", "a1"}, CertificateKey{"ca", "b2"}
	for _, key := range []CertificateKey{a, b, b} {
		all.add(key, 1, at)
	}
	want := []Identity{{Serial: "b2", Active: 2}, {Serial: "a1", Active: 1}}
	if got := all.list(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	all.add(a, -1, at.Add(time.Minute))
	all.add(b, -1, at)
	want = []Identity{{Serial: "b2", Active: 1}}
	if got := all.list(); !slices.Equal(got, want) {
		t.Errorf("after two have ended: %+v, want %+v", got, want)
	}
	uses := map[string]Use{}
	all.uses(uses)
	if uses["a1"] != (Use{0, at.Add(time.Minute)}) || uses["b2"] != (Use{1, at}) {
		t.Errorf("%+v, want the first unused for a minute and the other one open", uses)
	}
	for i := range 2 * maxUsed {
		all.add(CertificateKey{"ca", fmt.Sprint(i)}, 1, at)
		all.add(CertificateKey{"ca", fmt.Sprint(i)}, -1, at)
	}
	if len(all.used) > maxUsed {
		t.Errorf("the use of %d certificates is kept, want at most %d", len(all.used), maxUsed)
	}
}
