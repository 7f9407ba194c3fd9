package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	name     = "xlb.example.org"
	patience = 90 * time.Second
)

var programs struct{ dir, xlb, pebble, dns string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "xlb-acme-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	programs.dir = dir
	build := func(from, pkg string) string {
		out := filepath.Join(dir, filepath.Base(pkg))
		cmd := exec.Command("go", "build", "-o", out, pkg)
		cmd.Dir = from
		if text, err := cmd.CombinedOutput(); err != nil {
			panic(string(text))
		}
		return out
	}
	programs.xlb = build("../..", "github.com/xdire/xlb")
	programs.pebble = build(".", "github.com/letsencrypt/pebble/v2/cmd/pebble")
	programs.dns = build(".", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
	return m.Run()
}

// output is what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs a program until the test ends, and returns what ends it before.
func start(t *testing.T, log *output, env []string, path string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout = log
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Wait()
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			text := log.String()
			t.Logf("%s:\n%s", filepath.Base(path), text[max(0, len(text)-4000):])
		}
	})
	return stop
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := net.LookupPort("tcp", port)
	return n
}

// authority is a Pebble, with names that all mean this machine.
type authority struct {
	directory, trust string // URL, and the file that its own https is checked with
	management       string
	tls, http        string // where it asks
	stop             func()
}

func newAuthority(t *testing.T, validSec int) *authority {
	t.Helper()
	a := &authority{trust: filepath.Join(t.TempDir(), "trust.pem"), management: freePort(t), tls: freePort(t), http: freePort(t)}
	listen, dns := freePort(t), freePort(t)
	a.directory = "https://localhost:" + listen[strings.LastIndexByte(listen, ':')+1:] + "/dir"
	cert, key := selfSigned(t, a.trust)
	config := filepath.Join(t.TempDir(), "pebble.json")
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": a.management, "certificate": cert, "privateKey": key,
		"httpPort": portOf(a.http), "tlsPort": portOf(a.tls), "retryAfter": map[string]int{"authz": 1, "order": 1}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "one", "validityPeriod": validSec}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, &output{}, nil, programs.dns, "-dnsserver", dns, "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", freePort(t))
	a.stop = start(t, &output{}, []string{"PEBBLE_VA_NOSLEEP=1"}, programs.pebble, "-config", config, "-dnsserver", dns)
	return a
}

// selfSigned makes a certificate of localhost for the authority's own https.
func selfSigned(t *testing.T, certFile string) (cert, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile = certFile + ".key"
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// roots is what the authority's certificates are checked with.
func (a *authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	trusted := x509.NewCertPool()
	text, err := os.ReadFile(a.trust)
	if err != nil {
		t.Fatal(err)
	}
	trusted.AppendCertsFromPEM(text)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	pool := x509.NewCertPool()
	eventually(t, "the authority is there", func() bool {
		resp, err := client.Get("https://" + a.management + "/roots/0")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var root bytes.Buffer
		_, err = root.ReadFrom(resp.Body)
		return err == nil && pool.AppendCertsFromPEM(root.Bytes())
	})
	return pool
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// presented is the certificate that XLB presents for a name, nil for none that these roots check.
func presented(address, name string, roots *x509.CertPool) *x509.Certificate {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", address, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func (a *authority) serve(t *testing.T, dir, control string, more ...string) (log *output, stop func()) {
	t.Helper()
	log = &output{}
	args := append([]string{"-data-dir", dir, "-http-addr", control, "-lb-addr", freePort(t), "-acme", "ops@example.org", "-acme-host", name, "-acme-directory", a.directory}, more...)
	return log, start(t, log, []string{"SSL_CERT_FILE=" + a.trust}, programs.xlb, args...)
}

func privateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Where port 443 arrives at the control plane, the authority asks there. The certificate is for its name alone, and is kept
// over a restart, sealed.
func TestTLSALPN(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 90*24*3600)
	roots := a.roots(t)
	dir := privateDir(t)
	_, stop := a.serve(t, dir, a.tls)
	var first *x509.Certificate
	eventually(t, "a certificate that browsers trust", func() bool { first = presented(a.tls, name, roots); return first != nil })
	own := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(dir, "cacert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	own.AppendCertsFromPEM(text)
	if presented(a.tls, "localhost", own) == nil || presented(a.tls, "localhost", roots) != nil {
		t.Error("another name gets something else than the own authority's certificate")
	}
	if conn, err := tls.Dial("tcp", a.tls, &tls.Config{ServerName: "other.example.org", NextProtos: []string{"acme-tls/1"}, RootCAs: roots}); err == nil {
		conn.Close()
		t.Error("a stranger's name has an answer for the authority")
	}
	stop()
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if content, _ := os.ReadFile(path); bytes.Contains(content, []byte("EC PRIVATE KEY")) {
				t.Errorf("%s has a key that is not sealed", path)
			}
		}
		return nil
	})
	a.stop() // nobody is asked again
	a.serve(t, dir, a.tls)
	eventually(t, "the same certificate after a restart", func() bool {
		again := presented(a.tls, name, roots)
		return again != nil && again.Equal(first)
	})
}

// Where only port 80 arrives, it asks there; everybody else is led to https. Certificates are renewed while XLB runs.
func TestHTTP(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 18)
	roots := a.roots(t)
	control := freePort(t)
	a.serve(t, privateDir(t), control, "-acme-http-addr", a.http)
	var first *x509.Certificate
	eventually(t, "a certificate that browsers trust", func() bool { first = presented(control, name, roots); return first != nil })
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequest("GET", "http://"+a.http+"/login", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = name
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != 302 || to != "https://"+name+"/login" {
		t.Errorf("a browser on port 80: %d to %q", resp.StatusCode, to)
	}
	eventually(t, "the next certificate", func() bool {
		next := presented(control, name, roots)
		return next != nil && !next.Equal(first)
	})
}

// While there is no authority XLB serves with its own certificate, and says why.
func TestNoAuthority(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 60)
	a.stop()
	control := freePort(t)
	log, _ := a.serve(t, privateDir(t), control)
	eventually(t, "it serves", func() bool {
		conn, err := tls.Dial("tcp", control, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	eventually(t, "it says why", func() bool {
		return strings.Contains(log.String(), "the public certificate stays as it is") && strings.Contains(log.String(), "the next try is in 1m0s")
	})
}
