package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	modernHello = &tls.ClientHelloInfo{SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256, tls.ECDSAWithP256AndSHA256}}
	rsaHello    = &tls.ClientHelloInfo{SignatureSchemes: []tls.SignatureScheme{tls.PSSWithSHA256, tls.ECDSAWithP384AndSHA384}}
)

func present(t *testing.T, s *ServerIdentity, hello *tls.ClientHelloInfo) *x509.Certificate {
	t.Helper()
	return must[*tls.Certificate](t)(s.GetCertificate(hello)).Leaf
}

func TestServerIdentityNamesAndChain(t *testing.T) {
	now := time.Now()
	a := around(t, now)
	s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: issuedBy(a), Names: []string{"localhost", "127.0.0.1", "::1", "", "localhost", "xlb.example.com"}, Now: now}))
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	for _, hello := range []*tls.ClientHelloInfo{modernHello, rsaHello} {
		leaf := present(t, s, hello)
		if !slices.Equal(leaf.DNSNames, []string{"localhost", "xlb.example.com"}) || len(leaf.IPAddresses) != 2 {
			t.Errorf("names %v %v", leaf.DNSNames, leaf.IPAddresses)
		}
		for _, name := range []string{"localhost", "127.0.0.1", "::1", "xlb.example.com"} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := NewServerIdentity(ServerConfig{Issuer: issuedBy(a), Names: nil, Now: now}); err == nil {
		t.Error("an identity without a name")
	}
}

func TestServerIdentityHasAKeyForEveryClient(t *testing.T) {
	now := time.Now()
	s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: issuedBy(around(t, now)), Names: []string{"localhost"}, Now: now}))
	if _, is := present(t, s, modernHello).PublicKey.(*ecdsa.PublicKey); !is || s.fallback.Load() != nil {
		t.Error("a modern client must get ECDSA, and cost no RSA key")
	}
	var group sync.WaitGroup
	serials := make([]string, 4)
	for i := range serials {
		group.Go(func() {
			cert, err := s.GetCertificate(rsaHello)
			if err != nil {
				t.Error(err)
				return
			}
			if key, is := cert.Leaf.PublicKey.(*rsa.PublicKey); !is || key.N.BitLen() != 3072 {
				t.Errorf("a client without ECDSA got %T", cert.Leaf.PublicKey)
			}
			serials[i] = FormatSerial(cert.Leaf.SerialNumber)
		})
	}
	group.Wait()
	if len(slices.Compact(serials)) != 1 {
		t.Error("the fallback was made more than once")
	}
}

// serve echoes over TLS on the identity.
func serve(t *testing.T, s *ServerIdentity) string {
	t.Helper()
	l := must[net.Listener](t)(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: s.GetCertificate, MinVersion: tls.VersionTLS13}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func echo(t *testing.T, conn *tls.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestServerIdentityIsRenewedWhileServing(t *testing.T) {
	now := time.Now()
	a := around(t, now)
	s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: issuedBy(a), Names: []string{"127.0.0.1"}, Now: now}))
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	addr := serve(t, s)
	dial := func() (*tls.Conn, *x509.Certificate) {
		conn := must[*tls.Conn](t)(tls.Dial("tcp", addr, &tls.Config{RootCAs: roots}))
		t.Cleanup(func() { conn.Close() })
		echo(t, conn)
		return conn, conn.ConnectionState().PeerCertificates[0]
	}
	old, first := dial()
	before := present(t, s, rsaHello)
	if err := s.Renew(now); err != nil {
		t.Fatal(err)
	}
	_, second := dial()
	echo(t, old)
	if first.Equal(second) || before.Equal(present(t, s, rsaHello)) {
		t.Error("the same certificate after the renewal")
	}
}

func TestOpensslClientsAreServed(t *testing.T) {
	now := time.Now()
	a := around(t, now)
	s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: issuedBy(a), Names: []string{"127.0.0.1"}, Now: now}))
	addr := serve(t, s)
	for offer, want := range map[string]string{"RSA-PSS+SHA256": "RSA-PSS", "ECDSA+SHA256:RSA-PSS+SHA256": "ECDSA"} {
		out, err := openssl(t, map[string][]byte{"ca.pem": a.CertificatePEM()}, "s_client", "-brief", "-connect", addr, "-CAfile", "ca.pem",
			"-verify_return_error", "-verify_ip", "127.0.0.1", "-sigalgs", offer)
		if err != nil || !strings.Contains(out, "Verification: OK") || !strings.Contains(out, "Signature type: "+want) {
			t.Errorf("a client that offers %s: %v\n%s", offer, err, out)
		}
	}
}

// run runs an identity until the returned func, which waits for it and returns its error.
func run(t *testing.T, s *ServerIdentity) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func TestServerIdentityRenewsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: issuedBy(around(t, now)), Names: []string{"localhost"}, Now: now}))
		first := present(t, s, modernHello)
		stop := run(t, s)
		time.Sleep(59 * 24 * time.Hour)
		if !present(t, s, modernHello).Equal(first) {
			t.Error("renewed with a third of its life left")
		}
		time.Sleep(2 * 24 * time.Hour)
		second := present(t, s, modernHello)
		if second.Equal(first) || time.Until(second.NotAfter) < 88*24*time.Hour {
			t.Errorf("after 61 days it ends on %v", second.NotAfter)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// An authority at its end is the operator's business: it must not take the whole server down.
func TestServerIdentityOutlivesItsAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		a := fastAuthority(t, now.Add(-time.Hour), now.Add(2*time.Hour))
		s := must[*ServerIdentity](t)(NewServerIdentity(ServerConfig{Issuer: issuedBy(a), Names: []string{"localhost"}, Now: now}))
		stop := run(t, s)
		time.Sleep(5 * time.Hour)
		if leaf := present(t, s, modernHello); leaf.NotAfter.After(a.Certificate().NotAfter) || !leaf.NotBefore.Before(leaf.NotAfter) {
			t.Errorf("from %v to %v, the authority ends %v", leaf.NotBefore, leaf.NotAfter, a.Certificate().NotAfter)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A restart goes on with the same certificates, both of them, unless they are of another authority, for other
// names, or due.
func TestServerIdentityIsKept(t *testing.T) {
	now := time.Now()
	a := around(t, now)
	var saved []byte
	cfg := ServerConfig{Issuer: issuedBy(a), Names: []string{"localhost", "0:0:0:0:0:0:0:1", "xlb.test"}, Now: now, Save: func(b []byte) { saved = b }}
	first := must[*ServerIdentity](t)(NewServerIdentity(cfg))
	fast, fallback := present(t, first, modernHello), present(t, first, rsaHello)
	cfg.Saved = saved
	cfg.Names = []string{"xlb.test", "localhost", "::1"}
	again := must[*ServerIdentity](t)(NewServerIdentity(cfg))
	if !present(t, again, modernHello).Equal(fast) || !present(t, again, rsaHello).Equal(fallback) {
		t.Error("the certificates are new")
	}
	for name, change := range map[string]func(*ServerConfig){
		"another authority": func(c *ServerConfig) { c.Issuer = issuedBy(around(t, now)) },
		"another chain":     func(c *ServerConfig) { c.Issuer = always(Issuer{a, []*x509.Certificate{a.Certificate()}, nil}) },
		"one name more":     func(c *ServerConfig) { c.Names = append(c.Names, "other.test") },
		"one name less":     func(c *ServerConfig) { c.Names = c.Names[:2] },
		"due":               func(c *ServerConfig) { c.Now = now.Add(61 * 24 * time.Hour) },
		"damaged":           func(c *ServerConfig) { c.Saved = c.Saved[:len(c.Saved)/2] },
	} {
		other := cfg
		change(&other)
		one := must[*ServerIdentity](t)(NewServerIdentity(other))
		if leaf := present(t, one, modernHello); leaf.Equal(fast) || leaf.CheckSignatureFrom(other.Issuer(now).Certificate()) != nil {
			t.Errorf("%s: the old certificate goes on", name)
		}
	}
}

// Nothing is valid before its authority is.
func TestNothingBeginsBeforeTheAuthority(t *testing.T) {
	now := time.Now()
	a := fastAuthority(t, now.Add(-10*time.Minute), now.Add(time.Hour))
	cert := must[*x509.Certificate](t)(a.IssueClient(request(t, now)))
	if !cert.NotBefore.Equal(a.Certificate().NotBefore) {
		t.Errorf("from %v, the authority from %v", cert.NotBefore, a.Certificate().NotBefore)
	}
}
