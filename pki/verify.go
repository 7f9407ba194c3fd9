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
	ErrRetired        = errors.New("the certificate is of an authority that was retired")
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
	issuers  *issuers
	verified map[[sha256.Size]byte]verdict // by leaf
}

// issuers are the authorities that a verifier knows.
type issuers struct {
	trusted, retired []*x509.Certificate
	pool             *x509.CertPool // of the trusted ones
}

// verdict is who signed a certificate.
type verdict struct {
	authority string
	retired   bool
}

// NewVerifier returns a verifier that trusts these authorities.
func NewVerifier(trusted ...*x509.Certificate) *Verifier {
	v := &Verifier{}
	v.SetIssuers(trusted, nil)
	return v
}

// SetIssuers replaces the authorities and forgets every check that was made. Those that are retired are not trusted any
// more; they are known so that who comes with a certificate of theirs is told.
func (v *Verifier) SetIssuers(trusted, retired []*x509.Certificate) {
	known := &issuers{slices.Clone(trusted), slices.Clone(retired), x509.NewCertPool()}
	for _, cert := range trusted {
		known.pool.AddCert(cert)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.issuers = known
	v.verified = map[[sha256.Size]byte]verdict{}
}

// Pool lists the trusted authorities, as a hint for clients. It must not be changed.
func (v *Verifier) Pool() *x509.CertPool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.issuers.pool
}

// Verify checks the first certificate of a chain, as a client's, and returns the authority that issued
// it, with ErrRetired too. The authorities issue directly, so the rest of the chain is not looked at.
func (v *Verifier) Verify(chain []*x509.Certificate, now time.Time) (authority string, err error) {
	if len(chain) == 0 {
		return "", ErrOtherAuthority
	}
	leaf := chain[0]
	hash := sha256.Sum256(leaf.Raw)
	v.mu.RLock()
	found, known := v.verified[hash]
	issuers := v.issuers
	v.mu.RUnlock()
	if !known {
		if found, err = issuers.check(leaf); err != nil {
			return "", err
		}
		v.remember(hash, found, issuers)
	}
	switch {
	case found.retired:
		return found.authority, ErrRetired
	case now.Before(leaf.NotBefore):
		return "", ErrNotYetValid
	case !now.Before(leaf.NotAfter):
		return "", ErrExpired
	}
	return found.authority, nil
}

// remember keeps a check, unless the authorities were replaced while it was made.
func (v *Verifier) remember(hash [sha256.Size]byte, found verdict, issuers *issuers) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if issuers != v.issuers {
		return
	}
	if len(v.verified) >= maxRemembered {
		for old := range v.verified { // any one: maps are walked in random order
			delete(v.verified, old)
			break
		}
	}
	v.verified[hash] = found
}

func (i *issuers) check(leaf *x509.Certificate) (verdict, error) {
	authority, err := check(leaf, i.trusted)
	if err == nil || errors.Is(err, ErrUsage) {
		return verdict{authority: authority}, err
	}
	if authority, retiredErr := check(leaf, i.retired); retiredErr == nil {
		return verdict{authority, true}, nil
	}
	return verdict{}, err
}

// check finds the authority that signed leaf. Dates are the caller's; the chain is looked at as of the
// first moment when both are valid, because a backdated certificate can be older than a young authority.
func check(leaf *x509.Certificate, authorities []*x509.Certificate) (string, error) {
	for _, root := range authorities {
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
