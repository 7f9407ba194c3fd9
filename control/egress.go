package control

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// errNotAllowed is the one text that a tenant sees: why an address is closed says something about the network.
var errNotAllowed = errors.New("this server does not allow that address")

// egress decides which addresses a route may reach. A tenant names destinations, so without it XLB
// would be a port scanner for hire. It is asked for names when a route is saved, and for every
// resolved address at every dial, because a name may point somewhere else by then.
type egress struct {
	local bool           // loopback is allowed
	allow []netip.Prefix // when not empty, the only networks that may be reached
	deny  []netip.Prefix // never reached
	own   func() []netip.AddrPort

	mu        sync.Mutex
	addresses []netip.Addr // of this machine
	readAt    time.Time
}

// localAddressesFor is how long the machine's own addresses are believed.
const localAddressesFor = 5 * time.Second

// check returns nil when a route may reach addr: the address and those of IPv4 that it may lead to.
func (e *egress) check(addr netip.AddrPort) error {
	ip := addr.Addr().Unmap().WithZone("")
	all := append(embedded(ip), ip)
	for _, one := range all {
		if e.forbidden(one, addr.Port()) {
			return errNotAllowed
		}
	}
	isAllowed := func(one netip.Addr) bool { return contains(e.allow, one) }
	if len(e.allow) > 0 && !slices.ContainsFunc(all, isAllowed) {
		return errNotAllowed
	}
	return nil
}

func (e *egress) forbidden(ip netip.Addr, port uint16) bool {
	switch {
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == broadcast, thisNetwork.Contains(ip):
		return true
	case contains(e.deny, ip):
		return true
	case e.isOwnPort(port) && e.isThisMachine(ip):
		return true
	}
	return ip.IsLoopback() && !e.local && len(e.allow) == 0
}

var (
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
)

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

func contains(networks []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func (e *egress) isOwnPort(port uint16) bool {
	if e.own == nil {
		return false
	}
	return slices.ContainsFunc(e.own(), func(l netip.AddrPort) bool { return l.Port() == port })
}

func (e *egress) isThisMachine(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.readAt) > localAddressesFor {
		e.addresses = machineAddresses()
		e.readAt = time.Now()
	}
	return slices.Contains(e.addresses, ip)
}

func machineAddresses() []netip.Addr {
	var all []netip.Addr
	interfaces, _ := net.InterfaceAddrs()
	for _, a := range interfaces {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr().Unmap())
		}
	}
	return all
}
