package system

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// public makes a certificate as a public authority would for a name, and puts it into the files of a server.
func public(t *testing.T, certPath, keyPath, name string) *x509.CertPool {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a public authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	root, own := newKey(), newKey()
	rootDER, err := x509.CreateCertificate(rand.Reader, authority, authority, root.Public(), root)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, own.Public(), root)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certPath, "CERTIFICATE", leafDER)
	writePEM(t, keyPath, "PRIVATE KEY", keyDER)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}))
	return pool
}

// A certificate that browsers trust is presented for its name, and the own authority's for all others; on the data plane
// there is the own one alone. New files are taken up without a restart.
func TestPublicCertificate(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	browsers := public(t, cert, key, "xlb.example.org")
	s := start(t, dataDir(t), "-http-cert", cert, "-http-key", key)
	trusts := func(address, name string, pool *x509.CertPool) bool {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: name})
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	if !trusts(s.http, "xlb.example.org", browsers) {
		t.Error("a browser does not trust the name of the public certificate")
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if !trusts(s.http, name, s.roots()) {
			t.Errorf("a program with ca.pem does not trust %s", name)
		}
	}
	if trusts(s.lb, "xlb.example.org", browsers) || !trusts(s.lb, "localhost", s.roots()) {
		t.Error("the data plane presents something else than the own authority's certificate")
	}
	others := public(t, cert, key, "xlb.example.org")
	eventually(t, "the new certificate", func() bool { return trusts(s.http, "xlb.example.org", others) })
	if trusts(s.http, "xlb.example.org", browsers) {
		t.Error("the old one is presented still")
	}
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a line in the log", func() bool { return strings.Contains(s.process.Log.String(), "the public certificate stays as it is") })
	if !trusts(s.http, "xlb.example.org", others) {
		t.Error("a file that is damaged took the certificate away")
	}
}
