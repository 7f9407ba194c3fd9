package lb

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// ProxyHeader tells a backend about the connection that stands behind the stream it is about to get. The
// source is haproxy.org's proxy-protocol.txt. A backend that does not expect the header takes it for the
// first bytes of the stream, so it is sent only where somebody asked for it. The zero value says that
// there is no client, which is what a health check sends.
type ProxyHeader struct {
	Source      netip.AddrPort // of the client
	Destination netip.AddrPort // that the client connected to

	// The rest travels in version 2 only, and only when both addresses are known.

	ALPN      string    // application protocol (RFC 7301), printable ASCII, at most 255 bytes
	Authority string    // server name that the client asked for: a host name of at most 255 bytes
	UniqueID  []byte    // of the connection; at most 128 bytes
	TLS       *ProxyTLS // nil when the client did not use TLS
	Custom    []TLV     // types 0xE0 to 0xEF, which are free for every application
	Checksum  bool      // adds a CRC32c over the header
}

// ProxyTLS is the client's TLS session. Texts have at most 255 bytes; one that is empty or longer is left
// out. So a client cannot choose a field so long that another one finds no room.
type ProxyTLS struct {
	Version string // as OpenSSL writes it: TLSv1.3
	Cipher  string // such as TLS_AES_128_GCM_SHA256

	// SignatureAlgorithm and KeyAlgorithm are those of the server's certificate, not the client's:
	// ecdsa-with-SHA256, EC256.
	SignatureAlgorithm string
	KeyAlgorithm       string

	Verified   bool   // the client showed a certificate and it was found good
	Resumed    bool   // it did so when the session began, not on this connection
	CommonName string // of the client's certificate
	// ClientCert is the client's certificate in DER. It is left out when the header would get too long.
	// nginx takes no header of more than 4096 bytes, others less.
	ClientCert []byte
}

// TLV is a field of the header that the protocol itself gives no meaning.
type TLV struct {
	Type  byte
	Value []byte // at most 65535 bytes
}

// Types of fields, section 2.2 of the specification.
const (
	pp2ALPN      = 0x01
	pp2Authority = 0x02
	pp2CRC32C    = 0x03
	pp2UniqueID  = 0x05
	pp2SSL       = 0x20

	pp2SSLVersion      = 0x21
	pp2SSLCommonName   = 0x22
	pp2SSLCipher       = 0x23
	pp2SSLSignatureAlg = 0x24
	pp2SSLKeyAlg       = 0x25
	pp2SSLClientCert   = 0x28

	pp2MinCustom = 0xE0
	pp2MaxCustom = 0xEF
)

// Bits that tell what a client did, section 2.2.6.
const (
	pp2ClientSSL      = 0x01
	pp2ClientCertConn = 0x02
	pp2ClientCertSess = 0x04
)

const (
	pp2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	pp2Start     = 16 // bytes up to and with the length of the rest

	maxProxyText     = 255
	maxProxyUniqueID = 128
	tlvStart         = 3 // type and length
)

// NewProxyHeader describes a connection from its addresses and its TLS state, which is the zero value
// without TLS. The client's certificate counts as verified: whoever admits a connection has checked it.
// server is the certificate that the client saw; nil leaves its algorithms out.
func NewProxyHeader(source, destination netip.AddrPort, state tls.ConnectionState, server *x509.Certificate) ProxyHeader {
	h := ProxyHeader{Source: source, Destination: destination}
	if state.Version == 0 {
		return h
	}
	h.ALPN = state.NegotiatedProtocol
	h.Authority = state.ServerName
	h.TLS = &ProxyTLS{Version: opensslVersion(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite), Resumed: state.DidResume}
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		h.TLS.Verified = true
		h.TLS.CommonName = leaf.Subject.CommonName
		h.TLS.ClientCert = leaf.Raw
	}
	if server != nil {
		h.TLS.SignatureAlgorithm = opensslSignature(server.SignatureAlgorithm)
		h.TLS.KeyAlgorithm = opensslKey(server.PublicKey)
	}
	return h
}

// AppendProxyHeader appends the header to b: as text when version is 1, else as version 2. A field that
// is too long, or of a type outside its range, is left out, because half a value would say something else.
// The header has to reach the backend before any other byte, TLS included.
func AppendProxyHeader(b []byte, version int, h ProxyHeader) []byte {
	source, destination, known := sameFamily(h.Source, h.Destination)
	if version == 1 {
		return appendProxyText(b, source, destination, known)
	}
	start := len(b)
	b = append(b, pp2Signature...)
	if !known {
		return append(b, 0x20, 0x00, 0, 0) // LOCAL: the backend is to use the addresses it sees
	}
	if source.Addr().Is4() {
		b = append(b, 0x21, 0x11, 0, 0)
	} else {
		b = append(b, 0x21, 0x21, 0, 0)
	}
	b = append(b, source.Addr().AsSlice()...)
	b = append(b, destination.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, source.Port())
	b = binary.BigEndian.AppendUint16(b, destination.Port())
	b = h.appendFields(b, math.MaxUint16-(len(b)-start-pp2Start))
	if h.Checksum {
		b = appendTLV(b, pp2CRC32C, make([]byte, crc32.Size))
	}
	binary.BigEndian.PutUint16(b[start+pp2Start-2:], uint16(len(b)-start-pp2Start))
	if h.Checksum { // over the header with zeros in its place
		sum := crc32.Checksum(b[start:], crc32.MakeTable(crc32.Castagnoli))
		binary.BigEndian.PutUint32(b[len(b)-crc32.Size:], sum)
	}
	return b
}

// sameFamily returns both addresses as IPv4 or both as IPv6, and whether they are known at all. Zones mean
// something on this machine only.
func sameFamily(source, destination netip.AddrPort) (netip.AddrPort, netip.AddrPort, bool) {
	if !source.IsValid() || !destination.IsValid() {
		return source, destination, false
	}
	from := source.Addr().Unmap().WithZone("")
	to := destination.Addr().Unmap().WithZone("")
	if from.Is4() != to.Is4() {
		from = netip.AddrFrom16(from.As16())
		to = netip.AddrFrom16(to.As16())
	}
	return netip.AddrPortFrom(from, source.Port()), netip.AddrPortFrom(to, destination.Port()), true
}

func appendProxyText(b []byte, source, destination netip.AddrPort, known bool) []byte {
	if !known {
		return append(b, "PROXY UNKNOWN\r\n"...)
	}
	family := "TCP6"
	if source.Addr().Is4() {
		family = "TCP4"
	}
	return fmt.Appendf(b, "PROXY %s %s %s %d %d\r\n", family, proxyAddr(source.Addr()), proxyAddr(destination.Addr()), source.Port(), destination.Port())
}

// proxyAddr writes an IPv4 address inside an IPv6 one in hexadecimal as well: section 2.1 allows nothing
// else.
func proxyAddr(a netip.Addr) string {
	if a.Is4In6() {
		raw := a.As16()
		return fmt.Sprintf("::ffff:%x:%x", binary.BigEndian.Uint16(raw[12:]), binary.BigEndian.Uint16(raw[14:]))
	}
	return a.String()
}

// appendFields appends what fits into room bytes. Room for who the client is and for the checksum is kept
// first; the client's certificate gets what the others leave.
func (h ProxyHeader) appendFields(b []byte, room int) []byte {
	session := h.TLS.value()
	if session != nil {
		room -= tlvStart + len(session)
	}
	if h.Checksum {
		room -= tlvStart + crc32.Size
	}
	add := func(kind byte, value []byte, most int) {
		if len(value) > 0 && len(value) <= most && tlvStart+len(value) <= room {
			b = appendTLV(b, kind, value)
			room -= tlvStart + len(value)
		}
	}
	// Both are the client's own words, and crypto/tls hands on what is in them. A backend that writes them into a log or a
	// header of its own must not get line ends.
	if isProtocol(h.ALPN) {
		add(pp2ALPN, []byte(h.ALPN), maxProxyText)
	}
	if isHostName(h.Authority) {
		add(pp2Authority, []byte(h.Authority), maxProxyText)
	}
	add(pp2UniqueID, h.UniqueID, maxProxyUniqueID)
	for _, field := range h.Custom {
		if field.Type >= pp2MinCustom && field.Type <= pp2MaxCustom {
			add(field.Type, field.Value, math.MaxUint16)
		}
	}
	if session == nil {
		return b
	}
	if cert := h.TLS.ClientCert; len(cert) > 0 && tlvStart+len(cert) <= room {
		session = appendTLV(session, pp2SSLClientCert, cert)
	}
	return appendTLV(b, pp2SSL, session)
}

// isProtocol tells whether a text can be the name of a protocol: those that are registered are printable ASCII without
// spaces. What clients send to keep servers tolerant (RFC 8701) is not.
func isProtocol(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// isHostName tells whether a text has only what names of hosts have (RFC 1123), and underscores, which some do.
func isHostName(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r))
	})
}

// value is the field of the session without the client's certificate, nil when there is no session.
func (t *ProxyTLS) value() []byte {
	if t == nil {
		return nil
	}
	client := byte(pp2ClientSSL)
	verify := byte(1)
	if t.Verified {
		client |= pp2ClientCertSess
		verify = 0
		if !t.Resumed {
			client |= pp2ClientCertConn
		}
	}
	b := []byte{client, 0, 0, 0, verify}
	for _, field := range []struct {
		kind byte
		text string
	}{
		{pp2SSLVersion, t.Version}, {pp2SSLCommonName, t.CommonName}, {pp2SSLCipher, t.Cipher},
		{pp2SSLSignatureAlg, t.SignatureAlgorithm}, {pp2SSLKeyAlg, t.KeyAlgorithm},
	} {
		if field.text != "" && len(field.text) <= maxProxyText {
			b = appendTLV(b, field.kind, []byte(field.text))
		}
	}
	return b
}

func appendTLV(b []byte, kind byte, value []byte) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// opensslVersion names a TLS version the way backends know it from HAProxy.
func opensslVersion(version uint16) string {
	switch version {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return "TLSv1.3"
}

// opensslSignature names the algorithms of certificates that are in use; others go without a name.
func opensslSignature(algorithm x509.SignatureAlgorithm) string {
	return map[x509.SignatureAlgorithm]string{
		x509.SHA256WithRSA: "RSA-SHA256", x509.SHA384WithRSA: "RSA-SHA384", x509.SHA512WithRSA: "RSA-SHA512",
		x509.ECDSAWithSHA256: "ecdsa-with-SHA256", x509.ECDSAWithSHA384: "ecdsa-with-SHA384", x509.ECDSAWithSHA512: "ecdsa-with-SHA512",
		x509.PureEd25519: "ED25519",
	}[algorithm]
}

func opensslKey(key any) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RSA" + strconv.Itoa(key.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC" + strconv.Itoa(key.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return "ED25519"
	}
	return ""
}
