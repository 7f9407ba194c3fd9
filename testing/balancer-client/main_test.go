package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is a small one of the test's own.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca_test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key}
}

func (a *authority) issue(t *testing.T, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// bundle writes cert.pem and key.pem of an authority, and ca.pem of another one or the same.
func bundle(t *testing.T, client, ca *authority) string {
	t.Helper()
	dir, pair := t.TempDir(), client.issue(t, x509.ExtKeyUsageClientAuth)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
		"ca.pem":   {Type: "CERTIFICATE", Bytes: ca.cert.Raw},
	}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listen serves TLS that asks for a certificate of the authority, and returns localhost:port.
func listen(t *testing.T, a *authority, most uint16, serve func(net.Listener)) string {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	l, err := tls.Listen("tcp", "localhost:0", &tls.Config{
		Certificates: []tls.Certificate{a.issue(t, x509.ExtKeyUsageServerAuth)},
		ClientCAs:    pool, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: most,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serve(l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port
}

func serveHTTP(l net.Listener) {
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "upstream one\nsecond line\n")
	})}
	srv.Serve(l)
}

// each runs serve for every connection.
func each(serve func(net.Conn)) func(net.Listener) {
	return func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}
}

func ask(t *testing.T, o options) (string, error) {
	t.Helper()
	var out bytes.Buffer
	if o.n == 0 {
		o.n = 1
	}
	if o.timeout == 0 {
		o.timeout = 10 * time.Second
	}
	err := run(o, &out)
	return out.String(), err
}

func TestAnswerIsPrinted(t *testing.T) {
	a := newAuthority(t)
	o := options{addr: listen(t, a, 0, serveHTTP), folders: []string{t.TempDir(), bundle(t, a, a)}}
	if out, err := ask(t, o); err != nil || out != "upstream one\nsecond line\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	o.n = 3
	out, err := ask(t, o)
	if err != nil || strings.Count(out, "\n") != 3 || strings.Count(out, "200 OK  upstream one  (") != 3 {
		t.Errorf("three requests printed %q, %v", out, err)
	}
}

func TestTextComesBackOverPlainTCP(t *testing.T) {
	a := newAuthority(t)
	addr := listen(t, a, 0, each(func(c net.Conn) { io.Copy(c, c) }))
	out, err := ask(t, options{addr: addr, folders: []string{bundle(t, a, a)}, useTCP: true, text: "hello"})
	if err != nil || out != "hello\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}

func TestRefusalIsNamed(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	hangUp := listen(t, a, 0, each(func(c net.Conn) { c.(*tls.Conn).Handshake() }))
	cases := map[string]options{
		"certificate of another authority": {addr: listen(t, a, 0, serveHTTP), folders: []string{bundle(t, other, a)}},
		"hung up after the handshake":      {addr: hangUp, folders: []string{bundle(t, a, a)}},
		"hung up, plain TCP":               {addr: hangUp, folders: []string{bundle(t, a, a)}, useTCP: true, text: "x"},
		"TLS 1.2":                          {addr: listen(t, a, tls.VersionTLS12, serveHTTP), folders: []string{bundle(t, a, a)}},
	}
	for name, o := range cases {
		t.Run(name, func(t *testing.T) {
			if out, err := ask(t, o); !errors.Is(err, errRefused) || out != "" {
				t.Errorf("printed %q, %v; want %v", out, err, errRefused)
			}
		})
	}
}

func TestServerIsCheckedUnlessAskedNotTo(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	o := options{addr: listen(t, a, 0, serveHTTP), folders: []string{bundle(t, a, other)}}
	if _, err := ask(t, o); err == nil || errors.Is(err, errRefused) || !strings.Contains(err.Error(), "-ca") {
		t.Errorf("an authority that is not trusted: %v", err)
	}
	o.insecure = true
	if _, err := ask(t, o); err != nil {
		t.Errorf("with -insecure: %v", err)
	}
	o.insecure, o.ca = false, filepath.Join(bundle(t, a, a), "ca.pem")
	if _, err := ask(t, o); err != nil {
		t.Errorf("with -ca: %v", err)
	}
	_, port, _ := net.SplitHostPort(o.addr)
	o.addr = "127.0.0.1:" + port
	if _, err := ask(t, o); err == nil {
		t.Error("a server without the name of -addr was trusted")
	}
}

func TestSilentUpstreamIsATimeoutAndNoRefusal(t *testing.T) {
	a := newAuthority(t)
	addr := listen(t, a, 0, each(func(c net.Conn) {
		c.(*tls.Conn).Handshake()
		time.Sleep(3 * time.Second)
	}))
	_, err := ask(t, options{addr: addr, folders: []string{bundle(t, a, a)}, timeout: 300 * time.Millisecond})
	var timeout net.Error
	if errors.Is(err, errRefused) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	empty := t.TempDir()
	_, err := ask(t, options{addr: "localhost:1", folders: []string{empty}})
	if err == nil {
		t.Fatal("ran without a certificate")
	}
	for _, want := range []string{"cert.pem", "key.pem", empty, "-cert", "-key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if _, err := ask(t, options{addr: "localhost:1", cert: filepath.Join(empty, "mine.pem")}); err == nil || !strings.Contains(err.Error(), "mine.pem") {
		t.Errorf("a named file that is missing: %v", err)
	}
}

// The program as people run it: a refusal is exit code 1 and says on stderr where to look.
func TestProgramSaysWhereToLook(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	exe := filepath.Join(t.TempDir(), "balancer-client")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	addr := listen(t, a, 0, serveHTTP)
	run := func(dir string) (stdout, stderr string, code int) {
		var out, errs bytes.Buffer
		cmd := exec.Command(exe, "-addr", addr)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
		cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	if out, errs, code := run(bundle(t, a, a)); code != 0 || out != "upstream one\nsecond line\n" || errs != "" {
		t.Errorf("accepted: code %d, %q, %q", code, out, errs)
	}
	out, errs, code := run(bundle(t, other, a))
	if code != 1 || out != "" || !strings.Contains(errs, "refused") || !strings.Contains(errs, "log") || !strings.Contains(errs, "connect page") {
		t.Errorf("refused: code %d, %q, %q", code, out, errs)
	}
}
