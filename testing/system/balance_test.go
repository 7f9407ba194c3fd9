package system

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestThreeUpstreamsShareTheRequestsOfTheBalancerClient(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(web(t, "one"), web(t, "two"), web(t, "three")))
	_, port, _ := net.SplitHostPort(s.lb)
	out, err := runIn(t, dir, binaries.client, "-addr", "localhost:"+port, "-n", "30")
	if err != nil {
		t.Fatalf("balancer-client: %v\n%s", err, out)
	}
	for _, name := range []string{"one", "two", "three"} {
		if n := strings.Count(out, "upstream "+name); n != 10 {
			t.Errorf("upstream %s answered %d of 30 requests, want 10\n%s", name, n, out)
		}
	}
}

func TestRoundRobinIsExactOneAfterTheOther(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(greeter(t, "a"), greeter(t, "b"), greeter(t, "c")))
	counts := map[string]int{}
	for range 300 {
		text, err := s.readAll(dir)
		if err != nil {
			t.Fatal(err)
		}
		counts[text]++
	}
	if counts["a"] != 100 || counts["b"] != 100 || counts["c"] != 100 {
		t.Errorf("300 connections went %v, want 100 each", counts)
	}
}

func TestCertificatesReachOnlyTheirOwnUpstreams(t *testing.T) {
	s := start(t, dataDir(t))
	alice, bob := s.signUp("alice"), s.signUp("bob")
	ofAlice, ofBob := alice.bundle(alice.frontend(greeter(t, "alice"))), bob.bundle(bob.frontend(greeter(t, "bob")))
	for range 20 {
		for dir, want := range map[string]string{ofAlice: "alice", ofBob: "bob"} {
			if got, err := s.readAll(dir); err != nil || got != want {
				t.Fatalf("reached %q (%v), want %q", got, err, want)
			}
		}
	}
}

// Redis is the kind of program that XLB is for: it speaks first only when spoken to, and redis-cli
// verifies the server against ca.pem. No -k, no --insecure anywhere.
func TestRedisThroughRedisCLI(t *testing.T) {
	s := start(t, dataDir(t))
	redis := redisServer(t)
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(redis))
	_, port, _ := net.SplitHostPort(s.lb)
	args := []string{"-h", "localhost", "-p", port, "--tls", "--sni", "localhost", "--cert", "cert.pem", "--key", "key.pem", "--cacert", "ca.pem"}
	for _, step := range []struct{ command, want string }{{"PING", "PONG"}, {"SET k v", "OK"}, {"GET k", "v"}} {
		out, err := runIn(t, dir, "redis-cli", append(args, strings.Fields(step.command)...)...)
		if err != nil || strings.TrimSpace(out) != step.want {
			t.Errorf("%s answered %q (%v), want %q", step.command, out, err, step.want)
		}
	}
}

func redisServer(t *testing.T) string {
	t.Helper()
	address := freePort(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server: %v (apt-get install redis-server)", err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, "redis listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

// A tenant's certificate must not work as a server's: some clients, redis-cli and psql with verify-ca
// among them, check no name.
func TestTenantCertificateIsRefusedAsServerCertificate(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(greeter(t, "x")))
	out, err := runIn(t, dir, "openssl", "verify", "-CAfile", "ca.pem", "-purpose", "sslclient", "cert.pem")
	if err != nil {
		t.Errorf("not good for a client: %s", out)
	}
	out, err = runIn(t, dir, "openssl", "verify", "-CAfile", "ca.pem", "-purpose", "sslserver", "cert.pem")
	if err == nil {
		t.Errorf("accepted as a server's certificate: %s", out)
	}
}

func TestCurlAndOpensslReachTheRoute(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(web(t, "one")))
	_, port, _ := net.SplitHostPort(s.lb)
	out, err := runIn(t, dir, "curl", "-sS", "--cert", "cert.pem", "--key", "key.pem", "--cacert", "ca.pem", "https://localhost:"+port+"/")
	if err != nil || out != "upstream one" {
		t.Errorf("curl: %v %s", err, out)
	}
	request := `printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -quiet -verify_return_error -connect localhost:` + port +
		` -cert cert.pem -key key.pem -CAfile ca.pem 2>/dev/null`
	out, err = runIn(t, dir, "sh", "-c", request)
	if err != nil || !strings.Contains(out, "upstream one") {
		t.Errorf("openssl: %v %s", err, out)
	}
}

func TestFrontendChangesAreLiveWhenTheAnswerArrives(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(greeter(t, "old"))
	dir, path := c.bundle(id), "/api/v1/client/frontend/"+id
	for i := range 20 {
		name := "new" + strconv.Itoa(i)
		a := s.call("PATCH", path, c.auth, map[string]any{"routes": []any{map[string]any{"dest": greeter(t, name)}}})
		if a.status != 200 {
			t.Fatalf("patch: %d %s, want 200", a.status, a.body)
		}
		if got, err := s.readAll(dir); err != nil || got != name {
			t.Fatalf("after the answer the route was %q (%v), want %q", got, err, name)
		}
	}
	s.call("PATCH", path, c.auth, map[string]any{"active": false})
	if got, err := s.readAll(dir); err == nil {
		t.Errorf("a frontend that is off served %q", got)
	}
	s.call("PATCH", path, c.auth, map[string]any{"active": true})
	if _, err := s.readAll(dir); err != nil {
		t.Errorf("switched on again, it refused: %v", err)
	}
	if a := s.call("DELETE", path, c.auth, nil); a.status != 204 {
		t.Fatalf("delete: %d %s, want 204", a.status, a.body)
	}
	if got, err := s.readAll(dir); err == nil {
		t.Errorf("a deleted frontend served %q", got)
	}
}

func TestDeletingAFrontendClosesItsConnections(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(holder(t))
	conn, err := s.dial(c.bundle(id))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 5)
	if _, err := conn.Read(one); err != nil {
		t.Fatalf("before the delete: %v", err)
	}
	s.call("DELETE", "/api/v1/client/frontend/"+id, c.auth, nil)
	conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := conn.Read(one); err == nil {
		t.Error("the connection still carries bytes")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Error("the connection was still open 3 s after the delete")
	}
}

func TestReadyzSaysDrainingUntilTheLastConnection(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	conn, err := s.dial(c.bundle(c.frontend(holder(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "hello")
	if _, err := conn.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	s.terminate()
	eventually(t, "503 from /readyz", func() bool {
		resp, err := http.Get("http://" + s.ops + "/readyz")
		if err != nil {
			t.Fatalf("the operations port is closed while a connection drains: %v", err)
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	fmt.Fprint(conn, "world")
	if _, err := conn.Read(make([]byte, 5)); err != nil {
		t.Errorf("the draining connection was cut: %v", err)
	}
	conn.Close()
	s.stop() // ends before the drain time-out, and without an error
}

// holder echoes, and keeps the connection open.
func holder(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					conn.Write(buf[:n])
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestRouteThatRefusesIsPassedOver(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(freePort(t), greeter(t, "up")))
	for range 10 {
		if got, err := s.readAll(dir); err != nil || got != "up" {
			t.Fatalf("reached %q (%v), want the route that is up", got, err)
		}
	}
}

func TestBundleFilesMatch(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(greeter(t, "x"))
	dir := c.bundle(id)
	text, err := runIn(t, dir, "openssl", "x509", "-in", "cert.pem", "-noout", "-subject", "-issuer", "-ext", "subjectAltName,extendedKeyUsage", "-nameopt", "RFC2253")
	if err != nil {
		t.Fatal(text)
	}
	for _, want := range []string{"O=" + c.uuid, "CN=ca_xlb", "spiffe://xlb/client/" + c.uuid + "/frontend/" + id, "TLS Web Client Authentication"} {
		if !strings.Contains(text, want) {
			t.Errorf("the certificate lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Server Authentication") {
		t.Errorf("the certificate is good for a server:\n%s", text)
	}
	key, err := runIn(t, dir, "head", "-1", filepath.Join(dir, "key.pem"))
	if err != nil || strings.TrimSpace(key) != "-----BEGIN RSA PRIVATE KEY-----" {
		t.Errorf("key.pem begins with %q, want PKCS#1", key)
	}
}
