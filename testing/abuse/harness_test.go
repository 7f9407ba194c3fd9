package abuse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/testing/process"
)

// size is the short version of a number, or the full one.
func size(short, full int) int {
	if os.Getenv("XLB_ABUSE") == "full" {
		return full
	}
	return short
}

// binary is built once for the whole package. It has no race detector: attacks are about what a real one bears.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "xlb-abuse")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "xlb")
	if out, err := exec.Command("go", "build", "-o", binary, "../..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is one running XLB process.
type server struct {
	*testing.T
	http, lb, ops string // host:port
	authority     *x509.CertPool
	process       *process.Process
}

// start runs XLB and ends it with the test. The control plane serves loopback only, so it is in local mode.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	return startWith(t, "", args...)
}

// startWith runs it under a shell command such as "ulimit -n 256;".
func startWith(t *testing.T, before string, args ...string) *server {
	t.Helper()
	s := &server{T: t, http: process.FreePort(t), lb: process.FreePort(t), ops: process.FreePort(t)}
	dir := filepath.Join(t.TempDir(), "data")
	args = append([]string{binary, "-data-dir", dir, "-http-addr", s.http, "-lb-addr", s.lb, "-ops-addr", s.ops, "-signup-rate", "0", "-dest-rate", "0", "-drain-timeout", "1s"}, args...)
	cmd := exec.Command("sh", append([]string{"-c", before + ` exec "$@"`, "sh"}, args...)...)
	s.process = process.Start(t, cmd, &process.Log{})
	t.Cleanup(func() {
		if t.Failed() {
			text := s.process.Log.String()
			t.Logf("the end of the log:\n%s", text[max(0, len(text)-2000):])
		}
	})
	s.process.Ready("http://" + s.ops + "/readyz")
	pem, err := os.ReadFile(filepath.Join(dir, "cacert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.authority = x509.NewCertPool()
	s.authority.AppendCertsFromPEM(pem)
	return s
}

// from is a dialer whose connections come from a source of its own: 127.1.0.1 for 1, and so on.
func from(n int) *net.Dialer {
	ip := net.IPv4(127, byte(1+n>>16), byte(n>>8), byte(n))
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: 10 * time.Second}
}

// caller asks the control plane from one source.
type caller struct {
	s     *server
	http  *http.Client
	uuid  string
	key   string
	token string
}

func (s *server) caller(n int) *caller {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.authority}, ForceAttemptHTTP2: true, DialContext: from(n).DialContext, MaxIdleConnsPerHost: 100,
	}
	s.Cleanup(transport.CloseIdleConnections)
	return &caller{s: s, http: &http.Client{Timeout: 30 * time.Second, Transport: transport}}
}

// ask sends one request with the caller's token, if it has one, and returns what came back.
func (c *caller) ask(method, path, body string, headers ...string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+c.s.http+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// must is ask for what has to succeed.
func (c *caller) must(method, path, body string, headers ...string) map[string]any {
	c.s.Helper()
	status, text, err := c.ask(method, path, body, headers...)
	if err != nil || status/100 != 2 {
		c.s.Fatalf("%s %s: %d %v %s", method, path, status, err, text)
	}
	var v map[string]any
	if text != "" {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			c.s.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return v
}

func basic(uuid, key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(uuid+":"+key))
}

// logIn exchanges id and key for a token.
func (c *caller) logIn(uuid, key string) (int, error) {
	status, text, err := c.ask("POST", "/api/v1/client/auth", "", "Authorization", basic(uuid, key))
	var v struct{ Token string }
	if status == http.StatusOK {
		err = json.Unmarshal([]byte(text), &v)
		c.token = v.Token
	}
	return status, err
}

// tenant signs a client up from a source and logs it in.
func (s *server) tenant(n int, name string) *caller {
	s.Helper()
	c := s.caller(n)
	v := c.must("POST", "/api/v1/client", fmt.Sprintf(`{"name":%q}`, name))
	c.uuid = v["uuid"].(string)
	c.key = v["key"].(string)
	if status, err := c.logIn(c.uuid, c.key); status != http.StatusOK || err != nil {
		s.Fatalf("log-in: %d %v", status, err)
	}
	return c
}

// frontend creates one and returns its id.
func (c *caller) frontend(body string) string {
	c.s.Helper()
	return c.must("POST", "/api/v1/client/frontend", body)["uuid"].(string)
}

// identity issues a certificate for a frontend.
func (c *caller) identity(frontend string) tls.Certificate {
	c.s.Helper()
	v := c.must("POST", "/api/v1/client/frontend/"+frontend+"/tls", `{"keyType":"ecdsa-p256"}`)
	var pems [2][]byte
	for i, field := range []string{"certificate", "key"} {
		pem, err := base64.StdEncoding.DecodeString(v[field].(string))
		if err != nil {
			c.s.Fatal(err)
		}
		pems[i] = pem
	}
	pair, err := tls.X509KeyPair(pems[0], pems[1])
	if err != nil {
		c.s.Fatal(err)
	}
	return pair
}

// echo is a route that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	return listen(t, "127.0.0.1:0", func(conn net.Conn) { io.Copy(conn, conn) })
}

// listen gives each connection to an address to serve, and closes it then. It returns the address.
func listen(t *testing.T, addr string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp4", addr)
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
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(2 * time.Minute))
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}
