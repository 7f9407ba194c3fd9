package egress

import (
	"net/netip"
	"testing"
)

// An address that leads to a forbidden one is as forbidden, in whatever way it is written.
func TestEmbeddedAddressesAreTheirTargets(t *testing.T) {
	e := policy(t, Config{Lists: Lists{Deny: rules("10.1.0.0/16")}})
	for text, allowed := range map[string]bool{
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "2002:a9fe:a9fe::": false, "2002:a9fe:a9fe::1": false,
		"::ffff:0:169.254.169.254": false, "64:ff9b::169.254.169.254": false, "64:ff9b:1::169.254.169.254": false,
		"64:ff9b:1:a9fe:a9:fe00::": false, "64:ff9b:1::a9:fea9:fe00:0": false, "::169.254.169.254": false, "::127.0.0.1": false,
		"2002:7f00:1::": false, "64:ff9b::10.1.2.3": false, "2002:a01:203::": false, "2001:0:a9fe:a9fe::": false,
		"2001:0:808:808::5601:5601": false, "::1": false, "::": false, "fe80::1": false,
		"8.8.8.8": true, "2002:808:808::": true, "64:ff9b::8.8.8.8": true, "2606:4700::1": true, "10.2.0.1": true, "fd00::1": true,
	} {
		err := e.Check(netip.AddrPortFrom(netip.MustParseAddr(text), 80))
		if (err == nil) != allowed {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAllowedNetworksHoldForWhatIsEmbedded(t *testing.T) {
	e := policy(t, Config{Lists: Lists{Allow: rules("10.0.0.0/8", "127.0.0.0/8")}})
	for text, allowed := range map[string]bool{"10.0.0.1": true, "127.0.0.1": true, "64:ff9b::10.0.0.1": true, "8.8.8.8": false, "64:ff9b::8.8.8.8": false, "fd00::1": false} {
		if err := e.Check(netip.AddrPortFrom(netip.MustParseAddr(text), 80)); (err == nil) != allowed {
			t.Errorf("%s: %v", text, err)
		}
	}
}
