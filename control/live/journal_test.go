package live

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
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

func TestJournalKeepsTheLastThousandOfAClient(t *testing.T) {
	j, at := newJournal(), time.Unix(1_000_000, 0)
	for i := range 1200 {
		j.add("alice", Attempt{At: at, Code: "revoked", FrontendID: "f", Serial: strconv.Itoa(i)})
		j.add("", Attempt{At: at, Code: "no-cert", Detail: strconv.Itoa(i)}) // all are the same one
	}
	all := j.of("alice", "f", "", 5000)
	if len(all) != 1000 || all[0].Serial != "1199" || all[999].Serial != "200" {
		t.Errorf("%d attempts are kept, want the 1,000 newest", len(all))
	}
	if n := len(j.of("alice", "f", "", 3)); n != 3 {
		t.Errorf("3 were asked for, %d came, want 3", n)
	}
}

func TestJournalIsBoundedWhoeverFillsIt(t *testing.T) {
	j, long := newJournal(), strings.Repeat("é", 50_000)
	at := func(i int) time.Time { return time.Unix(1_000_000+int64(i), 0) }
	for i := range 5000 {
		source := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		j.add("", Attempt{At: at(i), Code: "no-cert", Address: source, Detail: long, Serial: long})
		j.add(strconv.Itoa(i), Attempt{At: at(i), Code: "revoked", FrontendID: "f"})
		j.add("busy", Attempt{At: at(i), Code: "revoked", FrontendID: "f"})
	}
	if len(j.clients) != attemptClients || len(j.nobody.entries) != attemptsOfNobody {
		t.Errorf("attempts of %d clients and %d of nobody are kept", len(j.clients), len(j.nobody.entries))
	}
	for _, one := range j.nobody.entries {
		if len(one.Detail) > attemptText+3 || len(one.Serial) > attemptText+3 || !utf8.ValidString(one.Detail) {
			t.Fatalf("a stranger's text of %d bytes is kept", len(one.Detail))
		}
	}
	if len(j.of("busy", "f", "", 10)) != 1 || len(j.of("4999", "f", "", 10)) != 1 || len(j.of("0", "f", "", 10)) != 0 {
		t.Error("not the client that has been quiet for the longest time was forgotten")
	}
}
