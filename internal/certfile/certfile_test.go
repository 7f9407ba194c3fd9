package certfile

import (
	"context"
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

// write makes a certificate for names and puts it and its key into two files.
func write(t *testing.T, certPath, keyPath string, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certPath: {Type: "CERTIFICATE", Bytes: der}, keyPath: {Type: "PRIVATE KEY", Bytes: private}} {
		if path != "" {
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The certificate answers for its own names and no other.
func TestOnlyForItsNames(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, key, "xlb.example.org", "*.apps.example.org")
	p, err := Open(Config{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"xlb.example.org": true, "XLB.example.org": true, "a.apps.example.org": true, "a.b.apps.example.org": false, "example.org": false, "": false, "localhost": false,
	} {
		if got := p.For(&tls.ClientHelloInfo{ServerName: name}) != nil; got != want {
			t.Errorf("for %q: got %v, want %v", name, got, want)
		}
	}
}

// What is written into the files is taken up once both are there, and what does not fit is told once and changes nothing.
func TestFilesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, key, "one.example.org")
	type news struct {
		leaf *x509.Certificate
		err  error
	}
	told := make(chan news, 10)
	p, err := Open(Config{Cert: cert, Key: key, Changed: func(leaf *x509.Certificate, err error) { told <- news{leaf, err} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	next := func() news {
		t.Helper()
		select {
		case n := <-told:
			return n
		case <-time.After(6 * lookEvery):
			t.Fatal("nothing was told")
			return news{}
		}
	}
	write(t, cert, "", "half.example.org")
	if n := next(); n.err == nil || !strings.Contains(n.err.Error(), cert) || p.Leaf().DNSNames[0] != "one.example.org" {
		t.Errorf("with a key of another certificate: got %v and %v, want an error that names the file, and the old one", n.err, p.Leaf().DNSNames)
	}
	write(t, cert, key, "two.example.org")
	if n := next(); n.err != nil || n.leaf.DNSNames[0] != "two.example.org" || p.Leaf() != n.leaf {
		t.Errorf("got %v, %v, want the new one", n.leaf, n.err)
	}
	cancel()
	if err := <-done; err != nil || len(told) > 0 {
		t.Errorf("got %v and %d more, want neither", err, len(told))
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := Open(Config{Cert: cert, Key: key}); !os.IsNotExist(err) {
		t.Errorf("got %v, want that it is not there", err)
	}
	write(t, cert, key, "one.example.org")
	write(t, "", key, "two.example.org")
	if _, err := Open(Config{Cert: cert, Key: key}); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want both files named", err)
	}
	if err := os.WriteFile(cert, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Cert: cert, Key: key}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v, want that it is too large", err)
	}
}
