package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Lists are an operator's rules. What Deny names is never reached. What Permit names is, though it is special-purpose or
// this machine's. When Allow is not empty nothing else is reached, and loopback is where it is named there.
type Lists struct{ Allow, Deny, Permit []Rule }

// Rule names a network, and ports in it.
type Rule struct {
	Network netip.Prefix
	Ports   []Ports // none: all
}

// Ports is a range of ports, both ends included.
type Ports struct{ First, Last uint16 }

// ParseRule reads a network in CIDR notation, with ports after a colon: 10.0.0.0/8, 10.0.0.0/8:5432+6379,
// 2001:db8::/32:8000-8100, or with the network in brackets.
func ParseRule(text string) (Rule, error) {
	text = strings.TrimSpace(text)
	network, bits, _ := strings.Cut(text, "/")
	bits, ports, hasPorts := strings.Cut(bits, ":")
	if strings.HasPrefix(network, "[") && strings.HasSuffix(bits, "]") {
		network = network[1:]
		bits = bits[:len(bits)-1]
	}
	prefix, err := netip.ParsePrefix(network + "/" + bits)
	if err != nil {
		return Rule{}, fmt.Errorf("%q is no network; write 10.0.0.0/8, or 10.0.0.0/8:5432+6379 for some of its ports", text)
	}
	if prefix.Addr().Is4In6() { // addresses are compared without that wrapping
		return Rule{}, fmt.Errorf("%q is a network of IPv4 in the form of IPv6; write it as one of IPv4", text)
	}
	rule := Rule{Network: prefix.Masked()}
	if !hasPorts {
		return rule, nil
	}
	for one := range strings.SplitSeq(ports, "+") {
		first, last, isRange := strings.Cut(one, "-")
		if !isRange {
			last = first
		}
		from, err := parsePort(first)
		to, err2 := parsePort(last)
		if err != nil || err2 != nil || from > to {
			return Rule{}, fmt.Errorf("%q in %q are no ports; write 5432, 5432+6379 or 8000-8100", ports, text)
		}
		rule.Ports = append(rule.Ports, Ports{from, to})
	}
	return rule, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

func (r Rule) matches(to netip.AddrPort) bool {
	if !r.Network.Contains(to.Addr()) {
		return false
	}
	inRange := func(p Ports) bool { return p.First <= to.Port() && to.Port() <= p.Last }
	return len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, inRange)
}

// isLoopback tells whether the rule is about loopback and nothing else.
func (r Rule) isLoopback() bool {
	return r.Network.Addr().IsLoopback() && (r.Network.Addr().Is6() && r.Network.Bits() == 128 || r.Network.Addr().Is4() && r.Network.Bits() >= 8)
}

func match(rules []Rule, to netip.AddrPort) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.matches(to) })
}
