// Package source says what counts as one source of connections: what one party is likely to have for itself.
package source

import (
	"errors"
	"net/netip"
	"syscall"
)

// Of is the source that an address belongs to: an IPv4 address, or a /64 of IPv6, because whoever has one address
// of those has all of them (RFC 4291, section 2.5.4). The zero address is a source of its own.
func Of(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// OutOfFiles tells whether an error of Accept means that this process or the machine has no file left for the
// connection, which waits until somebody else has given one back.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
