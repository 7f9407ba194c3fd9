package pki

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ServerIdentity is the certificate that listeners present, renewed by itself. It has two: ECDSA P-256,
// because that signature costs a hundredth of RSA's, and RSA 3072 for clients that cannot check it; the
// second is made when the first such client comes. It is safe for concurrent use.
type ServerIdentity struct {
	authority *Authority
	names     []string

	fast     atomic.Pointer[tls.Certificate]
	fallback atomic.Pointer[tls.Certificate]
	making   sync.Mutex // one fallback at a time
}

// NewServerIdentity issues the first certificate. names are DNS names and IP addresses; doubles are left out.
func NewServerIdentity(authority *Authority, names []string, now time.Time) (*ServerIdentity, error) {
	s := &ServerIdentity{authority: authority}
	for _, name := range names {
		if name != "" && !slices.Contains(s.names, name) {
			s.names = append(s.names, name)
		}
	}
	return s, s.Renew(now)
}

// GetCertificate is for tls.Config. It looks at what the client can check.
func (s *ServerIdentity) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	fast := s.fast.Load()
	if canECDSA(hello) {
		return fast, nil
	}
	if fallback := s.fallback.Load(); fallback != nil {
		return fallback, nil
	}
	return s.makeFallback(time.Now())
}

// canECDSA tells whether a client can check an ECDSA P-256 signature (RFC 8446, section 4.2.3). It is
// the signature that decides: a client without the SNI that our names have is served all the same.
func canECDSA(hello *tls.ClientHelloInfo) bool {
	return slices.Contains(hello.SignatureSchemes, tls.ECDSAWithP256AndSHA256)
}

func (s *ServerIdentity) makeFallback(now time.Time) (*tls.Certificate, error) {
	s.making.Lock()
	defer s.making.Unlock()
	if fallback := s.fallback.Load(); fallback != nil {
		return fallback, nil
	}
	cert, err := s.issue(RSA3072, now)
	if err != nil {
		return nil, err
	}
	s.fallback.Store(cert)
	return cert, nil
}

// Renew issues new certificates. Connections that exist are not touched.
func (s *ServerIdentity) Renew(now time.Time) error {
	fast, err := s.issue(ECDSAP256, now)
	if err != nil {
		return err
	}
	s.fast.Store(fast)
	if s.fallback.Load() == nil {
		return nil
	}
	fallback, err := s.issue(RSA3072, now)
	if err != nil {
		return err
	}
	s.fallback.Store(fallback)
	return nil
}

func (s *ServerIdentity) issue(kind KeyType, now time.Time) (*tls.Certificate, error) {
	key, err := GenerateKey(kind)
	if err != nil {
		return nil, err
	}
	leaf, err := s.authority.IssueServer(ServerRequest{Names: s.names, PublicKey: key.Public(), Now: now})
	if err != nil {
		return nil, fmt.Errorf("issue the server's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// due tells whether less than a third of the certificate's life is left.
func (s *ServerIdentity) due(now time.Time) bool {
	leaf := s.fast.Load().Leaf
	return leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/3
}

// renewCheck is how often Run looks at the clock; short, because a suspended machine wakes up late.
const renewCheck = time.Minute

// Run renews the certificates before they expire, until ctx ends. When the authority itself has ended it
// leaves them as they are: that is no reason to stop serving.
func (s *ServerIdentity) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if now := time.Now(); s.due(now) {
			if err := s.Renew(now); err != nil && !errors.Is(err, ErrAuthorityDates) {
				return err
			}
		}
		wait(ctx, nil, renewCheck)
	}
	return nil
}
