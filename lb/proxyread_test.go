package lb

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// What the writer writes the reader reads, in both versions, and not a byte more.
func TestProxyHeaderIsReadAsItIsWritten(t *testing.T) {
	for _, pair := range [][2]string{
		{"192.0.2.1:51884", "198.51.100.7:9090"}, {"[2001:db8::1]:51884", "[2001:db8::2]:9090"}, {"192.0.2.1:1", "[2001:db8::2]:65535"}, {"", ""},
	} {
		h := ProxyHeader{Checksum: true, ALPN: "h2", Custom: []TLV{{Type: 0xE5, Value: bytes.Repeat([]byte("x"), 300)}}}
		if pair[0] != "" {
			h.Source, h.Destination = netip.MustParseAddrPort(pair[0]), netip.MustParseAddrPort(pair[1])
		}
		for version := 1; version <= 2; version++ {
			stream := strings.NewReader(string(AppendProxyHeader(nil, version, h)) + "rest")
			source, destination, err := ReadProxyHeader(iotest.OneByteReader(stream))
			if err != nil || source != h.Source || destination != h.Destination {
				t.Errorf("version %d of %v: got %v and %v, %v", version, pair, source, destination, err)
			}
			if rest, _ := io.ReadAll(stream); string(rest) != "rest" {
				t.Errorf("version %d of %v: %q is left, want rest", version, pair, rest)
			}
		}
	}
}

// What breaks the rules is no header.
func TestProxyHeadersThatAreRefused(t *testing.T) {
	good := AppendProxyHeader(nil, 2, ProxyHeader{Source: netip.MustParseAddrPort("192.0.2.1:1"), Destination: netip.MustParseAddrPort("192.0.2.2:2"), Checksum: true})
	flipped := bytes.Clone(good)
	flipped[pp2Start] ^= 1
	short := bytes.Clone(good)
	short[pp2Start-1] = 5
	version3 := bytes.Clone(good)
	version3[12] = 0x31
	huge := bytes.Clone(good)
	huge[pp2Start-2] = 0xFF
	field := bytes.Clone(good)
	field[len(field)-5] = 200 // the length of the last field
	for _, text := range []string{
		"GET / HTTP/1.1\r\n\r\n", "PROXY \r\nabcdefg\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4 ::1 ::2 1 2\r\n\r\n", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
		"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
		"PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", string(flipped), string(short), string(version3), string(huge), string(field),
	} {
		if source, _, err := ReadProxyHeader(strings.NewReader(text)); !errors.Is(err, ErrNoProxyHeader) {
			t.Errorf("%q: got %v, %v", text, source, err)
		}
	}
	for n := range len(good) {
		if _, _, err := ReadProxyHeader(bytes.NewReader(good[:n])); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	for _, text := range []string{"PROXY UNKNOWN\r\n", "PROXY UNKNOWN whatever else 1 2\r\n", pp2Signature + "\x20\x00\x00\x00", pp2Signature + "\x21\x31\x00\x02ab"} {
		if source, destination, err := ReadProxyHeader(strings.NewReader(text)); err != nil || source.IsValid() || destination.IsValid() {
			t.Errorf("%q: got %v, %v, %v, want no addresses", text, source, destination, err)
		}
	}
}

// Whatever comes: nothing panics, not more is read than the header, and addresses are valid both or neither.
func FuzzReadProxyHeader(f *testing.F) {
	h := ProxyHeader{Source: netip.MustParseAddrPort("192.0.2.1:1"), Destination: netip.MustParseAddrPort("[2001:db8::2]:2"), Checksum: true}
	f.Add(AppendProxyHeader(nil, 1, h))
	f.Add(AppendProxyHeader(nil, 2, h))
	f.Add([]byte("PROXY UNKNOWN\r\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		source, destination, err := ReadProxyHeader(r)
		if err != nil {
			return
		}
		if source.IsValid() != destination.IsValid() {
			t.Fatalf("%v and %v", source, destination)
		}
		if !source.IsValid() {
			return
		}
		read := b[:len(b)-r.Len()]
		version := 1
		if bytes.HasPrefix(read, []byte(pp2Signature)) {
			version = 2
		}
		again, destination2, err := ReadProxyHeader(bytes.NewReader(AppendProxyHeader(nil, version, ProxyHeader{Source: source, Destination: destination})))
		if err != nil || again != source || destination2 != destination {
			t.Fatalf("%v and %v are read again as %v and %v, %v", source, destination, again, destination2, err)
		}
	})
}

// Behind a proxy the address in the header is the client's, for the log, for gates and for the header to the backend; a
// connection from there without one is refused, and so is one with a header from elsewhere.
func TestConnectionsBeginWithAProxyHeader(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		header := AppendProxyHeader(nil, 2, ProxyHeader{Source: netip.MustParseAddrPort("192.0.2.7:4711"), Destination: netip.MustParseAddrPort("192.0.2.8:9090")})
		pool := poolOf(upstream(t, echo))
		r := newRig(t, Config{TLS: with, Admit: to(pool), ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		conn := r.dialWith(t, header)
		mustWrite(t, conn, "x")
		mustRead(t, conn, "x")
		conn.Close()
		if e := r.next(t, Closed, 0); e.Remote.String() != "192.0.2.7:4711" {
			t.Errorf("the client is %v, want 192.0.2.7:4711", e.Remote)
		}
		local := r.dialWith(t, []byte("PROXY UNKNOWN\r\n"))
		mustWrite(t, local, "x")
		mustRead(t, local, "x")
		local.Close()
		if e := r.next(t, Closed, 1); !e.Remote.Addr().IsLoopback() {
			t.Errorf("without an address in the header the client is %v", e.Remote)
		}
		without := r.dialPlain(t)
		mustWrite(t, without, "GET / HTTP/1.1\r\n\r\n")
		io.Copy(io.Discard, without)
		if e := r.next(t, Refused, 0); e.Reason != ReasonNoProxy {
			t.Errorf("without a header: %s, want %s", e.Reason, ReasonNoProxy)
		}
	})
	elsewhere := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo))), ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	raw := elsewhere.dialPlain(t)
	mustWrite(t, raw, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n")
	io.Copy(io.Discard, raw)
	if e := elsewhere.next(t, Refused, 0); e.Reason != ReasonNotTLS || e.Detail != "a PROXY header" {
		t.Errorf("from elsewhere: %s %q", e.Reason, e.Detail)
	}
}

// dialWith connects and sends some bytes before everything else.
func (r *rig) dialWith(t *testing.T, first []byte) stream {
	t.Helper()
	raw := r.dialPlain(t)
	mustWrite(t, raw, string(first))
	if !r.secure {
		return raw
	}
	conn := tls.Client(raw, r.clientConfig(t, "client"))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn
}
