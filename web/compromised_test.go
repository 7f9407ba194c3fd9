package web

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"github.com/xdire/xlb/pki"
)

// A key that was revoked as compromised is done with: for every frontend, every client, and after a restart.
func TestCompromisedKeyIsDoneWith(t *testing.T) {
	f := start(t)
	one, other, address := f.signUp("one"), f.signUp("other"), f.balance()
	key, err := pki.GenerateKey(pki.ECDSAP256)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	body, err := json.Marshal(map[string]string{"csr": csr})
	must(t, err)
	certify := func(c *tenant, id string) answer {
		return c.call("POST", "/api/v1/client/frontend/"+id+"/tls", string(body))
	}
	identity := func(c *tenant, id string) tls.Certificate {
		t.Helper()
		a := certify(c, id)
		wantStatus(t, a, 200)
		text, err := base64.StdEncoding.DecodeString(a.object(t)["certificate"].(string))
		must(t, err)
		block, _ := pem.Decode(text)
		leaf, err := x509.ParseCertificate(block.Bytes)
		must(t, err)
		return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key, Leaf: leaf}
	}
	leaked, sibling, others := one.frontend(echoes(t)), one.frontend(echoes(t)), other.frontend(echoes(t))
	certs := []tls.Certificate{identity(one, leaked), identity(one, sibling), identity(other, others)}
	bystander, _ := one.identity(sibling, "bystander")
	var programs []program
	for _, cert := range certs {
		programs = append(programs, f.connect(address, cert))
	}
	calm := f.connect(address, bystander)
	one.revoke(leaked, pki.FormatSerial(certs[0].Leaf.SerialNumber), "?reason=key-compromise")
	for i, cert := range certs {
		if !programs[i].noticed() {
			t.Errorf("connection %d goes on", i)
		}
		if _, err := f.echo(address, clientOf(cert)); err == nil {
			t.Errorf("certificate %d is let in", i)
		}
	}
	if !calm.works() {
		t.Error("a connection with another key was closed")
	}
	for _, who := range []struct {
		c  *tenant
		id string
	}{{one, leaked}, {one, sibling}, {other, others}} {
		wantProblem(t, certify(who.c, who.id), 422, "body.csr")
	}
	second := f.another()
	if _, err := second.echo(second.balance(), clientOf(certs[2])); err == nil {
		t.Error("after a restart it is let in")
	}
	_, err = second.store.PutCompromised(t.Context(), []string{pki.KeyID(key.Public())}, time.Now())
	must(t, err) // twice is no error
}
