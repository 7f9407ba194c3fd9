package pki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAuthorityIsAsPromised(t *testing.T) {
	a := must[*Authority](t)(sharedAuthority())
	cert := a.Certificate()
	key, isRSA := cert.PublicKey.(*rsa.PublicKey)
	if !isRSA || key.N.BitLen() != 3072 {
		t.Errorf("the key is %T, want RSA 3072", cert.PublicKey)
	}
	if cert.Subject.String() != "CN=ca_xlb" || cert.Issuer.String() != "CN=ca_xlb" {
		t.Errorf("subject %s, issuer %s", cert.Subject, cert.Issuer)
	}
	if life := cert.NotAfter.Sub(cert.NotBefore); life != authorityLife+backdate {
		t.Errorf("lives %v, want %v", life, authorityLife+backdate)
	}
	if !cert.IsCA || cert.MaxPathLen != 3 || cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(cert.SubjectKeyId) == 0 {
		t.Errorf("CA %v, path %v, usage %v, SKI %x", cert.IsCA, cert.MaxPathLen, cert.KeyUsage, cert.SubjectKeyId)
	}
}

func TestAuthorityRoundTrip(t *testing.T) {
	a := must[*Authority](t)(sharedAuthority())
	keyPEM := must[[]byte](t)(a.KeyPEM())
	b := must[*Authority](t)(ParseAuthority(a.CertificatePEM(), keyPEM))
	if a.ID() != b.ID() || len(a.ID()) != 16 || !bytes.Equal(a.CertificatePEM(), b.CertificatePEM()) {
		t.Errorf("became %s, was %s", b.ID(), a.ID())
	}
	now := time.Now()
	if id, err := NewVerifier(a.Certificate()).Verify([]*x509.Certificate{issue(t, b, now)}, now); err != nil || id != a.ID() {
		t.Errorf("what the second issued is of %q for the first: %v", id, err)
	}
	der := must[[]byte](t)(x509.MarshalPKCS8PrivateKey(a.key))
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if _, err := ParseAuthority(append([]byte("text before it\n"), a.CertificatePEM()...), pkcs8); err != nil {
		t.Errorf("PKCS#8, and text before the certificate: %v", err)
	}
}

func TestRenewedAuthorityKeepsItsID(t *testing.T) {
	now := time.Now()
	key := must[crypto.Signer](t)(GenerateKey(ECDSAP256))
	first := newAuthority(authorityCert(t, key, now, now.Add(time.Hour)), key)
	second := newAuthority(authorityCert(t, key, now, now.Add(2*time.Hour)), key)
	if first.ID() != second.ID() || first.ID() == around(t, now).ID() {
		t.Error("an ID is that of the key")
	}
}

func TestParseAuthorityRefuses(t *testing.T) {
	now := time.Now()
	a, b := around(t, now), around(t, now)
	keyOf := func(a *Authority) []byte { return must[[]byte](t)(a.KeyPEM()) }
	leafKey := must[crypto.Signer](t)(GenerateKey(ECDSAP256))
	r := request(t, now)
	r.PublicKey = leafKey.Public()
	leaf := EncodeCertificate(must[*x509.Certificate](t)(a.IssueClient(r)))
	signer := fastAuthority(t, now, now.Add(time.Hour), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("not a certificate")})
	x25519 := []byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHBgJSkzrG56SpsOsmMsWgQKhyV624aaPszD0WtyTyZH\n-----END PRIVATE KEY-----\n")
	cases := map[string]struct {
		cert, key []byte
		want      string
	}{
		"nothing":              {nil, nil, "certificate"},
		"no key":               {a.CertificatePEM(), nil, "key"},
		"swapped":              {keyOf(a), a.CertificatePEM(), "certificate"},
		"certificate as key":   {a.CertificatePEM(), a.CertificatePEM(), "key"},
		"key of another":       {a.CertificatePEM(), keyOf(b), "do not belong together"},
		"key of another kind":  {a.CertificatePEM(), must[[]byte](t)(EncodeKey(must[crypto.Signer](t)(sharedRSA()))), "do not belong together"},
		"key that signs not":   {a.CertificatePEM(), x25519, "signing"},
		"broken certificate":   {broken, keyOf(a), "certificate"},
		"client's certificate": {leaf, must[[]byte](t)(EncodeKey(leafKey)), "may not issue"},
		"no right to sign":     {signer.CertificatePEM(), keyOf(signer), "may not issue"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAuthority(c.cert, c.key)
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v; want %q", got, err, c.want)
			}
		})
	}
}

// What an authority issues outside its own dates nobody could accept.
func TestAuthorityOutsideItsDatesIssuesNothing(t *testing.T) {
	now := time.Now()
	for name, a := range map[string]*Authority{
		"expired": fastAuthority(t, now.Add(-2*time.Hour), now.Add(-time.Hour)),
		"not yet": fastAuthority(t, now.Add(time.Hour), now.Add(2*time.Hour)),
	} {
		if cert, err := a.IssueClient(request(t, now)); !errors.Is(err, ErrAuthorityDates) {
			t.Errorf("%s: issued %v, %v", name, cert != nil, err)
		}
		if _, err := NewServerIdentity(ServerConfig{Issuer: issuedBy(a), Names: []string{"localhost"}, Now: now}); !errors.Is(err, ErrAuthorityDates) {
			t.Errorf("%s: a server's identity: %v", name, err)
		}
	}
}

func TestClientCertificateFields(t *testing.T) {
	a := must[*Authority](t)(sharedAuthority())
	key := must[crypto.Signer](t)(sharedRSA())
	now := time.Now().Truncate(time.Second)
	r := request(t, now)
	r.PublicKey = key.Public()
	cert := must[*x509.Certificate](t)(a.IssueClient(r))

	if !slices.Equal(cert.Subject.Organization, []string{clientID}) || cert.Subject.CommonName != accessKey || len(cert.Subject.Names) != 2 {
		t.Errorf("subject %s", cert.Subject)
	}
	if cert.Issuer.String() != "CN=ca_xlb" {
		t.Errorf("issuer %s", cert.Issuer)
	}
	if len(cert.SerialNumber.Bytes()) != 16 || cert.SerialNumber.Sign() != 1 {
		t.Errorf("serial %x, want 128 bits", cert.SerialNumber)
	}
	if !bytes.Equal(cert.AuthorityKeyId, a.Certificate().SubjectKeyId) || len(cert.SubjectKeyId) != 20 {
		t.Errorf("AKI %x of %x, SKI %x", cert.AuthorityKeyId, a.Certificate().SubjectKeyId, cert.SubjectKeyId)
	}
	if want := "spiffe://xlb/client/" + clientID + "/frontend/" + frontendID; len(cert.URIs) != 1 || cert.URIs[0].String() != want {
		t.Errorf("URIs %v, want %s", cert.URIs, want)
	}
	if len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses) != 0 {
		t.Error("has other names than its URI")
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || len(cert.UnknownExtKeyUsage) != 0 {
		t.Errorf("extended usage %v", cert.ExtKeyUsage)
	}
	if cert.KeyUsage != x509.KeyUsageDigitalSignature || cert.IsCA || !cert.BasicConstraintsValid {
		t.Errorf("usage %v, CA %v", cert.KeyUsage, cert.IsCA)
	}
	if !cert.NotBefore.Equal(now.Add(-time.Hour)) || !cert.NotAfter.Equal(now.Add(90*24*time.Hour)) {
		t.Errorf("valid from %v to %v, issued %v", cert.NotBefore, cert.NotAfter, now)
	}
	if !key.Public().(*rsa.PublicKey).Equal(cert.PublicKey) {
		t.Error("the key is another one")
	}
	if cert.SerialNumber.Cmp(must[*x509.Certificate](t)(a.IssueClient(r)).SerialNumber) == 0 {
		t.Error("the serial came twice")
	}
}

func TestClientCertificateLifetimes(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	a := around(t, now)
	for _, c := range []struct {
		ask  time.Duration
		want time.Duration
		err  error
	}{
		{0, DefaultLifetime, nil}, {time.Hour, time.Hour, nil}, {MaxLifetime, a.cert.NotAfter.Sub(now), nil},
		{-1, 0, ErrLifetime}, {MaxLifetime + 1, 0, ErrLifetime},
	} {
		r := request(t, now)
		r.Lifetime = c.ask
		cert, err := a.IssueClient(r)
		if !errors.Is(err, c.err) {
			t.Errorf("%v: %v, want %v", c.ask, err, c.err)
		} else if err == nil && !cert.NotAfter.Equal(now.Add(c.want)) {
			t.Errorf("%v: ends %v after now, want %v", c.ask, cert.NotAfter.Sub(now), c.want)
		}
	}
	r := request(t, now)
	r.PublicKey = "no key"
	if _, err := a.IssueClient(r); err == nil {
		t.Error("a certificate for no key")
	}
}

func TestServerCertificateFields(t *testing.T) {
	now := time.Now()
	a := around(t, now)
	long := strings.Repeat("a", 60) + ".example.com"
	r := ServerRequest{Names: []string{"xlb.example.com", "10.1.2.3", "::1", "::ffff:10.9.9.9"}, PublicKey: request(t, now).PublicKey, Now: now}
	cert := must[*x509.Certificate](t)(a.IssueServer(r))
	ips := []string{}
	for _, ip := range cert.IPAddresses {
		ips = append(ips, net.IP(ip).String())
	}
	if !slices.Equal(cert.DNSNames, []string{"xlb.example.com"}) || !slices.Equal(ips, []string{"10.1.2.3", "::1", "10.9.9.9"}) {
		t.Errorf("names %v, addresses %v", cert.DNSNames, ips)
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) || cert.Subject.CommonName != "xlb.example.com" {
		t.Errorf("usage %v, subject %s", cert.ExtKeyUsage, cert.Subject)
	}
	// RFC 5280 bounds the CN, not the names.
	r.Names = []string{long}
	cert = must[*x509.Certificate](t)(a.IssueServer(r))
	if len(cert.Subject.CommonName) > 64 || cert.VerifyHostname(long) != nil {
		t.Errorf("CN of %d characters, names %v", len(cert.Subject.CommonName), cert.DNSNames)
	}
	r.Names = nil
	if _, err := a.IssueServer(r); err == nil {
		t.Error("a server's certificate without a name")
	}
}

func TestOpensslAgrees(t *testing.T) {
	a := must[*Authority](t)(sharedAuthority())
	cert := issue(t, a, time.Now())
	other := around(t, time.Now())
	files := map[string][]byte{"ca.pem": a.CertificatePEM(), "cert.pem": EncodeCertificate(cert), "other.pem": other.CertificatePEM()}
	for _, c := range []struct {
		ok   bool
		args string
	}{
		{true, "verify -x509_strict -check_ss_sig -CAfile ca.pem -purpose sslclient cert.pem"},
		{true, "verify -x509_strict -check_ss_sig -CAfile ca.pem ca.pem"},
		{false, "verify -CAfile ca.pem -purpose sslserver cert.pem"},
		{false, "verify -CAfile other.pem -purpose sslclient cert.pem"},
	} {
		if out, err := openssl(t, files, strings.Fields(c.args)...); (err == nil) != c.ok {
			t.Errorf("openssl %s: %v\n%s", c.args, err, out)
		}
	}
	out, err := openssl(t, files, "x509", "-in", "cert.pem", "-noout", "-subject", "-issuer", "-serial", "-fingerprint", "-sha256", "-nameopt", "RFC2253",
		"-ext", "subjectAltName,extendedKeyUsage,keyUsage,basicConstraints,subjectKeyIdentifier,authorityKeyIdentifier")
	if err != nil {
		t.Fatal(out)
	}
	for _, want := range []string{
		"subject=CN=" + accessKey + ",O=" + clientID + "\n", "issuer=CN=ca_xlb\n", "Fingerprint=" + Fingerprint(cert) + "\n",
		"serial=" + strings.ToUpper(FormatSerial(cert.SerialNumber)) + "\n",
		"URI:spiffe://xlb/client/" + clientID + "/frontend/" + frontendID + "\n",
		"Extended Key Usage: \n    TLS Web Client Authentication\n", "Digital Signature\n", "CA:FALSE", "Subject Key Identifier", "Authority Key Identifier",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl x509 does not say %q:\n%s", want, out)
		}
	}
}

// People bring their own authority.
func TestAuthorityMadeByOpenssl(t *testing.T) {
	out, err := openssl(t, nil, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/stdout", "-out", "/dev/stdout", "-days", "30",
		"-subj", "/CN=ca_xlb/OU=second", "-addext", "keyUsage=critical,keyCertSign")
	if err != nil {
		t.Fatal(out)
	}
	a := must[*Authority](t)(ParseAuthority([]byte(out[strings.Index(out, "-----BEGIN CERTIFICATE"):]), []byte(out[strings.Index(out, "-----BEGIN PRIVATE"):])))
	now := time.Now()
	if id, err := NewVerifier(a.Certificate()).Verify([]*x509.Certificate{issue(t, a, now)}, now); err != nil || id != a.ID() {
		t.Errorf("a certificate of the authority's first minute is of %q: %v", id, err)
	}
}

func FuzzParseAuthority(f *testing.F) {
	a := around(f, time.Now())
	key := must[[]byte](f)(a.KeyPEM())
	rsaKey := must[[]byte](f)(EncodeKey(must[crypto.Signer](f)(sharedRSA())))
	f.Add(a.CertificatePEM(), key)
	f.Add(a.CertificatePEM(), rsaKey)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		got, err := ParseAuthority(cert, key)
		if (got == nil) == (err == nil) {
			t.Fatalf("got %v and %v", got, err)
		}
		if err != nil {
			return
		}
		if !got.Certificate().IsCA || got.ID() == "" {
			t.Error("took what is no authority")
		}
	})
}

// chainOf is an authority below others of a company, n of them.
func chainOf(t *testing.T, now time.Time, n int, change ...func(*x509.Certificate)) (root, issuing *Authority) {
	t.Helper()
	root = fastAuthority(t, now.Add(-time.Hour), now.Add(48*time.Hour), named("company"))
	issuing = root
	for i := range n {
		key := must[crypto.Signer](t)(GenerateKey(ECDSAP256))
		template := &x509.Certificate{
			SerialNumber: newSerial(), Subject: pkix.Name{CommonName: fmt.Sprintf("issuing %d", i)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		for _, f := range change {
			f(template)
		}
		der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, issuing.cert, key.Public(), issuing.key))
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), issuing.ChainPEM()...)
		issuing = must[*Authority](t)(AuthorityOf(text, key))
	}
	return root, issuing
}

// An authority below a company's root: what it issues goes out with what is between, and the root is what programs trust.
func TestAuthorityBelowOthers(t *testing.T) {
	now := time.Now()
	root, a := chainOf(t, now, 2)
	if err := a.Try([]string{"localhost", "127.0.0.1"}, now); err != nil {
		t.Errorf("what it issues: %v", err)
	}
	if !a.Root().Equal(root.cert) || len(a.Chain()) != 2 || !a.Chain()[0].Equal(a.cert) {
		t.Errorf("root %s, chain of %d", a.Root().Subject, len(a.Chain()))
	}
	s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: always(Set{{Authority: a, State: Current}}.Server(now)), Names: []string{"localhost"}, Now: now}))
	presented := must[*tls.Certificate](t)(s.GetCertificate(modernHello))
	if err := checkChain(t, presented.Certificate, root); err != nil || len(presented.Certificate) != 3 {
		t.Errorf("the server presents %d certificates: %v", len(presented.Certificate), err)
	}
	chain := must[[]*x509.Certificate](t)(parseChain(a.WithChain(issue(t, a, now))))
	if id, err := NewVerifier(a.cert).Verify(chain, now); err != nil || id != a.ID() || len(chain) != 3 {
		t.Errorf("a client's: %d certificates, %q, %v", len(chain), id, err)
	}
	sibling := fastAuthority(t, now.Add(-time.Hour), now.Add(time.Hour))
	if _, err := NewVerifier(a.cert).Verify([]*x509.Certificate{issue(t, sibling, now)}, now); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("of another authority: %v", err)
	}
	if _, err := NewVerifier(a.cert).Verify([]*x509.Certificate{issue(t, root, now)}, now); !errors.Is(err, ErrOtherAuthority) {
		t.Errorf("the root itself makes nobody a client: %v", err)
	}
}

func TestAuthorityBelowOthersIsChecked(t *testing.T) {
	now := time.Now()
	_, a := chainOf(t, now, 2)
	stranger := fastAuthority(t, now.Add(-time.Hour), now.Add(time.Hour), named("stranger"))
	for name, text := range map[string][]byte{
		"alone":         a.CertificatePEM(),
		"another above": append(a.CertificatePEM(), stranger.CertificatePEM()...),
		"no root":       append(a.CertificatePEM(), EncodeCertificate(a.above[0])...),
	} {
		if _, err := AuthorityOf(text, a.key); err == nil || !strings.Contains(err.Error(), "which it hangs on") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, change := range map[string]func(*x509.Certificate){
		"only names of the company": func(c *x509.Certificate) {
			c.PermittedDNSDomains = []string{"example.com"}
			c.PermittedDNSDomainsCritical = true
		},
		"only servers": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
	} {
		_, bound := chainOf(t, now, 1, change)
		if err := bound.Try([]string{"localhost"}, now); err == nil || !strings.Contains(err.Error(), "would not believe") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// device is a key that signs and never shows itself, as those in an HSM or a KMS.
type device struct{ key crypto.Signer }

func (d device) Public() crypto.PublicKey { return d.key.Public() }

func (d device) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.key.Sign(random, digest, opts)
}

// A key that only signs is enough for all that an authority does.
func TestAuthorityWithAKeyInADevice(t *testing.T) {
	now := time.Now()
	for name, a := range map[string]*Authority{"ECDSA": around(t, now), "RSA": must[*Authority](t)(sharedAuthority())} {
		d := must[*Authority](t)(AuthorityOf(a.ChainPEM(), device{a.key}))
		if err := d.Try([]string{"localhost"}, now); err != nil || !d.CanSign() {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := d.RevocationList(nil, 1, now); err != nil && name == "RSA" {
			t.Errorf("%s, a list: %v", name, err)
		}
		if _, err := d.CrossSign(around(t, now), now); err != nil {
			t.Errorf("%s, another authority: %v", name, err)
		}
		if _, err := d.KeyPEM(); err == nil {
			t.Errorf("%s: the key shows itself", name)
		}
	}
}
