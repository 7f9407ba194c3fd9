package system

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

// binaries are built once for the whole package.
var binaries struct{ xlb, client string }

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "xlb-system")
	if err != nil {
		panic(err)
	}
	binaries.xlb, binaries.client = filepath.Join(dir, "xlb"), filepath.Join(dir, "balancer-client")
	build := []string{"build"}
	if os.Getenv("XLB_RACE") != "" { // twice the time: the packages have theirs on in every run, see check.sh
		build = append(build, "-race")
	}
	for target, pkg := range map[string]string{binaries.xlb: "../..", binaries.client: "../balancer-client"} {
		if out, err := exec.Command("go", append(build, "-o", target, pkg)...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
			os.Exit(1)
		}
	}
	// A program with the race detector sleeps for a second before it ends, and dozens end here.
	os.Setenv("GORACE", "atexit_sleep_ms=20")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is one running XLB process.
type server struct {
	t            *testing.T
	dir          string // data directory
	http, lb     string // host:port
	ops          string
	log          *process.Log
	process      *process.Process // the one that runs, or ran last
	client       *http.Client
	authorityPEM []byte
}

// start runs XLB over a data directory on ports of its own and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, http: freePort(t), lb: freePort(t), ops: freePort(t), log: &process.Log{}}
	s.run(args...)
	return s
}

// run starts the process on the addresses that s has, again after it was stopped.
func (s *server) run(args ...string) {
	s.t.Helper()
	args = append([]string{"-data-dir", s.dir, "-http-addr", s.http, "-lb-addr", s.lb, "-ops-addr", s.ops,
		"-signup-rate", "0", "-drain-timeout", "5s"}, args...)
	s.process = process.Start(s.t, exec.Command(binaries.xlb, args...), s.log)
	s.process.Ready("http://" + s.ops + "/readyz")
	s.trust()
}

// trust makes a client that trusts this server's authority and nothing else.
func (s *server) trust() {
	pem, err := os.ReadFile(filepath.Join(s.dir, "cacert.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.authorityPEM = pem
	s.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots()}, ForceAttemptHTTP2: true,
	}}
}

func (s *server) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.authorityPEM)
	return pool
}

func (s *server) terminate() { s.process.Terminate() }
func (s *server) stop()      { s.process.Stop() }
func (s *server) kill()      { s.process.Kill() }

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, a.body)
	}
	return v
}

// call makes one request. auth is "Bearer …", "Basic …" or empty; body nil for none.
func (s *server) call(method, path, auth string, body any) answer {
	s.t.Helper()
	a, err := s.try(method, path, auth, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *server) try(method, path, auth string, body any) (answer, error) {
	var reader io.Reader
	if body != nil {
		text, isText := body.(string)
		if !isText {
			encoded, _ := json.Marshal(body)
			text = string(encoded)
		}
		reader = strings.NewReader(text)
	}
	req, err := http.NewRequest(method, "https://"+s.http+path, reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// tenant is a client that signed up, with its token.
type tenant struct {
	s               *server
	uuid, key, auth string
}

func (s *server) signUp(name string) *tenant {
	s.t.Helper()
	a := s.call("POST", "/api/v1/client", "", map[string]any{"name": name})
	if a.status != http.StatusCreated {
		s.t.Fatalf("sign up: %d %s, want %d", a.status, a.body, http.StatusCreated)
	}
	v := a.json(s.t)
	t := &tenant{s: s, uuid: v["uuid"].(string), key: v["key"].(string)}
	t.logIn()
	return t
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func (c *tenant) logIn() {
	c.s.t.Helper()
	a := c.s.call("POST", "/api/v1/client/auth", basic(c.uuid, c.key), nil)
	if a.status != http.StatusOK {
		c.s.t.Fatalf("log in: %d %s, want %d", a.status, a.body, http.StatusOK)
	}
	c.auth = "Bearer " + a.json(c.s.t)["Token"].(string)
}

// frontend creates one over the given routes and returns its uuid.
func (c *tenant) frontend(routes ...string) string {
	c.s.t.Helper()
	var list []map[string]any
	for _, r := range routes {
		list = append(list, map[string]any{"dest": r})
	}
	a := c.s.call("POST", "/api/v1/client/frontend", c.auth, map[string]any{"name": "test", "routes": list})
	if a.status != http.StatusCreated {
		c.s.t.Fatalf("create frontend: %d %s, want %d", a.status, a.body, http.StatusCreated)
	}
	return a.json(c.s.t)["uuid"].(string)
}

// bundle fetches a key pair into a folder: cert.pem, key.pem and ca.pem.
func (c *tenant) bundle(frontend string) string {
	c.s.t.Helper()
	a := c.s.call("GET", "/api/v1/client/frontend/"+frontend+"/tls", c.auth, nil)
	if a.status != http.StatusOK {
		c.s.t.Fatalf("bundle: %d %s, want %d", a.status, a.body, http.StatusOK)
	}
	return c.s.unpack(a)
}

// dial connects to the data plane with the bundle in dir; an empty dir presents no certificate.
func (s *server) dial(dir string) (*tls.Conn, error) {
	cfg := &tls.Config{RootCAs: s.roots(), ServerName: "localhost"}
	if dir != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", s.lb, cfg)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(15 * time.Second))
	return conn, nil
}

// readAll connects and returns what the route sends until it closes. With TLS 1.3 a refusal shows here.
func (s *server) readAll(dir string) (string, error) {
	conn, err := s.dial(dir)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	return string(text), err
}

// dataDir is an empty directory that others cannot read, which XLB demands of one that is there.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func freePort(t *testing.T) string { return process.FreePort(t) }

// greeter accepts on loopback, sends its name and closes.
func greeter(t *testing.T, name string) string {
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
			io.WriteString(conn, name)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// echoes is an upstream that sends back what it gets.
func echoes(t *testing.T) string {
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
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	return l.Addr().String()
}

// web is an HTTP upstream that answers with its name.
func web(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "upstream %s", name)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

// runIn runs a program in a folder and returns what it prints, both streams together.
func runIn(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// eventually fails unless cond becomes true in ten seconds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not in 10 s: %s", what)
}
