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
	w := hello.Conn.(*wire)
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		admission, err := s.cfg.Admit(state)
		if err == nil {
			w.admission = &admission
		}
		return asRefusal(err)
	}
	if len(hello.SupportedVersions) > 0 {
		w.offered = slices.Max(hello.SupportedVersions)
		cfg.KeyLogWriter = keyLog{w} // keeps them in memory, until the handshake is over
	}
	return cfg, nil
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
	if c.server.tls == nil {
		c.admission, err = c.server.cfg.Admit(c.state)
		return err
	}
	place, evicted := c.server.gate.enter(c)
	defer c.server.gate.leave(place)
	if evicted != nil {
		evicted.abort(ending{reason: ReasonHandshakeLimit})
	}
	if d := c.server.cfg.HandshakeTimeout; d > 0 {
		c.raw.SetDeadline(c.start.Add(d))
	}
	c.wire = &wire{Conn: c.raw}
	begun, err := answerPostgres(c.raw)
	if err != nil {
		c.handshake = time.Since(c.start)
		return c.handshakeError(err)
	}
	c.wire.begin(begun)
	secure := tls.Server(c.wire, c.server.tls)
	err = secure.Handshake()
	c.handshake = time.Since(c.start)
	c.state = secure.ConnectionState()
	c.client = secure
	if err != nil {
		err = c.handshakeError(err)
		c.wire.flush() // an alert, or an answer in plain text
		return err
	}
	c.admission = *c.wire.admission
	c.wire.admission = nil
	if c.secure = takeOver(c.wire, c.state); c.secure != nil {
		c.client, c.wire = nil, nil
	} else if err := c.wire.pass(); err != nil {
		return c.handshakeError(err)
	}
	return c.raw.SetDeadline(time.Time{})
}

// handshakeError gives a failed handshake its reason. crypto/tls has no types for most of them, so its
// words are read; a test for each of them tells when they change.
func (c *conn) handshakeError(err error) error {
	var refusal *Refusal
	var record tls.RecordHeaderError
	var op *net.OpError
	text := err.Error()
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.As(err, &record):
		return c.notTLS(record)
	case isCertificateAlert(c.wire.alert):
		return &Refusal{Reason: ReasonUntrusted, Err: err}
	case strings.Contains(text, "unsupported versions"):
		return &Refusal{Reason: ReasonOldTLS, Detail: tls.VersionName(c.wire.offered), Err: err}
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

func (c *conn) notTLS(record tls.RecordHeaderError) error {
	what := "unknown bytes"
	if isHTTP(record.RecordHeader[:]) {
		what = "HTTP"
		if record.Conn != nil {
			fmt.Fprintf(record.Conn, plainAnswer, len(plainText), plainText)
		}
	}
	return &Refusal{Reason: ReasonNotTLS, Detail: what, Err: record}
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
	reason, detail := ReasonOf(err), ""
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
