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

// check returns nil when a route may reach addr.
func (e *egress) check(addr netip.AddrPort) error {
	ip := embedded(addr.Addr().Unmap().WithZone(""))
	switch {
	case ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == broadcast, thisNetwork.Contains(ip):
		return errNotAllowed
	case contains(e.deny, ip):
		return errNotAllowed
	case e.isOwnPort(addr.Port()) && e.isThisMachine(ip):
		return errNotAllowed
	case len(e.allow) > 0:
		if contains(e.allow, ip) {
			return nil
		}
		return errNotAllowed
	case ip.IsLoopback() && !e.local:
		return errNotAllowed
	}
	return nil
}

var (
	broadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	nat64       = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
)

// embedded is the IPv4 address that a NAT64 address leads to, otherwise ip itself.
func embedded(ip netip.Addr) netip.Addr {
	if !nat64.Contains(ip) {
		return ip
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

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
		e.addresses, e.readAt = machineAddresses(), time.Now()
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
