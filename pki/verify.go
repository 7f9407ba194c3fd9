package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"time"
)

// What [Verifier.Verify] says of a certificate that it does not accept.
var (
	ErrOtherAuthority = errors.New("the certificate is of another authority")
	ErrExpired        = errors.New("the certificate has expired")
	ErrNotYetValid    = errors.New("the certificate is not valid yet")
	ErrUsage          = errors.New("the certificate is not for clients")
)

// maxRemembered bounds the remembered chain checks: 48 bytes each, so at most 1 MB.
const maxRemembered = 16384

// Verifier checks client certificates. The signature on a certificate cannot change, so that check is
// remembered, bounded; the dates are looked at each time. It is safe for concurrent use.
type Verifier struct {
	mu       sync.RWMutex
	roots    []*x509.Certificate
	pool     *x509.CertPool
	verified map[[sha256.Size]byte]string // leaf -> authority
}

// NewVerifier returns a verifier that trusts these authorities.
func NewVerifier(roots ...*x509.Certificate) *Verifier {
	v := &Verifier{}
	v.SetRoots(roots...)
	return v
}

// SetRoots replaces the trusted authorities and forgets every check that was made.
func (v *Verifier) SetRoots(roots ...*x509.Certificate) {
	pool := x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.roots = slices.Clone(roots)
	v.pool = pool
	v.verified = map[[sha256.Size]byte]string{}
}

// Pool lists the trusted authorities, as a hint for clients. It must not be changed.
func (v *Verifier) Pool() *x509.CertPool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.pool
}

// Verify checks the first certificate of a chain, as a client's, and returns the authority that issued
// it. The authorities issue directly, so the rest of the chain is not looked at.
func (v *Verifier) Verify(chain []*x509.Certificate, now time.Time) (authority string, err error) {
	if len(chain) == 0 {
		return "", ErrOtherAuthority
	}
	leaf := chain[0]
	hash := sha256.Sum256(leaf.Raw)
	v.mu.RLock()
	authority, known := v.verified[hash]
	roots := v.roots
	v.mu.RUnlock()
	if !known {
		if authority, err = check(leaf, roots); err != nil {
			return "", err
		}
		v.remember(hash, authority, roots)
	}
	switch {
	case now.Before(leaf.NotBefore):
		return "", ErrNotYetValid
	case !now.Before(leaf.NotAfter):
		return "", ErrExpired
	}
	return authority, nil
}

// remember keeps a check, unless the authorities were replaced while it was made.
func (v *Verifier) remember(hash [sha256.Size]byte, authority string, roots []*x509.Certificate) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(roots) != len(v.roots) || len(roots) > 0 && &roots[0] != &v.roots[0] {
		return
	}
	if len(v.verified) >= maxRemembered {
		for old := range v.verified { // any one: maps are walked in random order
			delete(v.verified, old)
			break
		}
	}
	v.verified[hash] = authority
}

// check finds the authority that signed leaf. Dates are the caller's; the chain is looked at as of the
// first moment when both are valid, because a backdated certificate can be older than a young authority.
func check(leaf *x509.Certificate, roots []*x509.Certificate) (string, error) {
	for _, root := range roots {
		pool := x509.NewCertPool()
		pool.AddCert(root)
		at := leaf.NotBefore
		if root.NotBefore.After(at) {
			at = root.NotBefore
		}
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		var invalid x509.CertificateInvalidError
		switch {
		case err == nil:
			return authorityID(root), nil
		case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
			return "", ErrUsage
		}
	}
	return "", ErrOtherAuthority
}
