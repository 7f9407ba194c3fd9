package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	clientID   = "6f1ed002-ab5d-4c5a-9d5f-0f6f4b0a4c11"
	frontendID = "0b9d5a34-1f0e-4d0e-8e0a-6f2d3c1b5a99"
)

var accessKey = strings.Repeat("0123456789abcdef", 4)

// The keys that take long are made once for all tests.
var (
	sharedAuthority = sync.OnceValues(func() (*Authority, error) { return NewAuthority(time.Now()) })
	sharedRSA       = sync.OnceValues(func() (crypto.Signer, error) { return GenerateKey(RSA3072) })
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// fastAuthority is one with an ECDSA key and dates of the caller's. change may alter it before it is signed.
func fastAuthority(t testing.TB, from, until time.Time, change ...func(*x509.Certificate)) *Authority {
	t.Helper()
	key := must[crypto.Signer](t)(GenerateKey(ECDSAP256))
	return newAuthority(authorityCert(t, key, from, until, change...), key)
}

func authorityCert(t testing.TB, key crypto.Signer, from, until time.Time, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: authorityName}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, f := range change {
		f(template)
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

// around is an authority that is valid from an hour ago for a year.
func around(t testing.TB, now time.Time) *Authority {
	t.Helper()
	return fastAuthority(t, now.Add(-time.Hour), now.Add(365*24*time.Hour))
}

func request(t testing.TB, now time.Time) ClientRequest {
	t.Helper()
	key := must[crypto.Signer](t)(GenerateKey(ECDSAP256))
	return ClientRequest{ClientID: clientID, FrontendID: frontendID, AccessKey: accessKey, PublicKey: key.Public(), Now: now}
}

func issue(t testing.TB, a *Authority, now time.Time) *x509.Certificate {
	t.Helper()
	return must[*x509.Certificate](t)(a.IssueClient(request(t, now)))
}

// openssl runs it in a folder with these files and returns both streams.
func openssl(t *testing.T, files map[string][]byte, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// issuedBy is the configuration of a server that has one authority.
func issuedBy(a *Authority) func(time.Time) Issuer { return always(Issuer{Authority: a}) }

func always(i Issuer) func(time.Time) Issuer { return func(time.Time) Issuer { return i } }
