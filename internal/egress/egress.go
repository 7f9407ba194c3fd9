// Package egress decides which addresses routes may reach. Tenants name destinations, so without it XLB would be a port
// scanner for hire, and a way to what is meant for this machine alone.
package egress

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNotAllowed is the one text that a tenant sees: why an address is closed says something about the network.
var ErrNotAllowed = errors.New("this server does not allow that address")

// Config is what [New] needs.
type Config struct {
	// Local allows this machine's own addresses, for those who are on it.
	Local bool
	// Lists are the operator's rules; those in the file are added to them.
	Lists Lists
	// File has more rules, and is read again when it changes. Empty: none.
	File string
	// Own lists the addresses that this process listens on. Their ports on this machine are never reached. Nil: none.
	Own func() []netip.AddrPort
}

// Policy answers for every address at every dial, and when a route is saved: a name may point somewhere else by then.
// Make one with [New]. It is safe for concurrent use.
type Policy struct {
	cfg   Config
	lists atomic.Pointer[Lists]
	file  fileState

	mu     sync.Mutex
	local  map[netip.Addr]bool // whether the kernel keeps what is sent there on this machine, as far as it was asked
	readAt time.Time
}

// New returns a policy. It reads the file, which has to be there and right.
func New(cfg Config) (*Policy, error) {
	p := &Policy{cfg: cfg}
	lists := cfg.Lists
	p.lists.Store(&lists)
	if cfg.File == "" {
		return p, nil
	}
	_, err := p.reload()
	return p, err
}

const (
	// localAddressesFor is how long it is believed what the kernel said about addresses.
	localAddressesFor = 5 * time.Second
	// localAddressesMost is how many are remembered: who names destinations chooses how many there are.
	localAddressesMost = 4096
)

// Check returns nil when a route may reach addr: the address, and those of IPv4 that it may lead to.
func (p *Policy) Check(addr netip.AddrPort) error { return p.check(addr, p.cfg.Local) }

// CheckForOthers is Check for those who are not on this machine: its own addresses are closed to them in local mode too.
func (p *Policy) CheckForOthers(addr netip.AddrPort) error { return p.check(addr, false) }

func (p *Policy) check(addr netip.AddrPort, local bool) error {
	ip := addr.Addr().Unmap().WithZone("")
	lists := p.lists.Load()
	all := append(embedded(ip), ip)
	isAllowed := len(lists.Allow) == 0
	for _, one := range all {
		to := netip.AddrPortFrom(one, addr.Port())
		if p.forbids(lists, to, local) {
			return ErrNotAllowed
		}
		isAllowed = isAllowed || match(lists.Allow, to)
	}
	if !isAllowed {
		return ErrNotAllowed
	}
	return nil
}

func (p *Policy) forbids(lists *Lists, to netip.AddrPort, local bool) bool {
	ip := to.Addr()
	switch {
	case ip.IsUnspecified(), ip.IsMulticast(), ip == broadcast:
		return true // no stream leads there
	case match(lists.Deny, to):
		return true
	case p.isOwnPort(to.Port()) && p.isThisMachine(ip):
		return true // a connection would come back to us, for ever
	case match(lists.Permit, to):
		return false
	case ip.IsLoopback() && slices.ContainsFunc(lists.Allow, func(r Rule) bool { return r.isLoopback() && r.matches(to) }):
		return false
	case ip.IsLoopback(), p.isThisMachine(ip):
		return !local
	}
	return isSpecial(ip)
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func (p *Policy) isOwnPort(port uint16) bool {
	if p.cfg.Own == nil {
		return false
	}
	return slices.ContainsFunc(p.cfg.Own(), func(l netip.AddrPort) bool { return l.Port() == port })
}

func (p *Policy) isThisMachine(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	if local, known := p.recall(ip); known {
		return local
	}
	local := staysHere(ip)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.local) < localAddressesMost {
		p.local[ip] = local
	}
	return local
}

// recall is what the kernel said a moment ago.
func (p *Policy) recall(ip netip.Addr) (local, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.local == nil || time.Since(p.readAt) > localAddressesFor {
		p.local = map[netip.Addr]bool{}
		for _, own := range machineAddresses() {
			p.local[own] = true
		}
		p.readAt = time.Now()
	}
	local, known = p.local[ip]
	return local, known
}

// staysHere asks the kernel where it would send to. An address need not be on an interface to be local: a route of type
// local makes a whole network so, and a connection to it comes out on this machine. Then its source is the address itself.
// Nothing is sent: UDP has no handshake.
func staysHere(ip netip.Addr) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 9)))
	if err != nil {
		return false // there is no way there
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("") == ip
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
