package live

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xdire/xlb/lb"
)

// The connect page shows one connection stage by stage, and what went through it once it has ended.
func TestNewestServedConnection(t *testing.T) {
	f := &frontend{seen: &sightings{}}
	f.seen.noted.Store(true) // it is no first byte to write down
	l := &Live{cfg: Config{Now: time.Now}}
	b := &Holder{Certificate: CertificateKey{Serial: "4e91"}, frontend: f}
	from := netip.MustParseAddrPort("127.0.0.1:51884")
	l.sawFirstByte(b, lb.Event{ID: 7, Remote: from, Backend: "10.0.7.2:6379", Handshake: 2, Wait: 1, Connect: 3, Duration: 10, BytesOut: 7})
	want := Served{id: 7, From: from, Serial: "4e91", Route: "10.0.7.2:6379", Handshake: 2, Wait: 1, Connect: 3, Took: 10, BytesOut: 7}
	if got := *f.seen.newest.Load(); got != want {
		t.Errorf("after the first byte: %+v, want %+v", got, want)
	}
	f.seen.ended(lb.Event{ID: 6, BytesIn: 99, BytesOut: 99})
	if got := *f.seen.newest.Load(); got != want {
		t.Errorf("after the end of another connection: %+v, want %+v", got, want)
	}
	f.seen.ended(lb.Event{ID: 7, BytesIn: 14, BytesOut: 21})
	want.BytesIn, want.BytesOut = 14, 21
	if got := *f.seen.newest.Load(); got != want {
		t.Errorf("after its end: %+v, want %+v", got, want)
	}
}
