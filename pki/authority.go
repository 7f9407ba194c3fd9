package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"time"
)

const (
	authorityName = "ca_xlb"
	authorityLife = 10 * 365 * 24 * time.Hour

	// DefaultLifetime and MaxLifetime bound a client certificate.
	DefaultLifetime = 90 * 24 * time.Hour
	MaxLifetime     = 397 * 24 * time.Hour

	// backdate is for clocks that are slow. Nothing begins before the authority itself.
	backdate = time.Hour
	// slack is how far an authority may be ahead of our clock and issue already.
	slack = time.Minute

	maxCommonName = 64 // RFC 5280, appendix A.1
)

var (
	// ErrLifetime is a lifetime that is negative or over [MaxLifetime].
	ErrLifetime = errors.New("the lifetime must be at most 397 days")

	// ErrAuthorityDates is an authority that has expired or is not valid yet: nobody would accept what it issues.
	ErrAuthorityDates = errors.New("the authority has expired or is not valid yet; check the clock, or make a new authority")
)

// Authority is a certificate that may issue others, with its key. It is safe for concurrent use.
type Authority struct {
	cert  *x509.Certificate
	above []*x509.Certificate // that it hangs on, the root last; none for a root
	key   crypto.Signer       // nil: it can be trusted, and issues nothing here
	id    string
}

// NewAuthority makes the first authority of a server, self-signed: RSA 3072, CN ca_xlb, good for ten years.
func NewAuthority(now time.Time) (*Authority, error) { return makeAuthority(now, false) }

// NewSuccessor makes another authority for a server that has one. Its name has an OU too, because programs tell
// authorities apart by their names.
func NewSuccessor(now time.Time) (*Authority, error) { return makeAuthority(now, true) }

func makeAuthority(now time.Time, successor bool) (*Authority, error) {
	key, err := GenerateKey(RSA3072)
	if err != nil {
		return nil, err
	}
	name := pkix.Name{CommonName: authorityName}
	if successor {
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return nil, err
		}
		name.OrganizationalUnit = []string{idOf(spki)}
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: name,
		NotBefore: now.Add(-backdate).UTC(), NotAfter: now.Add(authorityLife).UTC(),
		IsCA: true, BasicConstraintsValid: true,
		MaxPathLen: 3, // room for those that it hands over to, see CrossSign: a root, and two below that
		KeyUsage:   x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return newAuthority(cert, key), nil
}

// ParseAuthority reads an authority from its certificate and key, both PEM. After the certificate of one that is no root come
// those that it hangs on, the root last; what else follows is not looked at. It checks that all belong together and that the
// certificate may issue others, not its dates.
func ParseAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	if _, err := ParseCertificate(certPEM); err != nil {
		return nil, fmt.Errorf("authority certificate: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("authority key: %w", err)
	}
	return AuthorityOf(certPEM, key)
}

// AuthorityOf does the same for a key that another device or service has. Nil: the authority can be trusted, and issues
// nothing here.
func AuthorityOf(certPEM []byte, key crypto.Signer) (*Authority, error) {
	chain, err := parseChain(certPEM)
	if err != nil {
		return nil, fmt.Errorf("authority certificate: %w", err)
	}
	cert := chain[0]
	public, comparable := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case key != nil && (!comparable || !public.Equal(key.Public())):
		return nil, errors.New("the authority's key and certificate do not belong together")
	case !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errors.New("the authority's certificate may not issue others")
	}
	a := newAuthority(cert, key)
	for below := cert; !isRoot(below); below = a.Root() {
		if chain = chain[1:]; len(chain) == 0 {
			return nil, fmt.Errorf("authority certificate: that of %q, which it hangs on, has to follow it", below.Issuer)
		}
		if err := below.CheckSignatureFrom(chain[0]); err != nil {
			return nil, fmt.Errorf("authority certificate: what follows is not that of %q, which it hangs on: %w", below.Issuer, err)
		}
		a.above = append(a.above, chain[0])
	}
	return a, nil
}

// Try issues what a server needs and checks it as programs do: an authority of somebody else may be bound to some names or
// uses, or it may be of a root that ends.
func (a *Authority) Try(names []string, now time.Time) error {
	key, err := GenerateKey(ECDSAP256)
	if err != nil {
		return err
	}
	server, err := a.IssueServer(ServerRequest{Names: names, PublicKey: key.Public(), Now: now})
	if err != nil {
		return err
	}
	client, err := a.IssueClient(ClientRequest{ClientID: "try", FrontendID: "try", AccessKey: "try", PublicKey: key.Public(), Now: now})
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root())
	for _, cert := range a.Chain() {
		between.AddCert(cert)
	}
	for _, cert := range []*x509.Certificate{server, client} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: cert.ExtKeyUsage}); err != nil {
			return fmt.Errorf("programs would not believe what the authority issues: %w", err)
		}
	}
	return nil
}

// isRoot tells whether a certificate is signed with its own key.
func isRoot(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignatureFrom(cert) == nil
}

func newAuthority(cert *x509.Certificate, key crypto.Signer) *Authority {
	return &Authority{cert: cert, key: key, id: authorityID(cert)}
}

// authorityID names an authority by its public key, so a renewed certificate of the same key keeps it.
func authorityID(cert *x509.Certificate) string { return idOf(cert.RawSubjectPublicKeyInfo) }

// AuthorityIDOf is the ID of the authority that has a private key, PEM.
func AuthorityIDOf(keyPEM []byte) (string, error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	return idOf(spki), err
}

func idOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:8])
}

// ID is a short name that stays for the life of the key.
func (a *Authority) ID() string { return a.id }

// Certificate is the authority's own. It must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// CertificatePEM is the authority's own certificate.
func (a *Authority) CertificatePEM() []byte { return EncodeCertificate(a.cert) }

// ChainPEM is the authority's own certificate and those that it hangs on, the root last.
func (a *Authority) ChainPEM() []byte {
	text := EncodeCertificate(a.cert)
	for _, cert := range a.above {
		text = append(text, EncodeCertificate(cert)...)
	}
	return text
}

// KeyPEM is the private key. Who has it can issue every identity.
func (a *Authority) KeyPEM() ([]byte, error) { return EncodeKey(a.key) }

// CanSign tells whether its key is here.
func (a *Authority) CanSign() bool { return a.key != nil }

// Root is what programs trust: the authority itself, or the last of those that it hangs on.
func (a *Authority) Root() *x509.Certificate {
	if n := len(a.above); n > 0 {
		return a.above[n-1]
	}
	return a.cert
}

// Chain is what has to be presented after a certificate that the authority issued, so that who trusts its root can check
// it (RFC 8446, section 4.4.2). None for a root.
func (a *Authority) Chain() []*x509.Certificate {
	if len(a.above) == 0 {
		return nil
	}
	return append([]*x509.Certificate{a.cert}, a.above[:len(a.above)-1]...)
}

// ClientRequest asks for the identity of a frontend. All fields without a remark must be set.
type ClientRequest struct {
	ClientID   string // becomes O, and part of the URI
	FrontendID string // part of the URI
	AccessKey  string // becomes CN
	PublicKey  crypto.PublicKey
	Lifetime   time.Duration // zero: 90 days; at most 397 days
	Now        time.Time
}

// IssueClient signs a client certificate. It never outlives the authority.
func (a *Authority) IssueClient(r ClientRequest) (*x509.Certificate, error) {
	lifetime := r.Lifetime
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	if lifetime < 0 || lifetime > MaxLifetime {
		return nil, ErrLifetime
	}
	template, err := a.leaf(r.Now, lifetime)
	if err != nil {
		return nil, err
	}
	template.Subject = pkix.Name{Organization: []string{r.ClientID}, CommonName: r.AccessKey}
	template.URIs = []*url.URL{{Scheme: "spiffe", Host: "xlb", Path: "/client/" + r.ClientID + "/frontend/" + r.FrontendID}}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(template, r.PublicKey)
}

// ServerRequest asks for a certificate that a listener presents.
type ServerRequest struct {
	Names     []string // DNS names and IP addresses; the first one is the CN, unless it is too long for one
	PublicKey crypto.PublicKey
	Lifetime  time.Duration // zero: 90 days
	Now       time.Time
}

// IssueServer signs a server certificate.
func (a *Authority) IssueServer(r ServerRequest) (*x509.Certificate, error) {
	if len(r.Names) == 0 {
		return nil, errors.New("a server certificate needs a name")
	}
	lifetime := r.Lifetime
	if lifetime <= 0 {
		lifetime = DefaultLifetime
	}
	template, err := a.leaf(r.Now, lifetime)
	if err != nil {
		return nil, err
	}
	if len(r.Names[0]) <= maxCommonName {
		template.Subject = pkix.Name{CommonName: r.Names[0]}
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range r.Names {
		if ip, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return a.sign(template, r.PublicKey)
}

// leaf is what all issued certificates have in common.
func (a *Authority) leaf(now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	if !now.Before(a.cert.NotAfter) || now.Add(slack).Before(a.cert.NotBefore) {
		return nil, ErrAuthorityDates
	}
	until := now.Add(lifetime)
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	from := now.Add(-backdate)
	if from.Before(a.cert.NotBefore) {
		from = a.cert.NotBefore
	}
	return &x509.Certificate{
		SerialNumber: newSerial(), NotBefore: from.UTC(), NotAfter: until.UTC(),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}, nil
}

func (a *Authority) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	sum := sha256.Sum256(spki)
	template.SubjectKeyId = sum[:20]
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return x509.ParseCertificate(der)
}

// newSerial is 128 random bits, positive (RFC 5280, section 4.1.2.2).
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	b[0] |= 0x40 // always 16 bytes, so that all serials look alike
	return new(big.Int).SetBytes(b)
}

// WithChain is a certificate that the authority issued and what has to be presented with it, as PEM.
func (a *Authority) WithChain(cert *x509.Certificate) []byte {
	text := EncodeCertificate(cert)
	for _, one := range a.Chain() {
		text = append(text, EncodeCertificate(one)...)
	}
	return text
}

// encodeChain writes certificates as PEM, one after the other.
func encodeChain(chain [][]byte) (text []byte) {
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

// EncodeCertificate writes a certificate as PEM.
func EncodeCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// ParseCertificate reads the first certificate in PEM.
func ParseCertificate(text []byte) (*x509.Certificate, error) {
	all, err := parseChain(text)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// parseChain reads certificates in PEM, at least one.
func parseChain(text []byte) (all []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil || block.Type != "CERTIFICATE" {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, errors.New("no PEM certificate found")
	}
	return all, nil
}
