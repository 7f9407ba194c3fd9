package live

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Holder is what admission learned about a connection; the balancer hands it back with every event.
type Holder struct {
	ClientID, FrontendID string
	Certificate          CertificateKey
	keys                 []string // of the certificate
	frontend             *frontend
}

// Names under which the balancer finds live connections.
func clientKey(id string) string                { return "client:" + id }
func frontendKey(id string) string              { return "frontend:" + id }
func serialKey(authority, serial string) string { return "serial:" + authority + ":" + serial }

// drop closes the live connections of a key.
func (l *Live) drop(key string, reason lb.Reason) int { return l.dropBy(key, nil, reason) }

// dropBy closes the live connections of a key at a moment, nil and the past are at once. It tells how many
// there are.
func (l *Live) dropBy(key string, at *time.Time, reason lb.Reason) int {
	if at != nil {
		if left := at.Sub(l.cfg.Now()); left > 0 {
			return l.balancer.DropAfter(key, left, reason)
		}
	}
	return l.balancer.Drop(key, reason)
}

// admit decides which pool a certificate opens. The balancer calls it on every connection, resumed ones
// too, and once more after the connection is registered. It reads memory only and changes nothing,
// because TLS 1.3 asks before the client has proved that it holds the key.
func (l *Live) admit(state tls.ConnectionState) (lb.Admission, error) {
	if len(state.PeerCertificates) == 0 {
		return lb.Admission{}, &lb.Refusal{Reason: lb.ReasonNoCert}
	}
	leaf := state.PeerCertificates[0]
	authority, err := l.verifier.Verify(state.PeerCertificates, l.cfg.Now())
	if err != nil {
		reason := verifyReason(err)
		return lb.Admission{}, &lb.Refusal{Reason: reason, Detail: certificateDetail(reason, leaf), Err: err}
	}
	b, client, reason := l.identify(authority, leaf)
	if reason != "" {
		return lb.Admission{}, &lb.Refusal{Reason: reason}
	}
	admission := lb.Admission{
		Pool:     b.frontend.pool,
		Keys:     b.keys,
		Group:    b.ClientID,
		NotAfter: leaf.NotAfter, Limits: []*lb.Limit{client.limits.connections, b.frontend.limit}, Tag: b, ProxyFields: proxyFields(b),
		HashKey: b.Certificate.Serial, // each program has a certificate of its own
	}
	applyTimes(&admission, b.frontend.record.Options)
	return admission, nil
}

// HolderOf is who has a certificate, or why it opens nothing: the answer that the data plane gives.
func (l *Live) HolderOf(leaf *x509.Certificate) (*Holder, lb.Reason) {
	authority, err := l.verifier.Verify([]*x509.Certificate{leaf}, l.cfg.Now())
	if err != nil {
		return nil, verifyReason(err)
	}
	b, _, reason := l.identify(authority, leaf)
	return b, reason
}

// Identify looks a certificate of ours up. Its authority comes from the record of its issue: the names
// in the certificate have to agree with it, they decide nothing alone.
func (l *Live) identify(authority string, leaf *x509.Certificate) (*Holder, *Client, lb.Reason) {
	key := CertificateKey{authority, pki.FormatSerial(leaf.SerialNumber)}
	cert, known := l.certificates.get(key)
	if !known {
		return nil, nil, ReasonGone
	}
	frontend, known := l.byAccessKey.get(leaf.Subject.CommonName)
	if !known || frontend.record.UUID != cert.FrontendID || frontend.record.ClientID != cert.ClientID || !organisationIs(leaf, cert.ClientID) {
		return nil, nil, ReasonGone
	}
	client, known := l.clients.get(cert.ClientID)
	switch {
	case !known:
		return nil, nil, ReasonGone
	case cert.Revoked:
		return nil, nil, ReasonRevoked
	case client.Disabled:
		return nil, nil, ReasonDisabled
	case !frontend.record.Active:
		return nil, nil, ReasonOff
	}
	return &Holder{ClientID: cert.ClientID, FrontendID: cert.FrontendID, Certificate: key, keys: cert.keys, frontend: frontend}, client, ""
}

func organisationIs(leaf *x509.Certificate, clientID string) bool {
	return len(leaf.Subject.Organization) == 1 && leaf.Subject.Organization[0] == clientID
}

func verifyReason(err error) lb.Reason {
	switch {
	case errors.Is(err, pki.ErrExpired):
		return lb.ReasonExpired
	case errors.Is(err, pki.ErrNotYetValid):
		return ReasonNotYet
	case errors.Is(err, pki.ErrRetired):
		return ReasonRetired
	}
	return ReasonOtherCA
}

// certificateDetail is what the one who presented a certificate may read about it.
func certificateDetail(reason lb.Reason, leaf *x509.Certificate) string {
	switch reason {
	case lb.ReasonExpired:
		return leaf.NotAfter.UTC().Format("2 Jan 2006")
	case ReasonNotYet:
		return leaf.NotBefore.UTC().Format("2 Jan 2006 15:04 UTC")
	case ReasonOtherCA:
		return shorten(leaf.Issuer.CommonName) // somebody else's words
	}
	return ""
}

// owner is the client and frontend that a refused certificate belongs to, empty when it is nobody's.
func (l *Live) owner(leaf *x509.Certificate) (clientID, frontendID, serial string) {
	if leaf == nil {
		return "", "", ""
	}
	serial = pki.FormatSerial(leaf.SerialNumber)
	authority, err := l.verifier.Verify([]*x509.Certificate{leaf}, leaf.NotBefore)
	if err != nil && !errors.Is(err, pki.ErrRetired) {
		return "", "", serial
	}
	if cert, known := l.certificates.get(CertificateKey{authority, serial}); known {
		return cert.ClientID, cert.FrontendID, serial
	}
	return "", "", serial
}

// Types of our own fields in a PROXY header of version 2.
const (
	proxyClient   = 0xE5
	proxyFrontend = 0xE6
)

// proxyFields name the owner of a connection to a route that wants to know.
func proxyFields(b *Holder) []lb.TLV {
	if b.frontend.record.Options.Proxy != 2 {
		return nil
	}
	return []lb.TLV{{Type: proxyClient, Value: []byte(b.ClientID)}, {Type: proxyFrontend, Value: []byte(b.FrontendID)}}
}

// applyTimes writes the times of a frontend's connections into an admission.
func applyTimes(a *lb.Admission, o *store.Options) {
	a.IdleTimeout = seconds(o.IdleTimeoutSec)
	a.CloseTimeout = seconds(o.HalfCloseTimeoutSec)
	a.MaxLifetime = seconds(o.MaxLifetimeSec)
	a.KeepAlive = seconds(orOff(o.KeepAliveSec))
	a.UserTimeout = seconds(o.TCPUserTimeoutSec)
}
