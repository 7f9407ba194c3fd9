package pki

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// permits lets an authority have others below it, n deep.
func permits(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.MaxPathLen = n
		c.MaxPathLenZero = n == 0
	}
}

func named(ou string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{ou} }
}

// rolled is a set in which the second authority has taken over from the first.
func rolled(t *testing.T, now time.Time, first, second *Authority) Set {
	t.Helper()
	set := must[Set](t)(Set{{Authority: first, State: Current}}.Introduce(Member{Authority: second}, now))
	set[0].State = Retiring
	set[1].State = Current
	return set
}

func TestSuccessorHasANameOfItsOwn(t *testing.T) {
	a := must[*Authority](t)(NewSuccessor(time.Now()))
	if want := "CN=ca_xlb,OU=" + a.ID(); a.Certificate().Subject.String() != want {
		t.Errorf("got %s, want %s", a.Certificate().Subject, want)
	}
}

func TestCrossSign(t *testing.T) {
	now := time.Now()
	old := fastAuthority(t, now.Add(-time.Hour), now.Add(24*time.Hour), permits(1))
	young := fastAuthority(t, now.Add(-time.Minute), now.Add(48*time.Hour), permits(1), named("young"))
	cross := must[*x509.Certificate](t)(old.CrossSign(young, now))
	if !cross.NotBefore.Equal(young.cert.NotBefore) || !cross.NotAfter.Equal(old.cert.NotAfter) {
		t.Errorf("good from %v until %v", cross.NotBefore, cross.NotAfter)
	}
	if !bytes.Equal(cross.SubjectKeyId, young.cert.SubjectKeyId) || !bytes.Equal(cross.RawSubject, young.cert.RawSubject) || cross.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Error("it is not the other authority, for servers alone")
	}
	if _, err := fastAuthority(t, now.Add(-time.Hour), now.Add(time.Hour), permits(0)).CrossSign(young, now); !errors.Is(err, ErrPathLength) {
		t.Errorf("an authority that permits none below it: got %v, want %v", err, ErrPathLength)
	}
	if _, err := old.CrossSign(fastAuthority(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), now); !errors.Is(err, ErrAuthorityDates) {
		t.Errorf("an authority that has expired: got %v, want %v", err, ErrAuthorityDates)
	}
}

// Whoever trusts one of the two authorities can check the servers, whichever permits the other below it.
func TestServersAreCheckedWithEitherAuthority(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		first, second int // authorities that each permits below it
		issuer        int
		stranded      []int
	}{
		"both permit":          {1, 1, 1, nil},
		"the old one does not": {0, 1, 0, nil},
		"the new one does not": {1, 0, 1, nil},
		"neither does":         {0, 0, 1, []int{0}},
	} {
		both := []*Authority{
			fastAuthority(t, now.Add(-time.Hour), now.Add(24*time.Hour), permits(test.first)),
			fastAuthority(t, now.Add(-time.Hour), now.Add(48*time.Hour), permits(test.second), named("second")),
		}
		set := rolled(t, now, both[0], both[1])
		issuer := set.Server(now)
		if issuer.ID() != both[test.issuer].ID() {
			t.Errorf("%s: issued by the other authority, want that of index %d", name, test.issuer)
		}
		s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: always(issuer), Names: []string{"localhost"}, Now: now}))
		presented := must[*tls.Certificate](t)(s.GetCertificate(modernHello))
		for i, trusted := range both {
			err := checkChain(t, presented.Certificate, trusted)
			if stranded := slices.Contains(test.stranded, i); stranded != (err != nil) {
				t.Errorf("%s: with the authority of index %d alone: %v", name, i, err)
			} else if stranded != slices.Contains(issuer.Stranded, trusted.ID()) {
				t.Errorf("%s: the authority of index %d is stranded %t, and it says %v", name, i, stranded, issuer.Stranded)
			}
		}
	}
}

// checkChain checks what a server presents as Go, OpenSSL and GnuTLS do, with one trusted authority.
func checkChain(t *testing.T, chain [][]byte, trusted *Authority) error {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string][]byte{"ca.pem": EncodeCertificate(trusted.Root()), "leaf.pem": encodeChain(chain[:1]), "rest.pem": encodeChain(chain[1:]), "chain.pem": encodeChain(chain)} {
		if err := os.WriteFile(path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(trusted.Root())
	between.AppendCertsFromPEM(encodeChain(chain[1:]))
	leaf := must[*x509.Certificate](t)(x509.ParseCertificate(chain[0]))
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: "localhost"})
	args := []string{"verify", "-CAfile", path("ca.pem")}
	if len(chain) > 1 {
		args = append(args, "-untrusted", path("rest.pem"))
	}
	byOpenSSL := exec.CommandContext(t.Context(), "openssl", append(args, path("leaf.pem"))...).Run()
	if (err == nil) != (byOpenSSL == nil) {
		t.Errorf("Go says %v, OpenSSL %v", err, byOpenSSL)
	}
	if _, missing := exec.LookPath("certtool"); missing == nil {
		out, byGnuTLS := exec.CommandContext(t.Context(), "certtool", "--verify", "--load-ca-certificate", path("ca.pem"), "--infile", path("chain.pem")).CombinedOutput()
		if (err == nil) != (byGnuTLS == nil) {
			t.Errorf("Go says %v, GnuTLS %v: %s", err, byGnuTLS, out)
		}
	}
	return err
}

// What is trusted goes out with the one that issues first; what is retired does not go out.
func TestSetSaysWhatToTrust(t *testing.T) {
	now := time.Now()
	a, b, c := around(t, now), around(t, now), around(t, now)
	set := Set{{Authority: a, State: Retired}, {Authority: b, State: Retiring}, {Authority: c, State: Current}}
	if got, want := set.TrustPEM(), append(c.CertificatePEM(), b.CertificatePEM()...); !bytes.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if set.Current() != c {
		t.Error("another one issues")
	}
	if m, known := set.Get(a.ID()); !known || m.State != Retired {
		t.Errorf("got %v, %t", m.State, known)
	}
}

// Listeners take up another authority and chain at once, and go on with them after a restart.
func TestServerIdentityTakesAnotherIssuer(t *testing.T) {
	now := time.Now()
	first, second := around(t, now), fastAuthority(t, now.Add(-time.Hour), now.Add(48*time.Hour), named("second"))
	var saved []byte
	set := Set{{Authority: first, State: Current}}
	cfg := ServerConfig{Issuer: func(now time.Time) Issuer { return set.Server(now) }, Names: []string{"localhost"}, Now: now, Save: func(b []byte) { saved = b }}
	s := must[*ServerIdentity](t)(NewServerIdentity(cfg))
	before, rsaBefore := present(t, s, modernHello), present(t, s, rsaHello)
	if err := s.Refresh(now); err != nil || !present(t, s, modernHello).Equal(before) {
		t.Errorf("the same issuer again: %v", err)
	}
	set = rolled(t, now, first, second)
	if err := s.Refresh(now); err != nil {
		t.Fatal(err)
	}
	if key := present(t, s, rsaHello).PublicKey.(*rsa.PublicKey); !key.Equal(rsaBefore.PublicKey) {
		t.Error("an RSA key was made, which takes a second")
	}
	for _, hello := range []*tls.ClientHelloInfo{modernHello, rsaHello} {
		cert := must[*tls.Certificate](t)(s.GetCertificate(hello))
		if cert.Leaf.Equal(before) || cert.Leaf.Equal(rsaBefore) || cert.Leaf.CheckSignatureFrom(second.cert) != nil || len(cert.Certificate) != 2 {
			t.Errorf("presents %s with %d certificates", cert.Leaf.Issuer, len(cert.Certificate))
		}
	}
	cfg.Saved = saved
	again := must[*ServerIdentity](t)(NewServerIdentity(cfg))
	if cert := must[*tls.Certificate](t)(again.GetCertificate(modernHello)); !cert.Leaf.Equal(present(t, s, modernHello)) || len(cert.Certificate) != 2 {
		t.Error("another certificate after a restart")
	}
}

// From its own authority a server goes over to one below a company's root, which permits none below it. There is one way up in what it presents, so that OpenSSL and GnuTLS find it.
func TestChainOfThreeAuthorities(t *testing.T) {
	now := time.Now()
	own := fastAuthority(t, now.Add(-3*time.Hour), now.Add(24*time.Hour), permits(3))
	root, company := chainOf(t, now, 1, permits(0))
	third := fastAuthority(t, now.Add(-time.Minute), now.Add(24*time.Hour), permits(3), named("third"))
	set := rolled(t, now, own, company)
	all := map[string]*Authority{"own": own, "company": root}
	check := func(step string, certificates int) {
		t.Helper()
		issuer := set.Server(now)
		s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: always(issuer), Names: []string{"localhost"}, Now: now}))
		presented := must[*tls.Certificate](t)(s.GetCertificate(modernHello))
		for name, trusted := range all {
			if err := checkChain(t, presented.Certificate, trusted); err != nil {
				t.Errorf("%s, who trusts %s: %v", step, name, err)
			}
		}
		if len(issuer.Stranded) > 0 || len(presented.Certificate) != certificates {
			t.Errorf("%s: stranded %v, presents %d certificates, want %d", step, issuer.Stranded, len(presented.Certificate), certificates)
		}
	}
	check("company", 3)
	set = must[Set](t)(set.Introduce(Member{Authority: third}, now))
	check("introduced", 3)
	set[1].State = Retiring
	set[2].State = Current
	if issuer := set.Server(now); len(issuer.Stranded) != 1 {
		t.Errorf("with three of them stranded are %v, want one", issuer.Stranded)
	}
	delete(all, "company")
	set[1].State = Retired
	all["third"] = third
	check("company retired", 2)
}
