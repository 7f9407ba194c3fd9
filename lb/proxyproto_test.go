package lb

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

var (
	client4 = netip.MustParseAddrPort("192.168.0.1:56324")
	server4 = netip.MustParseAddrPort("192.168.0.11:443")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:56324")
	server6 = netip.MustParseAddrPort("[2001:db8::2]:443")
)

func TestProxyHeaderAsText(t *testing.T) {
	for _, test := range []struct {
		source, destination netip.AddrPort
		want                string
	}{
		{client4, server4, "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"}, // section 2.1's own example
		{client6, server6, "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"},
		{client4, server6, "PROXY TCP6 ::ffff:c0a8:1 2001:db8::2 56324 443\r\n"},
		{netip.MustParseAddrPort("[::ffff:192.168.0.1]:56324"), server4, "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"},
		{netip.MustParseAddrPort("[fe80::1%eth0]:1"), server6, "PROXY TCP6 fe80::1 2001:db8::2 1 443\r\n"},
		{netip.AddrPort{}, server4, "PROXY UNKNOWN\r\n"},
		{client4, netip.AddrPort{}, "PROXY UNKNOWN\r\n"},
	} {
		if got := string(AppendProxyHeader(nil, 1, ProxyHeader{Source: test.source, Destination: test.destination})); got != test.want {
			t.Errorf("%s to %s: %q, want %q", test.source, test.destination, got, test.want)
		}
	}
}

// unhex joins what stands between comments and spaces.
func unhex(t testing.TB, lines ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(lines, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProxyHeaderByteForByte(t *testing.T) {
	const signature = "0d0a0d0a 000d0a51 5549540a"
	for _, test := range []struct {
		name string
		h    ProxyHeader
		want []byte
	}{
		{"health check", ProxyHeader{}, unhex(t, signature, "20 00 0000")},
		{"nothing is said of an unknown client", ProxyHeader{Source: client4, ALPN: "h2"}, unhex(t, signature, "20 00 0000")},
		{"IPv4", ProxyHeader{Source: client4, Destination: server4},
			unhex(t, signature, "21 11 000c", "c0a80001 c0a8000b dc04 01bb")},
		{"IPv6", ProxyHeader{Source: client6, Destination: server6},
			unhex(t, signature, "21 21 0024", "20010db8000000000000000000000001", "20010db8000000000000000000000002", "dc04 01bb")},
		{"mixed", ProxyHeader{Source: client4, Destination: server6},
			unhex(t, signature, "21 21 0024", "00000000000000000000ffffc0a80001", "20010db8000000000000000000000002", "dc04 01bb")},
		{"every field",
			ProxyHeader{
				Source: client4, Destination: server4, ALPN: "h2", Authority: "db", UniqueID: []byte{0xAB},
				Custom: []TLV{{0xE5, []byte("c1")}, {0xDF, []byte("no")}, {0xF0, []byte("no")}},
				TLS: &ProxyTLS{
					Version: "TLSv1.3", Cipher: "X", SignatureAlgorithm: "S", KeyAlgorithm: "K",
					Verified: true, CommonName: "me", ClientCert: []byte{0x30, 0x00},
				},
			},
			unhex(t, signature, "21 11 0047", "c0a80001 c0a8000b dc04 01bb",
				"01 0002 6832", "02 0002 6462", "05 0001 ab", "e5 0002 6331",
				"20 0025", "07 00000000", // 7: TLS, certificate on this connection, and so in this session
				"21 0007 544c5376312e33", "22 0002 6d65", "23 0001 58", "24 0001 53", "25 0001 4b", "28 0002 3000")},
		{"resumed", ProxyHeader{Source: client4, Destination: server4, TLS: &ProxyTLS{Verified: true, Resumed: true}},
			unhex(t, signature, "21 11 0014", "c0a80001 c0a8000b dc04 01bb", "20 0005 05 00000000")},
		{"no certificate", ProxyHeader{Source: client4, Destination: server4, TLS: &ProxyTLS{}},
			unhex(t, signature, "21 11 0014", "c0a80001 c0a8000b dc04 01bb", "20 0005 01 00000001")},
	} {
		if got := AppendProxyHeader([]byte("before"), 2, test.h); !bytes.Equal(got, append([]byte("before"), test.want...)) {
			t.Errorf("%s:\n%x, want\n%x", test.name, got[len("before"):], test.want)
		}
	}
}

func TestProxyHeaderChecksum(t *testing.T) {
	h := ProxyHeader{Source: client4, Destination: server4, Checksum: true, Authority: "db"}
	header := AppendProxyHeader([]byte("before"), 2, h)[len("before"):]
	got, rest, err := parseProxy(append(bytes.Clone(header), "after"...))
	if err != nil || rest != "after" || !reflect.DeepEqual(got, h) {
		t.Errorf("%+v, %q, %v", got, rest, err)
	}
	header[17] ^= 1
	if _, _, err := parseProxy(header); err == nil {
		t.Error("a changed header passed")
	}
}

func TestProxyHeaderLeavesOutWhatDoesNotFit(t *testing.T) {
	who := &ProxyTLS{Version: "TLSv1.3", Verified: true, CommonName: "me", ClientCert: make([]byte, 60000)}
	big := TLV{0xE0, make([]byte, 10000)}
	for _, test := range []struct {
		name  string
		h     ProxyHeader
		check func(ProxyHeader) bool
	}{
		{"the certificate first", ProxyHeader{TLS: who, Custom: []TLV{big}},
			func(h ProxyHeader) bool {
				return h.TLS.ClientCert == nil && len(h.Custom) == 1 && h.TLS.CommonName == "me"
			}},
		{"the certificate fits alone", ProxyHeader{TLS: who},
			func(h ProxyHeader) bool { return len(h.TLS.ClientCert) == 60000 }},
		{"never who the client is", ProxyHeader{TLS: who, Custom: []TLV{{0xE0, make([]byte, math.MaxUint16)}, {0xE1, []byte("x")}}},
			func(h ProxyHeader) bool { return h.TLS.CommonName == "me" && len(h.Custom) == 1 }},
		{"never the checksum", ProxyHeader{Custom: []TLV{{0xE0, make([]byte, math.MaxUint16-12-3)}}, Checksum: true},
			func(h ProxyHeader) bool { return h.Checksum && h.Custom == nil }},
		{"the last byte is used", ProxyHeader{Custom: []TLV{{0xE0, make([]byte, math.MaxUint16-12-3-7)}}, Checksum: true},
			func(h ProxyHeader) bool { return h.Checksum && len(h.Custom) == 1 }},
		{"long texts", ProxyHeader{Authority: strings.Repeat("a", 256), ALPN: strings.Repeat("a", 255), UniqueID: make([]byte, 129)},
			func(h ProxyHeader) bool { return h.Authority == "" && len(h.ALPN) == 255 && h.UniqueID == nil }},
	} {
		test.h.Source, test.h.Destination = client4, server4
		header := AppendProxyHeader(nil, 2, test.h)
		got, rest, err := parseProxy(append(header, "after"...))
		if err != nil || rest != "after" || !test.check(got) {
			t.Errorf("%s: %v, rest %d bytes", test.name, err, len(rest))
		}
	}
}

func TestProxyHeaderOfARealConnection(t *testing.T) {
	var last atomic.Pointer[tls.ConnectionState]
	pool := poolOf(upstream(t, greeter("hello")))
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: func(state tls.ConnectionState) (Admission, error) {
		last.Store(&state) // of the call after the handshake in the end
		return Admission{Pool: pool}, nil
	}})
	cfg := r.clientConfig(t, "me")
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	cfg.NextProtos = []string{"postgresql"}
	leaf, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, resumed := range []bool{false, true} {
		conn, err := r.dialTLS(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, conn)
		state := *last.Load()
		want := ProxyHeader{
			Source: client4, Destination: server4, ALPN: "postgresql", Authority: "localhost",
			TLS: &ProxyTLS{
				Version: "TLSv1.3", Cipher: tls.CipherSuiteName(state.CipherSuite), SignatureAlgorithm: "ecdsa-with-SHA256",
				KeyAlgorithm: "EC256", Verified: true, Resumed: resumed, CommonName: "me", ClientCert: leaf.Raw,
			},
		}
		got := NewProxyHeader(client4, server4, state, leaf) // as good as the server's: the same authority made it
		if !reflect.DeepEqual(got, want) {
			t.Errorf("resumed %t: %+v\n%+v", resumed, got, got.TLS)
		}
	}
	if h := NewProxyHeader(client4, server4, tls.ConnectionState{}, nil); h.TLS != nil {
		t.Error("a session without TLS")
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}, uint16(1), uint16(2), "h2", "name", []byte("id"), "cn", []byte("der"), byte(0xE0), []byte("custom"), byte(0xff))
	f.Add(make([]byte, 16), []byte{10, 0, 0, 2}, uint16(0), uint16(65535), "", "", []byte{}, "", []byte{}, byte(0x20), []byte{}, byte(0))
	f.Fuzz(func(t *testing.T, source, destination []byte, sourcePort, destinationPort uint16, alpn, authority string, id []byte, cn string, der []byte, kind byte, custom []byte, flags byte) {
		h := ProxyHeader{
			ALPN: alpn, Authority: authority, UniqueID: id, Checksum: flags&1 != 0, Custom: []TLV{{kind, custom}, {0xE1, custom}},
		}
		if a, ok := netip.AddrFromSlice(source); ok {
			h.Source = netip.AddrPortFrom(a, sourcePort)
		}
		if a, ok := netip.AddrFromSlice(destination); ok {
			h.Destination = netip.AddrPortFrom(a, destinationPort)
		}
		if flags&2 != 0 {
			h.TLS = &ProxyTLS{Version: "TLSv1.3", CommonName: cn, Verified: flags&4 != 0, Resumed: flags&8 != 0, ClientCert: der}
		}
		checkProxy(t, h)
	})
}

// checkProxy writes a header and expects to read the same, but for what may be left out.
func checkProxy(t *testing.T, h ProxyHeader) {
	t.Helper()
	source, destination, known := sameFamily(h.Source, h.Destination)
	text, rest, err := parseProxyText(string(AppendProxyHeader(nil, 1, h)) + "after")
	if err != nil || rest != "after" || known && (text.Source != source || text.Destination != destination) {
		t.Fatalf("text: %+v, %q, %v", text, rest, err)
	}
	got, rest, err := parseProxy(append(AppendProxyHeader(nil, 2, h), "after"...))
	if err != nil || rest != "after" {
		t.Fatalf("%q, %v", rest, err)
	}
	if !known {
		if !reflect.DeepEqual(got, ProxyHeader{}) {
			t.Fatalf("of an unknown client: %+v", got)
		}
		return
	}
	if got.Source != source || got.Destination != destination || got.Checksum != h.Checksum {
		t.Fatalf("%+v, want %+v", got, h)
	}
	// The client's own words are passed on where they are what they should be.
	alpn, authority := "", ""
	if isProtocol(h.ALPN) {
		alpn = h.ALPN
	}
	if isHostName(h.Authority) {
		authority = h.Authority
	}
	if got.ALPN != alpn && len(alpn) <= maxProxyText || got.Authority != authority && len(authority) <= maxProxyText {
		t.Fatalf("names: %+v, want %+v", got, h)
	}
	if (got.TLS == nil) != (h.TLS == nil) {
		t.Fatalf("session: %+v, want %+v", got.TLS, h.TLS)
	}
	if h.TLS != nil && (got.TLS.Verified != h.TLS.Verified || got.TLS.CommonName != h.TLS.CommonName && len(h.TLS.CommonName) <= maxProxyText) {
		t.Fatalf("session: %+v, want %+v", got.TLS, h.TLS)
	}
}

// parseProxyText reads a header of version 1 and returns what follows it.
func parseProxyText(s string) (h ProxyHeader, rest string, err error) {
	line, rest, found := strings.Cut(s, "\r\n")
	if !found || len(line) > 105 {
		return h, "", errors.New("no line, or a long one")
	}
	if line == "PROXY UNKNOWN" {
		return h, rest, nil
	}
	words := strings.Split(line, " ")
	if len(words) != 6 || words[0] != "PROXY" {
		return h, "", fmt.Errorf("words %q", words)
	}
	four := words[1] == "TCP4"
	for i, to := range []*netip.AddrPort{&h.Source, &h.Destination} {
		a, err := netip.ParseAddr(words[2+i])
		if err != nil || a.Is4() != four || !four && strings.Contains(words[2+i], ".") {
			return h, "", fmt.Errorf("address %q of %s: %v", words[2+i], words[1], err)
		}
		port, err := strconv.ParseUint(words[4+i], 10, 16)
		if err != nil {
			return h, "", err
		}
		*to = netip.AddrPortFrom(a, uint16(port))
	}
	return h, rest, nil
}

// parseProxy reads a header of version 2, strictly, and returns what follows it.
func parseProxy(b []byte) (h ProxyHeader, rest string, err error) {
	if len(b) < 16 || string(b[:12]) != "\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A" {
		return h, "", errors.New("no signature")
	}
	end := 16 + int(binary.BigEndian.Uint16(b[14:]))
	if len(b) < end {
		return h, "", errors.New("the length is wrong")
	}
	rest = string(b[end:])
	header, body := bytes.Clone(b[:end]), b[16:end]
	size := 4
	switch [2]byte(b[12:14]) {
	case [2]byte{0x20, 0x00}:
		return h, rest, nil
	case [2]byte{0x21, 0x21}:
		size = 16
	case [2]byte{0x21, 0x11}:
	default:
		return h, "", errors.New("command or family")
	}
	if len(body) < 2*size+4 {
		return h, "", errors.New("no room for addresses")
	}
	source, _ := netip.AddrFromSlice(body[:size])
	destination, _ := netip.AddrFromSlice(body[size : 2*size])
	h.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(body[2*size:]))
	h.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(body[2*size+2:]))
	err = eachTLV(body[2*size+4:], func(kind byte, value []byte) error { return h.readField(kind, value, header) })
	return h, rest, err
}

func (h *ProxyHeader) readField(kind byte, value, header []byte) error {
	switch {
	case kind == 0x01:
		h.ALPN = string(value)
	case kind == 0x02:
		h.Authority = string(value)
	case kind == 0x05:
		h.UniqueID = value
	case kind == 0x03:
		h.Checksum = true
		at := bytes.LastIndex(header, append([]byte{0x03, 0, 4}, value...)) + 3
		copy(header[at:], []byte{0, 0, 0, 0})
		if sum := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli)); sum != binary.BigEndian.Uint32(value) {
			return errors.New("checksum")
		}
	case kind == 0x20:
		return h.readSession(value)
	case kind >= 0xE0 && kind <= 0xEF:
		h.Custom = append(h.Custom, TLV{kind, value})
	default:
		return fmt.Errorf("type %x", kind)
	}
	return nil
}

func (h *ProxyHeader) readSession(value []byte) error {
	if len(value) < 5 || value[0]&1 == 0 {
		return errors.New("session")
	}
	s := &ProxyTLS{Verified: binary.BigEndian.Uint32(value[1:]) == 0, Resumed: value[0] == 0x05}
	h.TLS = s
	return eachTLV(value[5:], func(kind byte, value []byte) error {
		switch kind {
		case 0x21:
			s.Version = string(value)
		case 0x22:
			s.CommonName = string(value)
		case 0x23:
			s.Cipher = string(value)
		case 0x24:
			s.SignatureAlgorithm = string(value)
		case 0x25:
			s.KeyAlgorithm = string(value)
		case 0x28:
			s.ClientCert = value
		default:
			return fmt.Errorf("type %x in the session", kind)
		}
		return nil
	})
}

func eachTLV(b []byte, do func(kind byte, value []byte) error) error {
	for len(b) > 0 {
		if len(b) < 3 || len(b) < 3+int(binary.BigEndian.Uint16(b[1:])) {
			return errors.New("a field ends after the header")
		}
		end := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if err := do(b[0], b[3:end:end]); err != nil {
			return err
		}
		b = b[end:]
	}
	return nil
}

// What a client asks for is handed on only if it is what it has to be: a name of a host, and of a protocol.
func TestProxyHeaderLeavesOutWhatIsNoName(t *testing.T) {
	plain := ProxyHeader{Source: netip.MustParseAddrPort("192.0.2.1:1"), Destination: netip.MustParseAddrPort("192.0.2.2:2")}
	bare := AppendProxyHeader(nil, 2, plain)
	for _, wrong := range []string{"a\r\nX-Admin: yes", "a b", "\x00", "\xff\xfe", "ä", "a\n", "\x0a\x0a"} {
		for what, h := range map[string]ProxyHeader{
			"server name": {Source: plain.Source, Destination: plain.Destination, Authority: wrong},
			"protocol":    {Source: plain.Source, Destination: plain.Destination, ALPN: wrong},
		} {
			if got := AppendProxyHeader(nil, 2, h); !bytes.Equal(got, bare) {
				t.Errorf("the %s %q is in the header: %q", what, wrong, got)
			}
		}
	}
	for what, h := range map[string]ProxyHeader{
		"db-1.example_x.com": {Source: plain.Source, Destination: plain.Destination, Authority: "db-1.example_x.com"},
		"http/1.1":           {Source: plain.Source, Destination: plain.Destination, ALPN: "http/1.1"},
	} {
		if got := AppendProxyHeader(nil, 2, h); !bytes.Contains(got, []byte(what)) {
			t.Errorf("%s is not in the header: %q", what, got)
		}
	}
}
