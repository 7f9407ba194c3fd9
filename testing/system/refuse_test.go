package system

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/testing/process"
)

// Every way to knock at the data plane without the right to enter: the client gets nothing, the log
// says why, and the server goes on serving.
func TestRefusalsAreNamedInTheLog(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(greeter(t, "up"))
	good := c.bundle(id)
	deleted := c.frontend(greeter(t, "gone"))
	gone := c.bundle(deleted)
	s.call("DELETE", "/api/v1/client/frontend/"+deleted, c.auth, nil)

	cases := []struct {
		reason string
		knock  func(t *testing.T)
	}{
		{"no-cert", func(t *testing.T) { refused(t, s, "") }},
		{"gone", func(t *testing.T) { refused(t, s, gone) }},
		{"other-ca", func(t *testing.T) { refused(t, s, selfSigned(t, time.Now().Add(time.Hour))) }},
		{"expired", func(t *testing.T) { refused(t, s, issuedWith(t, s, time.Millisecond)) }},
		{"key-mismatch", func(t *testing.T) { wrongKey(t, s, good) }},
		{"old-tls", func(t *testing.T) { oldTLS(t, s) }},
		{"not-tls", func(t *testing.T) { plainHTTP(t, s.lb) }},
		{"hung-up", func(t *testing.T) { half(t, s.lb) }},
		{"untrusted", func(t *testing.T) { distrust(t, s, good) }},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			c.knock(t)
			eventually(t, "a log line with reason="+c.reason, func() bool { return strings.Contains(s.log.String(), "reason="+c.reason) })
			if got, err := s.readAll(good); err != nil || got != "up" {
				t.Errorf("afterwards a good client reached %q (%v)", got, err)
			}
		})
	}
}

// OpenSSL sends its alert in plain text where crypto/tls expects protected records.
func TestProgramsWithoutTheAuthorityAreUntrusted(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	good := c.bundle(c.frontend(greeter(t, "up")))
	_, port, _ := strings.Cut(s.lb, ":")
	for name, command := range map[string]string{
		"curl":               "curl -sS --cert cert.pem --key key.pem https://localhost:" + port + "/",
		"curl without a key": "curl -sS https://localhost:" + port + "/",
		"openssl":            "openssl s_client -verify_return_error -cert cert.pem -key key.pem -connect localhost:" + port + " </dev/null",
	} {
		t.Run(name, func(t *testing.T) {
			before := s.log.String()
			if out, err := runIn(t, good, "sh", "-c", command); err == nil {
				t.Errorf("it went on: %s", out)
			}
			var line string
			eventually(t, "a refusal in the log", func() bool {
				for line = range strings.Lines(strings.TrimPrefix(s.log.String(), before)) {
					if strings.Contains(line, "reason=") {
						return true
					}
				}
				return false
			})
			if !strings.Contains(line, "reason=untrusted") {
				t.Error(line)
			}
		})
	}
}

func refused(t *testing.T, s *server, dir string) {
	t.Helper()
	if text, err := s.readAll(dir); err == nil {
		t.Errorf("was served %q", text)
	}
}

// selfSigned makes a certificate of nobody's authority.
func selfSigned(t *testing.T, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ca_xlb"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePair(t, der, keyDER)
}

// issuedWith is a certificate of the server's own authority that is good for a while only.
func issuedWith(t *testing.T, s *server, lifetime time.Duration) string {
	t.Helper()
	caKey, err := os.ReadFile(filepath.Join(s.dir, "cakey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := pki.ParseAuthority(s.authorityPEM, caKey)
	if err != nil {
		t.Fatal(err)
	}
	key := rsaKey(t)
	cert, err := authority.IssueClient(pki.ClientRequest{
		ClientID: "client", FrontendID: "frontend", AccessKey: "key", PublicKey: key.Public(), Now: time.Now(), Lifetime: lifetime,
	})
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(cert.NotAfter.Add(1100 * time.Millisecond))) // dates have whole seconds
	return writePair(t, cert.Raw, keyDER)
}

func writePair(t *testing.T, certDER, keyDER []byte) string {
	t.Helper()
	dir := t.TempDir()
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", certDER)
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", keyDER)
	return dir
}

// wrongKey presents a good certificate and signs with another key: the proof that it is held fails.
func wrongKey(t *testing.T, s *server, dir string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	other := rsaKey(t)
	pair.PrivateKey = other
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.lb, &tls.Config{RootCAs: s.roots(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if text, err := io.ReadAll(conn); err == nil {
		t.Errorf("was served %q without the key", text)
	}
}

func oldTLS(t *testing.T, s *server) {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.lb, &tls.Config{RootCAs: s.roots(), ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.2 was accepted")
	}
}

func plainHTTP(t *testing.T, address string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	io.ReadAll(conn)
}

// half sends the beginning of a TLS record and goes away.
func half(t *testing.T, address string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte{0x16, 0x03, 0x01, 0x02})
	conn.Close()
}

// distrust is a client that was not given ca.pem.
func distrust(t *testing.T, s *server, dir string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.lb, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
	if err == nil {
		conn.Close()
		t.Error("trusted a server of no authority")
	}
}

func TestPlainHTTPOnTheControlPortSaysWhatToDo(t *testing.T) {
	s := start(t, dataDir(t))
	conn, err := net.DialTimeout("tcp", s.http, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "400") {
		t.Errorf("answered %q (%v), want a 400", line, err)
	}
}

func TestAuthorityIsNeverOverwritten(t *testing.T) {
	dir := dataDir(t)
	if out, err := exec.Command(binaries.xlb, "tls", "-data-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("xlb tls: %v\n%s", err, out)
	}
	before, err := os.ReadFile(filepath.Join(dir, "cacert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binaries.xlb, "tls", "-data-dir", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "exists already") {
		t.Errorf("the second xlb tls: %v\n%s", err, out)
	}
	s := start(t, dir) // uses it
	if string(s.authorityPEM) != string(before) {
		t.Error("the authority changed")
	}
}

func TestSecondServerOnTheSameDataSaysSo(t *testing.T) {
	s := start(t, dataDir(t))
	out, err := exec.Command(binaries.xlb, "-data-dir", s.dir, "-http-addr", freePort(t), "-lb-addr", freePort(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another xlb") {
		t.Errorf("second server: %v\n%s", err, out)
	}
}

// On an address that strangers reach, sign-up needs the set-up code, once; its client is the
// administrator, and loopback routes are refused.
func TestSetUpCodeLetsTheFirstClientIn(t *testing.T) {
	s := &server{t: t, dir: dataDir(t), lb: freePort(t), ops: freePort(t), log: &process.Log{}}
	_, port, _ := net.SplitHostPort(freePort(t))
	s.http = "0.0.0.0:" + port
	s.run()
	s.http = "localhost:" + port
	if a := s.call("POST", "/api/v1/client", "", map[string]any{"name": "stranger"}); a.status != 403 {
		t.Errorf("a stranger: %d %s, want 403", a.status, a.body)
	}
	path := filepath.Join(s.dir, "setup-code")
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("setup-code has mode %v", info.Mode())
	}
	first := s.call("POST", "/api/v1/client", "", map[string]any{"name": "first", "code": strings.TrimSpace(string(code))})
	if first.status != 201 {
		t.Fatalf("with the code: %d %s, want 201", first.status, first.body)
	}
	if a := s.call("POST", "/api/v1/client", "", map[string]any{"name": "second", "code": strings.TrimSpace(string(code))}); a.status != 403 {
		t.Errorf("the code a second time: %d %s, want 403", a.status, a.body)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("setup-code is still there: %v", err)
	}
	v := first.json(t)
	c := &tenant{s: s, uuid: v["uuid"].(string), key: v["key"].(string)}
	c.logIn()
	a := s.call("POST", "/api/v1/client/frontend", c.auth, map[string]any{"routes": []any{map[string]any{"dest": "127.0.0.1:6379"}}})
	if a.status != 422 || !strings.Contains(string(a.body), "routes[0].dest") {
		t.Errorf("a loopback route: %d %s", a.status, a.body)
	}
}
