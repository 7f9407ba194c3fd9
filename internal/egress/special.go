package egress

import (
	"net/netip"
	"slices"
)

// special are the networks that are no places for services of tenants, by the registries of special-purpose addresses
// (IANA, RFC 6890), and those where clouds answer machines that ask who they are. Networks that only translate to IPv4 are
// not among them: they are judged by the address that is in them. Private networks are what XLB is for.
var special = prefixes(
	"0.0.0.0/8",        // this network
	"100.64.0.0/10",    // shared by carriers (RFC 6598); Alibaba's metadata
	"127.0.0.0/8",      // loopback
	"169.254.0.0/16",   // link-local; most clouds' metadata
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // relays of 6to4, deprecated
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"240.0.0.0/4",      // reserved
	"168.63.129.16/32", // Azure's metadata, among addresses that are anybody's

	"::1/128",         // loopback
	"100::/64",        // discarded (RFC 6666)
	"100:0:0:1::/64",  // a dummy (RFC 9780)
	"2001:2::/48",     // benchmarks
	"2001:10::/28",    // ORCHID, deprecated
	"2001:db8::/32",   // documentation
	"3fff::/20",       // documentation (RFC 9637)
	"5f00::/16",       // segment routing (RFC 9602)
	"fe80::/10",       // link-local
	"fec0::/10",       // site-local, deprecated (RFC 3879)
	"fd00:ec2::/32",   // Amazon's metadata
	"fd20:ce::/32",    // Google's metadata
	"fd00:42::42/128", // Scaleway's metadata
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func isSpecial(ip netip.Addr) bool {
	return slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// embeddings are the networks of IPv6 whose addresses lead to one of IPv4, with the places of its four bytes.
var embeddings = []struct {
	network netip.Prefix
	at      [][4]int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), [][4]int{{12, 13, 14, 15}}}, // NAT64 (RFC 6052)
	// NAT64 of this network (RFC 8215), with a prefix of 96, 64, 56 or 48 bits
	{netip.MustParsePrefix("64:ff9b:1::/48"), [][4]int{{12, 13, 14, 15}, {9, 10, 11, 12}, {7, 9, 10, 11}, {6, 7, 9, 10}}},
	{netip.MustParsePrefix("2002::/16"), [][4]int{{2, 3, 4, 5}}},           // 6to4 (RFC 3056)
	{netip.MustParsePrefix("::/96"), [][4]int{{12, 13, 14, 15}}},           // IPv4-compatible (RFC 4291)
	{netip.MustParsePrefix("::ffff:0:0:0/96"), [][4]int{{12, 13, 14, 15}}}, // IPv4-translated (RFC 2765)
	{netip.MustParsePrefix("2001::/32"), [][4]int{{4, 5, 6, 7}}},           // Teredo's server (RFC 4380)
}

// embedded lists the addresses of IPv4 that an address of IPv6 may lead to.
func embedded(ip netip.Addr) (all []netip.Addr) {
	if !ip.Is6() || ip.IsLoopback() || ip.IsUnspecified() {
		return nil
	}
	b := ip.As16()
	for _, e := range embeddings {
		if !e.network.Contains(ip) {
			continue
		}
		for _, at := range e.at {
			all = append(all, netip.AddrFrom4([4]byte{b[at[0]], b[at[1]], b[at[2]], b[at[3]]}))
		}
	}
	if teredo.Contains(ip) { // the client's address is there with each bit turned over
		all = append(all, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return all
}

var teredo = netip.MustParsePrefix("2001::/32")
