package live

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever comes and goes: the counts are those of a plain walk, and nothing is kept of a client that has nothing.
func TestHoldingsCountAsAWalkWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHoldings()
		now := time.Unix(1_000_000, 0)
		all := map[CertificateKey]*Certificate{}
		client := rapid.SampledFrom([]string{"a", "b"})
		frontend := rapid.SampledFrom([]string{"f", "g"})
		key := rapid.Map(rapid.IntRange(0, 9), func(n int) CertificateKey { return CertificateKey{"ca", fmt.Sprint(n)} })
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k := key.Draw(t, "key")
				c := &Certificate{
					ClientID: client.Draw(t, "client"), FrontendID: frontend.Draw(t, "frontend"),
					NotAfter: now.Add(time.Duration(rapid.IntRange(-5, 20).Draw(t, "left")) * time.Second), Revoked: rapid.Bool().Draw(t, "revoked"),
				}
				if old := all[k]; old != nil { // a certificate stays its client's and frontend's, and as long
					c.ClientID, c.FrontendID, c.NotAfter = old.ClientID, old.FrontendID, old.NotAfter
				}
				all[k] = c
				h.setCertificate(k, c)
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if c := all[k]; c != nil {
					delete(all, k)
					h.removeCertificate(k, c)
				}
			},
			"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "seconds")) * time.Second) },
			"": func(t *rapid.T) {
				for _, id := range []string{"a", "b"} {
					total, good := 0, 0
					for _, f := range []string{"f", "g"} {
						n, next := 0, time.Time{}
						for _, c := range all {
							if c.ClientID != id || c.FrontendID != f {
								continue
							}
							total++
							if c.Revoked || !now.Before(c.NotAfter) {
								continue
							}
							n++
							if next.IsZero() || c.NotAfter.Before(next) {
								next = c.NotAfter
							}
						}
						good += n
						if got, first := h.goodOf(id, f, now); got != n || !first.Equal(next) {
							t.Fatalf("%s %s: %d good, the first until %v; want %d, %v", id, f, got, first, n, next)
						}
					}
					if got := h.goodCertificates(id, now); got != good {
						t.Fatalf("%s: %d good, want %d", id, got, good)
					}
					if _, got := h.count(id); got != total {
						t.Fatalf("%s: %d certificates, want %d", id, got, total)
					}
					if s := h.shardOf(id); total == 0 && s.clients[id] != nil {
						t.Fatalf("%s has nothing and is remembered", id)
					}
				}
			},
		})
	})
}
