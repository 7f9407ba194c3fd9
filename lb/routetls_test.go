package lb

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// issueServer makes a certificate for 127.0.0.1 and backend.test, changed as the test needs it.
func issueServer(t testing.TB, a *authority, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "backend"},
		DNSNames: []string{"backend.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.Key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// secureUpstream answers over TLS with serve.
func secureUpstream(t testing.TB, cfg *tls.Config, serve func(*tls.Conn)) string {
	return upstream(t, func(raw *net.TCPConn) {
		conn := tls.Server(raw, cfg)
		if conn.Handshake() == nil {
			serve(conn)
		}
		conn.CloseWrite()
		io.Copy(io.Discard, raw)
	})
}

func echoTLS(conn *tls.Conn) { io.Copy(conn, conn) }

// openTLS connects to a backend, and closes the connection at the end of the test.
func openTLS(t testing.TB, addr string, with *BackendTLS) (*tls.Conn, error) {
	t.Helper()
	conn, err := (&Dialer{}).Open(context.Background(), "tcp", addr, Opening{TLS: with})
	if err != nil {
		if conn != nil {
			t.Errorf("an error and a connection: %T", conn)
		}
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.(*tls.Conn).NetConn().Close() })
	return conn.(*tls.Conn), nil
}

func TestBackendTLSSaysWhatIsWrong(t *testing.T) {
	a := newAuthority(t)
	trust := func() *BackendTLS { return &BackendTLS{RootCAs: a.Pool()} }
	serve := func(change func(*x509.Certificate), cfg *tls.Config) func() string {
		return func() string {
			cfg.Certificates = []tls.Certificate{issueServer(t, a, change)}
			return secureUpstream(t, cfg, echoTLS)
		}
	}
	for _, test := range []struct {
		want string
		with *BackendTLS
		addr func() string
	}{
		{"", trust(), serve(nil, &tls.Config{})},
		{"", &BackendTLS{RootCAs: a.Pool(), ServerName: "backend.test"}, serve(nil, &tls.Config{})},
		{"", &BackendTLS{InsecureSkipVerify: true}, serve(nil, &tls.Config{})},
		{"", trust(), serve(nil, &tls.Config{MaxVersion: tls.VersionTLS12})},
		{"unknown authority", &BackendTLS{}, serve(nil, &tls.Config{})},
		{"unknown authority", &BackendTLS{RootCAs: newAuthority(t).Pool()}, serve(nil, &tls.Config{})},
		{"name does not match", &BackendTLS{RootCAs: a.Pool(), ServerName: "other.test"}, serve(nil, &tls.Config{})},
		{"certificate has expired", trust(), serve(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, &tls.Config{})},
		{"certificate is not valid yet", trust(), serve(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, &tls.Config{})},
		{"certificate is not for servers", trust(), serve(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, &tls.Config{})},
		{"it answered: protocol version not supported", &BackendTLS{RootCAs: a.Pool(), MinVersion: tls.VersionTLS13}, serve(nil, &tls.Config{MaxVersion: tls.VersionTLS12})},
		{"it answered: no application protocol", &BackendTLS{RootCAs: a.Pool(), NextProtos: []string{"h2"}}, serve(nil, &tls.Config{NextProtos: []string{"postgresql"}})},
		{"no TLS there", trust(), func() string { return upstream(t, greeter("220 smtp.test ready\r\n")) }},
		{"closed during the handshake", trust(), func() string {
			return upstream(t, func(conn *net.TCPConn) {
				io.ReadFull(conn, make([]byte, 100))
				conn.CloseWrite()
				io.Copy(io.Discard, conn)
			})
		}},
	} {
		_, err := openTLS(t, test.addr(), test.with)
		var refusal *Refusal
		if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &refusal) || refusal.Reason != ReasonBackendTLS || refusal.Detail != test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

func TestBackendTLSHasItsTime(t *testing.T) {
	silent := upstream(t, func(conn *net.TCPConn) { io.Copy(io.Discard, conn) })
	_, err := (&Dialer{Timeout: 50 * time.Millisecond}).Open(context.Background(), "tcp", silent, Opening{TLS: &BackendTLS{}})
	if ReasonOf(err) != ReasonBackendTLS || !strings.Contains(err.Error(), "no answer in time") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := (&Dialer{Timeout: -1}).Open(ctx, "tcp", silent, Opening{TLS: &BackendTLS{}}); ReasonOf(err) != ReasonBackendTLS {
		t.Error(err)
	}
}

func TestBackendTLSResumesByAddressAndHalfCloses(t *testing.T) {
	a := newAuthority(t)
	with := &BackendTLS{RootCAs: a.Pool(), ServerName: "backend.test"}
	cfg := func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{issueServer(t, a, nil)}} }
	addrs := []string{secureUpstream(t, cfg(), echoTLS), secureUpstream(t, cfg(), echoTLS)} // one name
	for _, resumed := range []bool{false, true} {
		for _, addr := range addrs {
			conn, err := openTLS(t, addr, with)
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, conn, "upload")
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, conn); got != "upload" || conn.ConnectionState().DidResume != resumed {
				t.Errorf("%q, resumed %t, want %t", got, !resumed, resumed)
			}
		}
	}
}

func TestBackendTLSShowsItsCertificate(t *testing.T) {
	a := newAuthority(t)
	mine := a.Issue(t, "balancer")
	cfg := &tls.Config{Certificates: []tls.Certificate{issueServer(t, a, nil)}, ClientAuth: tls.RequireAnyClientCert, ClientCAs: newAuthority(t).Pool()}
	addr := secureUpstream(t, cfg, func(conn *tls.Conn) {
		io.WriteString(conn, conn.ConnectionState().PeerCertificates[0].Subject.CommonName)
	})
	conn, err := openTLS(t, addr, &BackendTLS{RootCAs: a.Pool(), Certificate: &mine})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, conn); got != "balancer" {
		t.Errorf("it saw %q, want %q", got, "balancer")
	}
	conn, err = openTLS(t, addr, &BackendTLS{RootCAs: a.Pool()})
	if err != nil {
		t.Fatal(err) // in TLS 1.3 it tells later
	}
	if _, err := conn.Read(make([]byte, 1)); remoteAlert(err) != "it answered: certificate required" {
		t.Errorf("got %v, want an alert that a certificate is required", err)
	}
}

func TestPrefaceComesBeforeTLS(t *testing.T) {
	a := newAuthority(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{issueServer(t, a, nil)}}
	header := AppendProxyHeader(nil, 2, ProxyHeader{Source: client4, Destination: server4})
	addr := upstream(t, func(raw *net.TCPConn) {
		got := make([]byte, len(header))
		io.ReadFull(raw, got)
		conn := tls.Server(raw, cfg)
		defer conn.Close()
		conn.Write(got)
	})
	conn, err := (&Dialer{}).Open(context.Background(), "tcp", addr, Opening{Preface: header, TLS: &BackendTLS{RootCAs: a.Pool()}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := readAll(t, conn); got != string(header) {
		t.Errorf("%x, want %x", got, string(header))
	}
	plain, err := (&Dialer{}).Open(context.Background(), "tcp", upstream(t, echo), Opening{Preface: header})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	mustRead(t, plain, string(header))
}

func TestPrefaceThatNobodyTakes(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	defer client.Close()
	if err := sendPreface(shortContext(t, 20*time.Millisecond), client, []byte("x")); ReasonOf(err) != ReasonBackendTimeout {
		t.Error(err)
	}
	server.Close()
	client.SetDeadline(time.Time{})
	if err := sendPreface(context.Background(), client, []byte("x")); ReasonOf(err) != ReasonBackendReset {
		t.Error(err)
	}
}
