package control

import (
	"cmp"
	"context"
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

// revocationList is the last list that was signed.
type revocationList struct {
	mu       sync.Mutex
	der      []byte
	signedAt time.Time
	revoked  uint64 // what it knows
}

var reasonCodes = map[string]int{keyCompromise: 1, "superseded": 4, "cessation-of-operation": 5}

// CRL is the list of revoked certificates that have not expired (RFC 5280), DER. It is signed anew when one
// was revoked, and each hour, but at most once a second: who asks in between waits, so that a list always has what was
// revoked before it was asked for.
func (c *Control) CRL(ctx context.Context) ([]byte, error) {
	for {
		der, wait, err := c.currentCRL()
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

// currentCRL returns the list, or how long to wait until one may be signed.
func (c *Control) currentCRL() (der []byte, wait time.Duration, err error) {
	now := c.cfg.Now()
	revoked := c.live.Revocations()
	c.crl.mu.Lock()
	defer c.crl.mu.Unlock()
	age := now.Sub(c.crl.signedAt)
	switch {
	case c.crl.der == nil:
	case c.crl.revoked == revoked && age < crlFresh:
		return c.crl.der, 0, nil
	case age >= 0 && age < crlPause:
		return nil, crlPause - age, nil
	}
	der, err = c.signCRL(now)
	if err != nil {
		return nil, 0, err
	}
	c.crl.der = der
	c.crl.signedAt = now
	c.crl.revoked = revoked
	return der, 0, nil
}

func (c *Control) signCRL(now time.Time) ([]byte, error) {
	var entries []pki.RevokedSerial
	c.live.EachCertificate(func(key live.CertificateKey, cert *live.Certificate) {
		if cert.Revoked && key.Authority == c.cfg.Authority.ID() && now.Before(cert.NotAfter) {
			entries = append(entries, pki.RevokedSerial{Serial: key.Serial, At: cert.RevokedAt, Reason: reasonCodes[cert.Reason]})
		}
	})
	slices.SortFunc(entries, func(a, b pki.RevokedSerial) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Serial, b.Serial))
	})
	return c.cfg.Authority.RevocationList(entries, now.UnixMilli(), now)
}
