package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
)

// bearer is what admission learned about a connection; the balancer hands it back with every event.
type bearer struct {
	clientID, frontendID string
	certificate          certificateKey
	keys                 []string // of the certificate
	frontend             *frontendState
}

// Names under which the balancer finds live connections.
func clientKey(id string) string                { return "client:" + id }
func frontendKey(id string) string              { return "frontend:" + id }
func serialKey(authority, serial string) string { return "serial:" + authority + ":" + serial }

// drop closes the live connections of a key. Before the balancer exists there are none.
func (c *Control) drop(key string, reason lb.Reason) int { return c.dropBy(key, nil, reason) }

// dropBy closes the live connections of a key at a moment, nil and the past are at once. It tells how many
// there are.
func (c *Control) dropBy(key string, at *time.Time, reason lb.Reason) int {
	if c.balancer == nil {
		return 0
	}
	if at != nil {
		if left := at.Sub(c.cfg.Now()); left > 0 {
			return c.balancer.DropAfter(key, left, reason)
		}
	}
	return c.balancer.Drop(key, reason)
}

// admit decides which pool a certificate opens. The balancer calls it on every connection, resumed ones
// too, and once more after the connection is registered. It reads memory only and changes nothing,
// because TLS 1.3 asks before the client has proved that it holds the key.
func (c *Control) admit(state tls.ConnectionState) (lb.Admission, error) {
	if len(state.PeerCertificates) == 0 {
		return lb.Admission{}, &lb.Refusal{Reason: lb.ReasonNoCert}
	}
	leaf := state.PeerCertificates[0]
	authority, err := c.verifier.Verify(state.PeerCertificates, c.cfg.Now())
	if err != nil {
		return lb.Admission{}, &lb.Refusal{Reason: verifyReason(err), Err: err}
	}
	b, client, reason := c.identify(authority, leaf)
	if reason != "" {
		return lb.Admission{}, &lb.Refusal{Reason: reason}
	}
	admission := lb.Admission{
		Pool:     b.frontend.pool,
		Keys:     b.keys,
		NotAfter: leaf.NotAfter, Limits: []*lb.Limit{client.limits.connections, b.frontend.limit}, Tag: b, ProxyFields: proxyFields(b),
		HashKey: b.certificate.serial, // each program has a certificate of its own
	}
	applyTimes(&admission, &b.frontend.record.Options)
	return admission, nil
}

// identify looks a certificate of ours up. Its authority comes from the record of its issue: the names
// in the certificate have to agree with it, they decide nothing alone.
func (c *Control) identify(authority string, leaf *x509.Certificate) (*bearer, *clientState, lb.Reason) {
	key := certificateKey{authority, pki.FormatSerial(leaf.SerialNumber)}
	cert, known := c.index.certificates.get(key)
	if !known {
		return nil, nil, reasonGone
	}
	frontend, known := c.index.byAccessKey.get(leaf.Subject.CommonName)
	if !known || frontend.record.ID != cert.frontendID || frontend.record.ClientID != cert.clientID || !organisationIs(leaf, cert.clientID) {
		return nil, nil, reasonGone
	}
	client, known := c.index.clients.get(cert.clientID)
	switch {
	case !known:
		return nil, nil, reasonGone
	case cert.revoked:
		return nil, nil, reasonRevoked
	case client.disabled:
		return nil, nil, reasonDisabled
	case !frontend.record.Active:
		return nil, nil, reasonOff
	}
	return &bearer{clientID: cert.clientID, frontendID: cert.frontendID, certificate: key, keys: cert.keys, frontend: frontend}, client, ""
}

func organisationIs(leaf *x509.Certificate, clientID string) bool {
	return len(leaf.Subject.Organization) == 1 && leaf.Subject.Organization[0] == clientID
}

func verifyReason(err error) lb.Reason {
	switch {
	case errors.Is(err, pki.ErrExpired):
		return lb.ReasonExpired
	case errors.Is(err, pki.ErrNotYetValid):
		return reasonNotYet
	}
	return reasonOtherCA
}

// owner is the client and frontend that a refused certificate belongs to, empty when it is nobody's.
func (c *Control) owner(leaf *x509.Certificate) (clientID, frontendID, serial string) {
	if leaf == nil {
		return "", "", ""
	}
	serial = pki.FormatSerial(leaf.SerialNumber)
	_, err := c.verifier.Verify([]*x509.Certificate{leaf}, leaf.NotBefore)
	if err != nil {
		return "", "", serial
	}
	if cert, known := c.index.certificates.get(certificateKey{c.cfg.Authority.ID(), serial}); known {
		return cert.clientID, cert.frontendID, serial
	}
	return "", "", serial
}

// Types of our own fields in a PROXY header of version 2.
const (
	proxyClient   = 0xE5
	proxyFrontend = 0xE6
)

// proxyFields name the owner of a connection to a route that wants to know.
func proxyFields(b *bearer) []lb.TLV {
	if b.frontend.record.Options.Proxy != 2 {
		return nil
	}
	return []lb.TLV{{Type: proxyClient, Value: []byte(b.clientID)}, {Type: proxyFrontend, Value: []byte(b.frontendID)}}
}

// applyTimes writes the times of a frontend's connections into an admission.
func applyTimes(a *lb.Admission, o *Options) {
	a.IdleTimeout = seconds(o.IdleTimeoutSec)
	a.CloseTimeout = seconds(o.HalfCloseTimeoutSec)
	a.MaxLifetime = seconds(o.MaxLifetimeSec)
	a.KeepAlive = seconds(orOff(o.KeepAliveSec))
	a.UserTimeout = seconds(o.TCPUserTimeoutSec)
}
