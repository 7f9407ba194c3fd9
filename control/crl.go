package control

import (
	"cmp"
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
)

const (
	// crlFresh is how old a list may be that is handed out.
	crlFresh = time.Hour
	// crlPause is the least time between two lists: strangers ask, one client revokes, and each signature takes as long
	// as a handshake.
	crlPause = time.Second
)

// revocationLists are those of all authorities. The zero value is none.
type revocationLists struct {
	mu   sync.Mutex
	byID map[string]*revocationList
}

func (r *revocationLists) of(id string) *revocationList {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]*revocationList{}
	}
	if r.byID[id] == nil {
		r.byID[id] = &revocationList{}
	}
	return r.byID[id]
}

// revocationList is the last list that an authority has signed.
type revocationList struct {
	mu       sync.Mutex
	der      []byte
	signedAt time.Time
	revoked  uint64 // what it knows
}

var reasonCodes = map[string]int{keyCompromise: 1, "superseded": 4, "cessation-of-operation": 5}

// CRL is the list of revoked certificates of an authority that have not expired (RFC 5280), DER; an empty id is the
// authority that issues. It is signed anew when one was revoked, and each hour, but at most once a second: who asks in between waits, so that a list always has what was
// revoked before it was asked for.
func (c *Control) CRL(ctx context.Context, authority string) ([]byte, error) {
	signer, err := c.signerOf(authority)
	if err != nil {
		return nil, err
	}
	for {
		der, wait, err := c.currentCRL(signer)
		if wait <= 0 {
			return der, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// signerOf is an authority whose key is here.
func (c *Control) signerOf(id string) (*pki.Authority, error) {
	set := c.set()
	if id == "" {
		id = set.Current().ID()
	}
	m, known := set.Get(id)
	if !known {
		return nil, notFound("authority")
	}
	if !m.CanSign() || m.Certificate().KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, &Error{Kind: KindUnavailable, Message: "This authority cannot sign lists: its key is not here, or its certificate does not permit that."}
	}
	return m.Authority, nil
}

// currentCRL returns the list, or how long to wait until one may be signed.
func (c *Control) currentCRL(signer *pki.Authority) (der []byte, wait time.Duration, err error) {
	now := c.cfg.Now()
	revoked := c.live.Revocations()
	list := c.crls.of(signer.ID())
	list.mu.Lock()
	defer list.mu.Unlock()
	age := now.Sub(list.signedAt)
	switch {
	case list.der == nil:
	case list.revoked == revoked && age < crlFresh:
		return list.der, 0, nil
	case age >= 0 && age < crlPause:
		return nil, crlPause - age, nil
	}
	der, err = c.signCRL(signer, now)
	if err != nil {
		return nil, 0, err
	}
	list.der = der
	list.signedAt = now
	list.revoked = revoked
	return der, 0, nil
}

func (c *Control) signCRL(signer *pki.Authority, now time.Time) ([]byte, error) {
	var entries []pki.RevokedSerial
	c.live.EachCertificate(func(key live.CertificateKey, cert *live.Certificate) {
		if cert.Revoked && key.Authority == signer.ID() && now.Before(cert.NotAfter) {
			entries = append(entries, pki.RevokedSerial{Serial: key.Serial, At: cert.RevokedAt, Reason: reasonCodes[cert.Reason]})
		}
	})
	slices.SortFunc(entries, func(a, b pki.RevokedSerial) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Serial, b.Serial))
	})
	return signer.RevocationList(entries, now.UnixMilli(), now)
}
