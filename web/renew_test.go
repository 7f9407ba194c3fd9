package web

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/pki"
)

// renew asks for the certificate that follows the one of the connection.
func (f *fixture) renew(body string) answer {
	f.Helper()
	return f.do("POST", "/api/v1/renew", strings.NewReader(body), "Content-Type", "application/json")
}

// A program renews its certificate with the certificate itself, and both are good until the old one ends.
func TestRenewWithTheCertificate(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	old, oldSerial := c.identityFor(id, `{"keyType":"ecdsa-p256","lifetimeSec":3600,"name":"program"}`)
	live := f.connect(address, old)
	cert, serial := pairOf(t, f.as(old).renew(""))
	if serial == oldSerial || cert.Leaf.Subject.String() != old.Leaf.Subject.String() {
		t.Errorf("%s of %s follows %s of %s", serial, cert.Leaf.Subject, oldSerial, old.Leaf.Subject)
	}
	for _, one := range []tls.Certificate{old, cert} {
		f.connect(address, one)
	}
	if !live.works() {
		t.Error("the renewal closed a connection")
	}
	record := c.call("GET", "/api/v1/client/frontend/"+id+"/certificates/"+serial, "").object(t)
	if record["name"] != "program" || record["keyType"] != "ecdsa-p256" || record["renews"] != oldSerial {
		t.Errorf("got %v, want name, key type and serial of the old one", record)
	}
	for range 3 { // each follows the one before, and none is shorter than it
		cert, _ = pairOf(t, f.as(cert).renew(`{}`))
		if left := time.Until(cert.Leaf.NotAfter); left < 3590*time.Second || left > 3600*time.Second {
			t.Errorf("it ends in %v", left)
		}
	}
	if short, _ := pairOf(t, f.as(cert).renew(`{"lifetimeSec":60,"keyType":"ed25519"}`)); time.Until(short.Leaf.NotAfter) > time.Minute {
		t.Errorf("it ends at %v", short.Leaf.NotAfter)
	}
	if text := f.log.String(); !strings.Contains(text, "certificate.renew") || !strings.Contains(text, "via=certificate") {
		t.Error("the log does not tell of it")
	}
}

// The key stays where it is when a request comes along.
func TestRenewForARequest(t *testing.T) {
	f := start(t)
	c, address, dir := f.signUp("testuser"), f.balance(), t.TempDir()
	id := c.frontend(echoes(t))
	old, _ := c.identity(id, "program")
	key, csr := filepath.Join(dir, "key.pem"), filepath.Join(dir, "csr.pem")
	out, err := exec.Command("openssl", "req", "-new", "-nodes", "-newkey", "rsa:2048", "-keyout", key, "-out", csr, "-subj", "/CN=somebody else").CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v %s", err, out)
	}
	text, err := os.ReadFile(csr)
	must(t, err)
	a := f.as(old).renew(fmt.Sprintf(`{"csr":%q}`, text))
	if a.status != 200 || strings.Contains(a.body, `"key"`) {
		t.Fatalf("got %d %s, want 200 without a key", a.status, a.body)
	}
	certPEM, err := base64.StdEncoding.DecodeString(a.object(t)["certificate"].(string))
	must(t, err)
	keyPEM, err := os.ReadFile(key)
	must(t, err)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	f.connect(address, pair)
	// What came with a request is renewed without one: a key like it is made.
	next := f.as(pair).renew("")
	if made, _ := pairOf(t, next); made.Leaf.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the next key is %s, want %v", made.Leaf.PublicKeyAlgorithm, x509.RSA)
	}
	wantProblem(t, f.as(pair).renew(`{"csr":"hello"}`), 422, "body.csr")
}

func TestRenewalsThatAreRefused(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root, c := f.administrator(), f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	cert, _ := c.identity(id, "program")
	refused := func(who *fixture, body string, status int, words string) {
		t.Helper()
		if a := who.renew(body); a.status != status || !strings.Contains(a.body, words) {
			t.Errorf("%d %s, want %d and %q", a.status, a.body, status, words)
		}
	}
	refused(f, "", 403, "Connect with the certificate")
	refused(f.as(cert), `{"lifetimeSec":34300800}`, 422, "body.lifetimeSec")
	refused(f.as(cert), `{"name":"other"}`, 422, "body.name")
	if a := f.as(cert).do("GET", "/api/v1/client/frontend", nil); a.status != 401 {
		t.Errorf("a certificate opens something else: %d %s, want 401", a.status, a.body)
	}
	// The same names, of an authority that only looks like ours.
	other, err := pki.NewAuthority(time.Now())
	must(t, err)
	forged, err := other.IssueClient(pki.ClientRequest{
		ClientID: c.uuid, FrontendID: id, AccessKey: cert.Leaf.Subject.CommonName, PublicKey: cert.Leaf.PublicKey, Now: time.Now(),
	})
	must(t, err)
	refused(f.as(tls.Certificate{Certificate: [][]byte{forged.Raw}, PrivateKey: cert.PrivateKey}), "", 403, "not one of this server")
	// Without the key there is no connection at all.
	key, err := pki.GenerateKey(pki.ECDSAP256)
	must(t, err)
	if a, err := f.as(tls.Certificate{Certificate: cert.Certificate, PrivateKey: key}).try("POST", "/api/v1/renew", nil); err == nil {
		t.Errorf("without the key: %d %s", a.status, a.body)
	}
	revoked, serial := c.identity(id, "lost")
	kept := f.as(revoked) // its connection is older than the revocation
	pairOf(t, kept.renew(""))
	c.revoke(id, serial, "")
	refused(kept, "", 403, "was revoked")

	c.call("PATCH", "/api/v1/client/frontend/"+id, `{"active":false}`)
	refused(f.as(cert), "", 403, "switched off")
	c.call("PATCH", "/api/v1/client/frontend/"+id, `{"active":true}`)
	root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"disabled":true}`)
	refused(f.as(cert), "", 403, "disabled")
	root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"disabled":false}`)
	c.token = f.tokenFor(c.uuid, c.key).object(t)["Token"].(string) // the old one has ended
	pairOf(t, f.as(cert).renew(""))
	root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"limits":{"certificates":1}}`)
	refused(f.as(cert), "", 403, "You have all")
	wantStatus(t, c.call("DELETE", "/api/v1/client/frontend/"+id, ""), 204)
	refused(f.as(cert), "", 403, "does not exist")
}

func TestExpiredCertificateRenewsNothing(t *testing.T) {
	var ahead atomic.Int64
	f := start(t, func(c *control.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	c := f.signUp("testuser")
	cert, _ := c.identityFor(c.frontend("10.0.0.1:80"), `{"keyType":"ecdsa-p256","lifetimeSec":60}`)
	pairOf(t, f.as(cert).renew(""))
	ahead.Store(int64(61 * time.Second))
	if a := f.as(cert).renew(""); a.status != 403 || !strings.Contains(a.body, "has expired") {
		t.Errorf("got %d %s, want 403 that says it has expired", a.status, a.body)
	}
}

// A stolen key may have renewed itself before its owner noticed. To say that it leaked ends all it got,
// and nothing that the owner got with a token.
func TestLeakedKeyLosesWhatItGot(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "stolen")
	child, _ := pairOf(t, f.as(cert).renew(""))
	grandchild, _ := pairOf(t, f.as(child).renew(""))
	owners, _ := c.identityFor(id, `{"renews":"`+serial+`"}`)
	another, _ := c.identity(id, "another")
	programs := []program{f.connect(address, cert), f.connect(address, child), f.connect(address, grandchild), f.connect(address, owners), f.connect(address, another)}
	if done := c.revoke(id, serial, "?reason=superseded"); done["revoked"] != 1.0 || done["closed"] != 1.0 {
		t.Errorf("superseded: %v", done)
	}
	if done := c.revoke(id, serial, "?reason=key-compromise"); done["revoked"] != 2.0 || done["closed"] != 2.0 {
		t.Errorf("leaked: %v", done)
	}
	for i, p := range programs {
		if open := p.works(); open != (i > 2) {
			t.Errorf("connection %d: open is %v, want %v", i, open, (i > 2))
		}
	}
	for _, lost := range []tls.Certificate{cert, child, grandchild} {
		if a := f.as(lost).renew(""); a.status != 403 {
			t.Errorf("renewed all the same: %d %s, want 403", a.status, a.body)
		}
	}
}

// With the token, the new certificate takes from the old one what is left out.
func TestRenewWithTheToken(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id, other := c.frontend("10.0.0.1:80"), c.frontend("10.0.0.2:80")
	path := "/api/v1/client/frontend/" + id
	_, serial := c.identityFor(id, `{"keyType":"ed25519","lifetimeSec":7200,"name":"program"}`)
	cert, next := c.identityFor(id, `{"renews":"`+strings.ToUpper(serial)+`"}`)
	if left := time.Until(cert.Leaf.NotAfter); cert.Leaf.PublicKeyAlgorithm != x509.Ed25519 || left > 2*time.Hour || left < 119*time.Minute {
		t.Errorf("%s, ends in %v", cert.Leaf.PublicKeyAlgorithm, left)
	}
	if record := c.call("GET", path+"/certificates/"+next, "").object(t); record["renews"] != serial || record["name"] != "program" {
		t.Errorf("got %v, want the old serial and name", record)
	}
	longer, _ := c.identityFor(id, `{"renews":"`+serial+`","lifetimeSec":86400,"keyType":"ecdsa-p256"}`)
	if time.Until(longer.Leaf.NotAfter) < 23*time.Hour || longer.Leaf.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("%s, ends at %v", longer.Leaf.PublicKeyAlgorithm, longer.Leaf.NotAfter)
	}
	wantProblem(t, c.call("POST", "/api/v1/client/frontend/"+other+"/tls", `{"renews":"`+serial+`"}`), 422, "body.renews")
	wantProblem(t, c.call("POST", path+"/tls", `{"renews":"nonsense"}`), 422, "body.renews")
	c.revoke(id, serial, "")
	wantProblem(t, c.call("POST", path+"/tls", `{"renews":"`+serial+`"}`), 422, "body.renews")
}
