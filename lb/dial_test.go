package lb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/xdire/xlb/lb/internal/nettest"
)

// A name with very many addresses makes no more connects than the time has room for, always the same ones, and 64 without
// a bound on the time. Whoever runs the zone would otherwise make others connect to thousands of addresses.
func TestDialsOfANameAreBounded(t *testing.T) {
	zone, resolver := newZone(t)
	var all []string
	for i := range 70 {
		all = append(all, netip.AddrFrom4([4]byte{127, 0, 1, byte(70 - i)}).String())
	}
	zone.set("many.test", all...)
	_, port, err := net.SplitHostPort(nettest.ClosedPort(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		timeout time.Duration
		least   int // a slow machine takes some of the time for the look-up
		most    int
	}{{time.Second, 1, 4}, {2500 * time.Millisecond, 5, 10}, {-1, 64, 64}} {
		var tried []netip.Addr
		d := Dialer{Resolver: resolver, Timeout: c.timeout, Allow: func(a netip.AddrPort) error {
			tried = append(tried, a.Addr())
			return nil
		}}
		_, err := d.DialContext(context.Background(), "tcp", "many.test:"+port)
		if ReasonOf(err) != ReasonBackendRefused {
			t.Errorf("within %v: %v, want that nothing listens there", c.timeout, err)
		}
		if len(tried) < c.least || len(tried) > c.most {
			t.Errorf("within %v: %d connects, want %d to %d", c.timeout, len(tried), c.least, c.most)
		}
		if !slices.IsSortedFunc(tried, netip.Addr.Compare) || len(tried) == 0 || tried[0] != netip.AddrFrom4([4]byte{127, 0, 1, 1}) {
			t.Errorf("within %v: %v, want the first in order", c.timeout, tried)
		}
	}
	if _, err := (&Dialer{Resolver: resolver}).DialContext(context.Background(), "tcp", "none.test:"+port); !errors.As(err, new(*Refusal)) || ReasonOf(err) != ReasonBackendDNS {
		t.Errorf("a name that there is not: %v", err)
	}
}
