package lb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xdire/xlb/internal/source"
	"github.com/xdire/xlb/lb/internal/record"
)

// tlsConfig is the server's side of every handshake.
func (s *Server) tlsConfig(given *tls.Config) *tls.Config {
	cfg := given.Clone()
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS13
	}
	if cfg.ClientAuth == tls.NoClientCert {
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	cfg.NextProtos = nil
	s.alpn.base = cfg.Clone()
	cfg.GetConfigForClient = s.configFor
	return cfg
}

// SetTicketKeys sets the keys that session tickets are sealed with (RFC 8446, section 4.6.1), the newest first; the others open
// tickets from before. Servers with the same keys resume each other's sessions, and so does one after a restart. They must be
// used for nothing else, and by no server that takes other certificates: a ticket says who somebody is. Without a call the
// server has keys of its own, which it changes daily. It panics without keys.
func (s *Server) SetTicketKeys(keys [][32]byte) {
	if s.tls != nil {
		s.tls.SetSessionTicketKeys(keys) // what configFor returns has none, so that these count for all protocols
	}
}

// asRefusal marks an error of Admit as such, so that it is not taken for one of the handshake.
func asRefusal(err error) error {
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return &Refusal{Reason: ReasonInternal, Err: err}
}

// configFor answers a ClientHello.
func (s *Server) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	cfg := s.alpn.get(protocolFor(hello.SupportedProtos)).Clone()
	shake := hello.Conn.(*handshake)
	shake.place.Heard()
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		admission, err := s.cfg.Admit(state)
		if err == nil {
			shake.admission = &admission
		}
		return asRefusal(err)
	}
	if len(hello.SupportedVersions) > 0 {
		shake.offered = slices.Max(hello.SupportedVersions)
		cfg.KeyLogWriter = shake.KeyLog()
	}
	return cfg, nil
}

// handshake is the connection under crypto/tls, with what is learned of the client during its handshake.
type handshake struct {
	*record.Wire
	place     *source.Ticket[*conn]
	admission *Admission // nil when it was refused
	offered   uint16     // highest TLS version in the ClientHello
}

// protocolFor chooses the application protocol (RFC 7301): the only one offered, or http/1.1 among several.
func protocolFor(offered []string) string {
	switch {
	case len(offered) == 1:
		return offered[0]
	case slices.Contains(offered, "http/1.1"):
		return "http/1.1"
	}
	return ""
}

// alpnConfigs keeps one tls.Config for each application protocol. Session tickets are the server's own
// all the same: crypto/tls takes their keys from the listener's config.
type alpnConfigs struct {
	base    *tls.Config
	mu      sync.Mutex
	configs map[string]*tls.Config
}

// maxALPN bounds what clients can make us remember.
const maxALPN = 64

// get returns the config for a protocol, "" for none. It must not be changed.
func (a *alpnConfigs) get(protocol string) *tls.Config {
	if protocol == "" {
		return a.base
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if cfg := a.configs[protocol]; cfg != nil {
		return cfg
	}
	cfg := a.base.Clone()
	cfg.NextProtos = []string{protocol}
	if a.configs == nil {
		a.configs = map[string]*tls.Config{}
	}
	if len(a.configs) < maxALPN {
		a.configs[protocol] = cfg
	}
	return cfg
}

// shakeHands does the TLS handshake, if there is one to do, within its time, and the admission.
func (c *conn) shakeHands() (err error) {
	if TrustsProxy(c.server.cfg.ProxyFrom, c.remote.Addr()) {
		if err := c.readProxyHeader(); err != nil {
			return err
		}
	}
	if c.server.tls == nil {
		c.admission, err = c.server.cfg.Admit(c.state)
		return err
	}
	place, evicted, someone := c.server.gate.Enter(c.remote.Addr(), c)
	defer place.Leave()
	if someone {
		evicted.abort(ending{reason: ReasonHandshakeLimit})
	}
	if d := c.server.cfg.HandshakeTimeout; d > 0 {
		c.raw.SetDeadline(c.start.Add(d))
	}
	var begun []byte
	if c.server.cfg.PlainText&AnswerPostgres != 0 {
		begun, err = answerPostgres(c.raw)
	}
	shake := &handshake{Wire: record.NewWire(c.raw, begun), place: place}
	if err != nil {
		c.handshake = time.Since(c.start)
		return c.handshakeError(shake, err)
	}
	secure := tls.Server(shake, c.server.tls)
	err = secure.Handshake()
	c.handshake = time.Since(c.start)
	c.state = secure.ConnectionState()
	c.client = secure
	c.wire = shake.Wire
	if err != nil {
		err = c.handshakeError(shake, err)
		shake.Flush() // an alert, or an answer in plain text
		return err
	}
	c.admission = *shake.admission
	shake.admission = nil
	if c.secure = record.TakeOver(shake.Wire, c.state); c.secure != nil {
		c.client = nil
		c.wire = nil
	} else if err := shake.Pass(); err != nil {
		return c.handshakeError(shake, err)
	}
	return c.raw.SetDeadline(time.Time{})
}

// readProxyHeader learns who the client is. Until then the connection has a place among the handshakes of the proxy.
func (c *conn) readProxyHeader() error {
	place, evicted, someone := c.server.gate.Enter(c.remote.Addr(), c)
	defer place.Leave()
	if someone {
		evicted.abort(ending{reason: ReasonHandshakeLimit})
	}
	if d := c.server.cfg.HandshakeTimeout; d > 0 {
		c.raw.SetDeadline(c.start.Add(d))
	}
	source, destination, err := ReadProxyHeader(c.raw)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Refusal{Reason: ReasonSilent, Err: err}
	case errors.Is(err, ErrNoProxyHeader):
		return &Refusal{Reason: ReasonNoProxy, Err: err}
	case err != nil:
		return &Refusal{Reason: ReasonHungUp, Err: err}
	}
	if source.IsValid() {
		c.remote = source
		c.local = destination
	}
	return c.raw.SetDeadline(time.Time{})
}

// handshakeError gives a failed handshake its reason. crypto/tls has no types for most of them, so its
// words are read; a test for each of them tells when they change.
func (c *conn) handshakeError(shake *handshake, err error) error {
	var refusal *Refusal
	var header tls.RecordHeaderError
	var op *net.OpError
	text := err.Error()
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.As(err, &header):
		return c.notTLS(header)
	case isCertificateAlert(shake.Alert()):
		return &Refusal{Reason: ReasonUntrusted, Err: err}
	case strings.Contains(text, "unsupported versions"):
		return &Refusal{Reason: ReasonOldTLS, Detail: tls.VersionName(shake.offered), Err: err}
	case strings.Contains(text, "didn't provide a certificate"):
		return &Refusal{Reason: ReasonNoCert, Err: err}
	case strings.Contains(text, "invalid signature by the client certificate"):
		return &Refusal{Reason: ReasonKeyMismatch, Err: err}
	case errors.As(err, &op) && op.Op == "remote error":
		return &Refusal{Reason: alertReason(op.Err.Error()), Err: err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Refusal{Reason: ReasonSilent, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err), errors.Is(err, net.ErrClosed):
		return &Refusal{Reason: ReasonHungUp, Err: err}
	}
	return &Refusal{Reason: ReasonHungUp, Detail: text, Err: err}
}

// isCertificateAlert tells whether an alert is about our certificate (RFC 8446, section 6.2: bad_certificate,
// unsupported, revoked, expired and unknown certificate, unknown_ca).
func isCertificateAlert(alert byte) bool { return alert >= 42 && alert <= 46 || alert == 48 }

// alertReason reads the alert that a client sent (RFC 8446, section 6.2).
func alertReason(alert string) Reason {
	if strings.Contains(alert, "certificate") {
		return ReasonUntrusted
	}
	return ReasonHungUp
}

// plainAnswer is for a browser or curl that was pointed at a TLS port without https.
const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"

const plainText = "This port speaks TLS 1.3 and asks for a client certificate. Use https:// with --cert and --key.\n"

func (c *conn) notTLS(header tls.RecordHeaderError) error {
	what := "unknown bytes"
	if start := string(header.RecordHeader[:]); start == "PROXY" || start == pp2Signature[:len(start)] {
		what = "a PROXY header" // from an address that is not in Config.ProxyFrom
	}
	if isHTTP(header.RecordHeader[:]) {
		what = "HTTP"
		if header.Conn != nil && c.server.cfg.PlainText&AnswerHTTP != 0 {
			fmt.Fprintf(header.Conn, plainAnswer, len(plainText), plainText)
		}
	}
	return &Refusal{Reason: ReasonNotTLS, Detail: what, Err: header}
}

func isHTTP(start []byte) bool {
	for _, method := range []string{"GET ", "HEAD ", "POST ", "PUT ", "DELET", "OPTIO", "PATCH", "CONNE", "TRACE"} {
		if strings.HasPrefix(string(start), method[:min(len(method), len(start))]) {
			return true
		}
	}
	return false
}

// refuse tells why the connection may not enter and closes it, so that the client can still read the
// alert that crypto/tls has sent.
func (c *conn) refuse(err error) {
	reason := ReasonOf(err)
	detail := ""
	var refusal *Refusal
	if errors.As(err, &refusal) {
		detail = refusal.Detail
	}
	c.note(ending{reason, detail, err})
	c.server.refusals.add(c.reason())
	c.tell(Refused)
	c.hangUp()
}

func (c *conn) reason() Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end.reason
}
