package lb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ErrNoProxyHeader is what [ReadProxyHeader] returns for a stream that begins with something else, or with a header that
// breaks the rules of the protocol.
var ErrNoProxyHeader = errors.New("lb: the stream does not begin with a PROXY header")

const (
	// maxProxyLine is the longest header of version 1, line end included (section 2.1).
	maxProxyLine = 107
	// maxProxyRest bounds what follows the start of a header of version 2. The protocol allows 64 KB; a certificate of
	// the client fits into this.
	maxProxyRest = 8 << 10
)

// ReadProxyHeader reads the PROXY header, of version 1 or 2, that a stream begins with, and not a byte more. It returns
// the addresses that it tells, or two zero ones when it tells none: then those of the connection itself count (LOCAL,
// UNKNOWN, and families other than TCP over IP). Fields of version 2 are skipped, but a checksum is checked. The source
// is haproxy.org's proxy-protocol.txt, section 2. Errors are ErrNoProxyHeader and those of r; the caller sets a deadline.
func ReadProxyHeader(r io.Reader) (source, destination netip.AddrPort, err error) {
	start := make([]byte, len(pp2Signature), maxProxyLine)
	if _, err := io.ReadFull(r, start); err != nil {
		return source, destination, err
	}
	switch {
	case string(start) == pp2Signature:
		return readProxyBinary(r, start)
	case bytes.HasPrefix(start, []byte("PROXY ")):
		return readProxyText(r, start)
	}
	return source, destination, ErrNoProxyHeader
}

// readProxyText reads the rest of a line. What comes after it belongs to somebody else, so it is read byte by byte.
func readProxyText(r io.Reader, line []byte) (source, destination netip.AddrPort, err error) {
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyLine {
			return source, destination, ErrNoProxyHeader
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return source, destination, err
		}
	}
	fields := strings.Split(string(line[:len(line)-2]), " ")
	if fields[1] == "UNKNOWN" {
		return source, destination, nil // the rest of the line is to be ignored
	}
	if len(fields) != 6 {
		return source, destination, ErrNoProxyHeader
	}
	source, ok := proxyEnd(fields[1], fields[2], fields[4])
	destination, ok2 := proxyEnd(fields[1], fields[3], fields[5])
	if !ok || !ok2 {
		return netip.AddrPort{}, netip.AddrPort{}, ErrNoProxyHeader
	}
	return source, destination, nil
}

// proxyEnd reads one end of a connection in version 1.
func proxyEnd(family, address, port string) (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(address)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil || ip.Zone() != "" || port != strconv.FormatUint(n, 10) {
		return netip.AddrPort{}, false
	}
	if family == "TCP4" && !ip.Is4() || family == "TCP6" && !ip.Is6() || family != "TCP4" && family != "TCP6" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), true
}

// readProxyBinary reads what follows the signature.
func readProxyBinary(r io.Reader, start []byte) (source, destination netip.AddrPort, err error) {
	start = start[:pp2Start]
	if _, err := io.ReadFull(r, start[len(pp2Signature):]); err != nil {
		return source, destination, err
	}
	command := start[len(pp2Signature)]
	family := start[len(pp2Signature)+1]
	length := int(binary.BigEndian.Uint16(start[pp2Start-2:]))
	if command != 0x20 && command != 0x21 || length > maxProxyRest {
		return source, destination, ErrNoProxyHeader
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return source, destination, err
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[family] // TCP over IPv4 and IPv6
	if command == 0x20 || size == 0 {
		return source, destination, nil
	}
	ends := 2*size + 4
	if len(rest) < ends || !checksumFits(start, rest, ends) {
		return source, destination, ErrNoProxyHeader
	}
	from, _ := netip.AddrFromSlice(rest[:size])
	to, _ := netip.AddrFromSlice(rest[size : 2*size])
	source = netip.AddrPortFrom(from.Unmap(), binary.BigEndian.Uint16(rest[2*size:]))
	destination = netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(rest[2*size+2:]))
	return source, destination, nil
}

// checksumFits walks the fields after the addresses, and compares the checksum if there is one among them.
func checksumFits(start, rest []byte, at int) bool {
	for at < len(rest) {
		if len(rest)-at < tlvStart {
			return false
		}
		length := int(binary.BigEndian.Uint16(rest[at+1:]))
		if len(rest)-at-tlvStart < length {
			return false
		}
		if rest[at] == pp2CRC32C {
			if length != crc32.Size {
				return false
			}
			value := rest[at+tlvStart : at+tlvStart+length]
			want := binary.BigEndian.Uint32(value)
			whole := slices.Concat(start, rest)
			clear(whole[len(start)+at+tlvStart:][:length]) // it is made over zeros in its own place
			if crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli)) != want {
				return false
			}
		}
		at += tlvStart + length
	}
	return true
}

// TrustsProxy tells whether an address is in one of the networks from which connections begin with a PROXY header.
func TrustsProxy(networks []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}
