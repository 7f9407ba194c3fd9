package control

import (
	"net/netip"
	"testing"
	"time"
)

func TestJournalShowsOwnAttemptsAndThoseOfNobodyFromTheSameAddress(t *testing.T) {
	j, start := newJournal(), time.Unix(1_000_000, 0)
	here, elsewhere := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	j.add("alice", Attempt{At: at(1), Code: "expired", Address: elsewhere, FrontendID: "f"})
	j.add("alice", Attempt{At: at(2), Code: "expired", Address: elsewhere, FrontendID: "other"})
	j.add("bob", Attempt{At: at(3), Code: "expired", Address: here, FrontendID: "f"})
	j.add("", Attempt{At: at(4), Code: "no-cert", Address: here})
	j.add("", Attempt{At: at(5), Code: "no-cert", Address: here})
	j.add("", Attempt{At: at(6), Code: "no-cert", Address: elsewhere})
	got := j.recent("alice", "f", here.Addr(), start, 20)
	if len(got) != 2 || got[0].Code != "no-cert" || got[0].Count != 2 || got[1].Code != "expired" {
		t.Errorf("shows %+v", got)
	}
}

func TestRingForgetsTheOldest(t *testing.T) {
	var r ring
	for i := range 10_000 {
		r.add(Attempt{At: time.Unix(int64(i)*100, 0), Code: "no-cert"}, 100)
	}
	if n := len(r.entries); n < 100 || n > 125 || r.entries[n-1].At.Unix() != 999_900 || r.entries[n-100].At.Unix() != 990_000 {
		t.Errorf("%d entries, newest %v", len(r.entries), r.entries[len(r.entries)-1])
	}
}
