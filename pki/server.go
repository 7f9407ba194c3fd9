package pki

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ServerConfig is what NewServerIdentity needs. Fields without a remark must be set.
type ServerConfig struct {
	// Issuer is who issues them at a moment. It may change; Refresh takes that up.
	Issuer func(now time.Time) Issuer
	// Names are DNS names and IP addresses; doubles are left out.
	Names []string
	Now   time.Time
	// Saved is what Save was given last. It is used when it is of this issuer and its chain, for these names and not
	// due to be renewed: a client that is behind with its clock has seen it become valid. Nil: none.
	Saved []byte
	// Save keeps the certificates and their private keys for the next start; it has to keep them secret.
	// It is called when there are new ones, also during a handshake. Nil: nobody.
	Save func(saved []byte)
}

// ServerIdentity is the certificate that listeners present, renewed by itself. It has two: ECDSA P-256,
// because that signature costs a hundredth of RSA's, and RSA 3072 for clients that cannot check it; the
// second is made when the first such client comes. It is safe for concurrent use.
type ServerIdentity struct {
	names  []string
	choose func(now time.Time) Issuer
	save   func([]byte)

	issuer   atomic.Pointer[Issuer]
	fast     atomic.Pointer[tls.Certificate]
	fallback atomic.Pointer[tls.Certificate]
	making   sync.Mutex // held while certificates are made
}

// NewServerIdentity goes on with the certificates that were saved, or issues the first one.
func NewServerIdentity(cfg ServerConfig) (*ServerIdentity, error) {
	s := &ServerIdentity{choose: cfg.Issuer, save: cfg.Save}
	issuer := cfg.Issuer(cfg.Now)
	s.issuer.Store(&issuer)
	for _, name := range cfg.Names {
		if ip, err := netip.ParseAddr(name); err == nil {
			name = ip.String() // as it will be read from the certificate
		}
		if name != "" && !slices.Contains(s.names, name) {
			s.names = append(s.names, name)
		}
	}
	if s.restore(cfg.Saved) && !s.due(cfg.Now) {
		return s, nil
	}
	s.fast.Store(nil)
	s.fallback.Store(nil)
	return s, s.Renew(cfg.Now)
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
	cert, err := s.issue(s.issuer.Load(), RSA3072, now)
	if err != nil {
		return nil, err
	}
	s.fallback.Store(cert)
	return cert, s.keep()
}

// Refresh issues new certificates when they are due, or another authority or chain is to be presented. Connections that
// exist are not touched.
func (s *ServerIdentity) Refresh(now time.Time) error {
	if !s.due(now) && s.issuer.Load().equal(s.choose(now)) {
		return nil
	}
	return s.Renew(now)
}

func (i *Issuer) equal(other Issuer) bool {
	return i.ID() == other.ID() && slices.EqualFunc(i.Chain, other.Chain, (*x509.Certificate).Equal)
}

// Renew issues new certificates. Connections that exist are not touched.
func (s *ServerIdentity) Renew(now time.Time) error {
	s.making.Lock()
	defer s.making.Unlock()
	issuer := s.choose(now)
	fast, err := s.issue(&issuer, ECDSAP256, now)
	if err != nil {
		return err
	}
	fallback := s.fallback.Load()
	switch {
	case fallback == nil:
	case s.due(now):
		fallback, err = s.issue(&issuer, RSA3072, now)
	default: // the authority changes, and an RSA key takes a second that nobody has meanwhile: changes of the store wait
		fallback, err = s.certify(&issuer, fallback.PrivateKey.(crypto.Signer), now)
	}
	if err != nil {
		return err
	}
	s.issuer.Store(&issuer)
	s.fast.Store(fast)
	s.fallback.Store(fallback)
	return s.keep()
}

// savedServer is how certificates are kept: PEM, each with its chain and its key.
type savedServer struct {
	Fast     savedPair  `json:"fast"`
	Fallback *savedPair `json:"fallback,omitempty"`
}

type savedPair struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// keep hands the certificates to Save.
func (s *ServerIdentity) keep() error {
	if s.save == nil {
		return nil
	}
	fast, err := pairOf(s.fast.Load())
	if err != nil {
		return err
	}
	saved := savedServer{Fast: fast}
	if fallback := s.fallback.Load(); fallback != nil {
		pair, err := pairOf(fallback)
		if err != nil {
			return err
		}
		saved.Fallback = &pair
	}
	text, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	s.save(text)
	return nil
}

func pairOf(cert *tls.Certificate) (savedPair, error) {
	key, err := EncodeKey(cert.PrivateKey.(crypto.Signer))
	return savedPair{encodeChain(cert.Certificate), key}, err
}

// restore takes what was saved, if it is good for this authority and these names.
func (s *ServerIdentity) restore(text []byte) bool {
	var saved savedServer
	if json.Unmarshal(text, &saved) != nil {
		return false
	}
	fast := s.parse(saved.Fast)
	if fast == nil {
		return false
	}
	s.fast.Store(fast)
	if saved.Fallback != nil {
		s.fallback.Store(s.parse(*saved.Fallback))
	}
	return true
}

func (s *ServerIdentity) parse(p savedPair) *tls.Certificate {
	cert, err := tls.X509KeyPair(p.Certificate, p.Key)
	issuer := s.issuer.Load()
	if err != nil || cert.Leaf.CheckSignatureFrom(issuer.cert) != nil || !slices.EqualFunc(cert.Certificate, issuer.chainOf(cert.Leaf), bytes.Equal) {
		return nil
	}
	names := append([]string(nil), cert.Leaf.DNSNames...)
	for _, ip := range cert.Leaf.IPAddresses {
		names = append(names, ip.String())
	}
	wanted := append([]string(nil), s.names...)
	slices.Sort(names)
	slices.Sort(wanted)
	if !slices.Equal(names, wanted) {
		return nil
	}
	return &cert
}

func (s *ServerIdentity) issue(issuer *Issuer, kind KeyType, now time.Time) (*tls.Certificate, error) {
	key, err := GenerateKey(kind)
	if err != nil {
		return nil, err
	}
	return s.certify(issuer, key, now)
}

func (s *ServerIdentity) certify(issuer *Issuer, key crypto.Signer, now time.Time) (*tls.Certificate, error) {
	leaf, err := issuer.IssueServer(ServerRequest{Names: s.names, PublicKey: key.Public(), Now: now})
	if err != nil {
		return nil, fmt.Errorf("issue the server's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: issuer.chainOf(leaf), PrivateKey: key, Leaf: leaf}, nil
}

// chainOf is what is presented with a certificate, itself first.
func (i *Issuer) chainOf(leaf *x509.Certificate) [][]byte {
	all := [][]byte{leaf.Raw}
	for _, cert := range i.Chain {
		all = append(all, cert.Raw)
	}
	return all
}

// due tells whether less than a third of the certificate's life is left.
func (s *ServerIdentity) due(now time.Time) bool {
	leaf := s.fast.Load().Leaf
	return leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/3
}

// renewCheck is how often Run looks at the clock; short, because a suspended machine wakes up late.
const renewCheck = time.Minute

// Run renews the certificates before they expire, or their authority does, until ctx ends. When the authority itself has ended it
// leaves them as they are: that is no reason to stop serving.
func (s *ServerIdentity) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.Refresh(time.Now()); err != nil && !errors.Is(err, ErrAuthorityDates) {
			return err
		}
		wait(ctx, nil, renewCheck)
	}
	return nil
}
