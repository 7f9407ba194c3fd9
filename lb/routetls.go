package lb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// BackendTLS is TLS to backends. The zero value verifies a backend by the name in its address against the
// system's roots. It remembers sessions, so that a later connection to the same address resumes one; that
// is why it is shared by the connections to a backend and neither copied nor changed after its first use.
// It is safe for concurrent use.
type BackendTLS struct {
	// ServerName is asked for, and the certificate has to carry it. Empty is the host of the address,
	// which may be an IP address.
	ServerName string
	// RootCAs are the authorities to believe. Nil is the system's.
	RootCAs *x509.CertPool
	// InsecureSkipVerify takes any certificate. The stream is encrypted then, to whoever answers.
	InsecureSkipVerify bool
	// Certificate is shown to a backend that asks for one. Nil is none.
	Certificate *tls.Certificate
	// NextProtos are the application protocols to offer (RFC 7301). A backend that knows none of them
	// refuses. Nil offers none.
	NextProtos []string
	// MinVersion is the lowest TLS version to speak, such as tls.VersionTLS13. 0 is TLS 1.2.
	MinVersion uint16

	once     sync.Once
	sessions tls.ClientSessionCache
}

// maxBackendSessions bounds what is remembered, one session for each address; the oldest goes first.
const maxBackendSessions = 256

// Client does the handshake over a connection to address, which is host:port. The error is a *Refusal
// with ReasonBackendTLS and words for people, and conn is closed then. A backend that speaks TLS 1.3 refuses
// a client certificate only after the handshake: the first Read tells.
func (b *BackendTLS) Client(ctx context.Context, conn net.Conn, address string) (*tls.Conn, error) {
	secure := tls.Client(conn, b.config(address))
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &Refusal{Reason: ReasonBackendTLS, Detail: backendTLSDetail(err), Err: err}
	}
	return secure, nil
}

func (b *BackendTLS) config(address string) *tls.Config {
	b.once.Do(func() { b.sessions = tls.NewLRUClientSessionCache(maxBackendSessions) })
	cfg := &tls.Config{
		ServerName: b.ServerName, RootCAs: b.RootCAs, InsecureSkipVerify: b.InsecureSkipVerify, NextProtos: b.NextProtos,
		MinVersion: b.MinVersion, ClientSessionCache: sessionsOf{b.sessions, address},
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if host, _, err := net.SplitHostPort(address); err == nil && cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if b.Certificate != nil {
		// Also to a backend that names other authorities: its answer then says what is wrong, where
		// none at all would be missed as "certificate required".
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return b.Certificate, nil }
	}
	return cfg
}

// sessionsOf keeps the sessions of backends apart that have one name: the keys of crypto/tls are names,
// and a ticket of one backend is worth nothing to another.
type sessionsOf struct {
	all     tls.ClientSessionCache
	address string
}

// Get implements tls.ClientSessionCache.
func (s sessionsOf) Get(key string) (*tls.ClientSessionState, bool) {
	return s.all.Get(s.address + " " + key)
}

// Put implements tls.ClientSessionCache.
func (s sessionsOf) Put(key string, session *tls.ClientSessionState) {
	s.all.Put(s.address+" "+key, session)
}

// backendTLSDetail says in words why a backend's handshake failed. crypto/tls has no types for most errors,
// so its own words are the last resort.
func backendTLSDetail(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	alert := remoteAlert(err)
	switch {
	case errors.As(err, &invalid):
		return invalidDetail(invalid)
	case errors.As(err, &unknown):
		return "unknown authority"
	case errors.As(err, &name):
		return "name does not match"
	case errors.As(err, &record):
		return "no TLS there"
	case alert != "":
		return alert
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return "closed during the handshake"
	case strings.Contains(err.Error(), "unsupported protocol version"):
		return "no common TLS version"
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}

func invalidDetail(invalid x509.CertificateInvalidError) string {
	switch {
	case invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "certificate is not valid yet"
	case invalid.Reason == x509.Expired:
		return "certificate has expired"
	case invalid.Reason == x509.IncompatibleUsage:
		return "certificate is not for servers"
	}
	return strings.TrimPrefix(invalid.Error(), "x509: ")
}

// remoteAlert is what the other side of a TLS connection objected to (RFC 8446, section 6.2), "" when
// the error is another one.
func remoteAlert(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return ""
	}
	return "it answered: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
}
