package lb_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"time"

	"github.com/xdire/xlb/lb"
)

// One port for two teams: the name in a client's certificate chooses the pool. There is no other difference
// between their connections.
func Example_certificate() {
	authority := newAuthority()
	blue, green := greet("blue's backend"), greet("green's backend")
	defer blue.Close()
	defer green.Close()
	pools := map[string]*lb.Pool{
		"blue":  lb.NewPool(lb.PoolConfig{Backends: []lb.Backend{{Addr: blue.Addr().String()}}}),
		"green": lb.NewPool(lb.PoolConfig{Backends: []lb.Backend{{Addr: green.Addr().String()}}}),
	}
	server := lb.NewServer(lb.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{authority.issue("localhost", x509.ExtKeyUsageServerAuth)}},
		Admit: func(state tls.ConnectionState) (lb.Admission, error) {
			leaf := state.PeerCertificates[0]
			// The package does not verify the chain: whoever admits has to.
			_, err := leaf.Verify(x509.VerifyOptions{Roots: authority.pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if err != nil {
				return lb.Admission{}, &lb.Refusal{Reason: "other-authority", Err: err}
			}
			pool := pools[leaf.Subject.CommonName]
			if pool == nil {
				return lb.Admission{}, &lb.Refusal{Reason: "unknown-team"}
			}
			// With Keys, server.Drop can close what a certificate has open when it is withdrawn.
			return lb.Admission{Pool: pool, Keys: []string{leaf.Subject.CommonName}, NotAfter: leaf.NotAfter}, nil
		},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()
	for _, team := range []string{"blue", "green", "red"} {
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{
			ServerName: "localhost", RootCAs: authority.pool(),
			Certificates: []tls.Certificate{authority.issue(team, x509.ExtKeyUsageClientAuth)},
		})
		if err != nil {
			log.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		fmt.Println(team, "gets", string(answer), err != nil)
		conn.Close()
	}
	// Output:
	// blue gets hello from blue's backend false
	// green gets hello from green's backend false
	// red gets  true
}

// authority signs the certificates of the example.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	a := &authority{key: key}
	a.cert = a.sign(key, &x509.Certificate{
		Subject: pkix.Name{CommonName: "example authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign makes a certificate of a template; the first one is the authority's own.
func (a *authority) sign(key *ecdsa.PrivateKey, template *x509.Certificate) *x509.Certificate {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		log.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return cert
}

func (a *authority) issue(name string, usage x509.ExtKeyUsage) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	cert := a.sign(key, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}
