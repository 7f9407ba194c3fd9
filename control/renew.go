package control

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

func errRevoked() *Error {
	return invalid("renews", "That certificate was revoked. Leave this out to issue one that follows none.")
}

// renewed is the certificate that a new one is to follow.
func (c *Control) renewed(ctx context.Context, a Actor, frontendID, serial string) (*store.Certificate, error) {
	old, err := c.certificateRecord(ctx, a, frontendID, serial)
	switch {
	case KindOf(err) == KindNotFound:
		return nil, invalid("renews", "This frontend has no such certificate.")
	case err != nil:
		return nil, err
	case old.RevokedAt != nil:
		return nil, errRevoked()
	}
	return &old, nil
}

// following takes what the request leaves out from the certificate that is renewed.
func (r IssueRequest) following(old store.Certificate) IssueRequest {
	if r.Name == "" {
		r.Name = old.Name
	}
	if r.KeyType == "" && r.CSR == "" {
		r.KeyType = keyTypeLike(old.KeyType)
	}
	if r.Lifetime == 0 {
		r.Lifetime = lifetimeOf(old)
	}
	return r
}

// keyTypeLike is a type that we make for a type that came in a request.
func keyTypeLike(kind string) string {
	switch kind {
	case "rsa":
		return string(pki.RSA3072)
	case "ecdsa":
		return string(pki.ECDSAP256)
	}
	return kind
}

// lifetimeOf is what was asked for when the certificate was issued: dates in it are whole seconds.
func lifetimeOf(r store.Certificate) time.Duration {
	life := r.NotAfter.Sub(r.IssuedAt) + time.Second - 1
	return min(max(life.Truncate(time.Second), minLifetime), pki.MaxLifetime)
}

// Renew issues a certificate to the key of another that is still good: the one that the actor's connection
// was made with. The old one stays as it is, so that the two overlap. The new one has its name, and its
// key type and lifetime unless r says otherwise; it lives no longer than that, so that a key cannot
// give itself more time than its client did. It needs no token, and therefore works for nothing else.
func (c *Control) Renew(ctx context.Context, r IssueRequest) (_ Issued, err error) {
	a := ActorFrom(ctx)
	b, err := c.holder(a.Certificate)
	if err != nil {
		return Issued{}, err
	}
	a.ClientID = b.ClientID
	a.Via = "certificate"
	ctx = WithActor(ctx, a)
	ctx, _, err = c.may(ctx, actCertificateRenew, b.FrontendID+"/certificates/"+b.Certificate.Serial)
	if err != nil {
		return Issued{}, err
	}
	defer c.noteFailed(ctx, &err)
	frontend, err := c.store.Frontend(ctx, b.ClientID, b.FrontendID)
	if err != nil {
		return Issued{}, fromStore(err, "frontend")
	}
	old, err := c.store.Certificate(ctx, b.Certificate.Authority, b.Certificate.Serial)
	if err != nil {
		return Issued{}, fromStore(err, "certificate")
	}
	if most := lifetimeOf(old); r.Lifetime > most {
		return Issued{}, invalid("lifetimeSec", "Use at most %d: a renewal lasts no longer than the certificate did. With a token it can.", int(most.Seconds()))
	}
	if r, err = r.following(old).check(); err != nil {
		return Issued{}, err
	}
	// The key of a frontend cannot keep its client from issuing: it has a rate of its own.
	if err := c.mayAsk(b.ClientID, "renew:"+b.FrontendID); err != nil {
		return Issued{}, err
	}
	return c.issue(ctx, frontend, r, &old, true)
}

// holder is who has the key of a certificate, if that is good now. It is asked as the data plane asks.
func (c *Control) holder(leaf *x509.Certificate) (*live.Holder, error) {
	refuse := func(message string) error { return &Error{Kind: KindForbidden, Message: message} }
	if leaf == nil {
		return nil, refuse("Connect with the certificate that is to be renewed, and its key.")
	}
	b, reason := c.live.HolderOf(leaf)
	switch reason {
	case "":
		return b, nil
	case lb.ReasonExpired:
		return nil, refuse("The certificate has expired. Issue a new one with a token.")
	case live.ReasonNotYet:
		return nil, refuse("The certificate is not valid yet. Check the clock of the server.")
	case live.ReasonRetired:
		return nil, refuse("The certificate's authority was retired. Issue a new one with a token.")
	case live.ReasonRevoked:
		return nil, refuse("The certificate was revoked.")
	case live.ReasonDisabled:
		return nil, refuse("The certificate's client is disabled. Ask the administrator.")
	case live.ReasonOff:
		return nil, refuse("The certificate's frontend is switched off.")
	case live.ReasonGone:
		return nil, refuse("The certificate's frontend does not exist any more.")
	}
	return nil, refuse("The certificate is not one of this server.")
}
