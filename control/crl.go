package control

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
)

// crlFresh is how old a list may be that is handed out: a stranger may ask as often as the signature costs.
const crlFresh = time.Hour

// revocationList is the last list that was signed.
type revocationList struct {
	mu       sync.Mutex
	der      []byte
	signedAt time.Time
	revoked  uint64 // what it knows
}

var reasonCodes = map[string]int{keyCompromise: 1, "superseded": 4, "cessation-of-operation": 5}

// CRL is the list of revoked certificates that have not expired (RFC 5280), DER. It is signed anew when one
// was revoked, and each hour.
func (c *Control) CRL() ([]byte, error) {
	now := c.cfg.Now()
	revoked := c.live.Revocations()
	c.crl.mu.Lock()
	defer c.crl.mu.Unlock()
	if c.crl.der != nil && c.crl.revoked == revoked && now.Sub(c.crl.signedAt) < crlFresh {
		return c.crl.der, nil
	}
	var entries []pki.RevokedSerial
	c.live.EachCertificate(func(key live.CertificateKey, cert *live.Certificate) {
		if cert.Revoked && key.Authority == c.cfg.Authority.ID() && now.Before(cert.NotAfter) {
			entries = append(entries, pki.RevokedSerial{Serial: key.Serial, At: cert.RevokedAt, Reason: reasonCodes[cert.Reason]})
		}
	})
	slices.SortFunc(entries, func(a, b pki.RevokedSerial) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Serial, b.Serial))
	})
	der, err := c.cfg.Authority.RevocationList(entries, now.UnixMilli(), now)
	if err != nil {
		return nil, err
	}
	c.crl.der = der
	c.crl.signedAt = now
	c.crl.revoked = revoked
	return der, nil
}
