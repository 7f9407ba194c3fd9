package source

import (
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.7": "10.0.0.7/32", "::ffff:10.0.0.7": "10.0.0.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "::1": "::/64",
	} {
		if got := Of(netip.MustParseAddr(text)); got.String() != want {
			t.Errorf("%s belongs to %v, want %s", text, got, want)
		}
	}
	if Of(netip.Addr{}) != (netip.Prefix{}) {
		t.Error("no address belongs to something")
	}
}
