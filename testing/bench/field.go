package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// balancer is one of the two under test.
type balancer struct {
	name    string
	pid     int
	address string
	ops     string  // of XLB's operations port
	fresh   float64 // resident bytes before the first connection
	roots   *x509.CertPool

	rootsPEM []byte // the same for programs
}

// field is everything a case needs: the two balancers in front of the same upstreams, and client
// certificates that both accept.
type field struct {
	dir        string
	balancers  []*balancer // HAProxy, XLB
	rsa, ecdsa *tls.Certificate
	profiles   string // a folder, empty for none
	cleanup    []func()
}

func (f *field) stop() {
	for i := len(f.cleanup) - 1; i >= 0; i-- {
		f.cleanup[i]()
	}
}

func setUp(dir string, of *service) (_ *field, err error) {
	f := &field{dir: dir}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	upstreams, err := of.start(f, dir)
	if err != nil {
		return nil, err
	}
	xlb, err := f.startXLB(dir, upstreams)
	if err != nil {
		return nil, err
	}
	haproxy, err := f.startHAProxy(dir, upstreams)
	if err != nil {
		return nil, err
	}
	f.balancers = []*balancer{haproxy, xlb}
	time.Sleep(settle) // what the start has left
	for _, b := range f.balancers {
		if b.fresh, err = b.resident(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// start runs a process and ends it with the field.
func (f *field) start(name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	return cmd, f.startCommand(cmd)
}

func (f *field) startCommand(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	f.cleanup = append(f.cleanup, func() {
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	})
	return nil
}

func (f *field) startXLB(dir string, upstreams []string) (*balancer, error) {
	binary := filepath.Join(dir, "xlb")
	if out, err := exec.Command("go", "build", "-C", "../..", "-trimpath", "-o", binary, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build xlb: %w\n%s", err, out)
	}
	data, control, address, ops := filepath.Join(dir, "data"), freePort(), freePort(), freePort()
	cmd, err := f.start(binary, "-data-dir", data, "-http-addr", control, "-lb-addr", address, "-ops-addr", ops, "-ops-pprof", "-log-level", "warn")
	if err != nil {
		return nil, err
	}
	if err := waitFor(address); err != nil {
		return nil, fmt.Errorf("xlb: %w", err)
	}
	ca, err := waitForFile(filepath.Join(data, "cacert.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	api := &api{base: "https://" + control + "/api/v1", client: &http.Client{
		Timeout: 60 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}}
	if err := api.enrol(f, upstreams); err != nil {
		return nil, err
	}
	return &balancer{name: "XLB", pid: cmd.Process.Pid, address: address, ops: ops, roots: roots, rootsPEM: ca}, nil
}

// api is what the bench asks of XLB's control plane.
type api struct {
	base, auth string
	client     *http.Client
}

func (a *api) call(method, path string, body any, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, a.base+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", a.auth)
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, text)
	}
	return json.Unmarshal(text, into)
}

// enrol signs up, creates the frontend and fetches client certificates of both kinds.
func (a *api) enrol(f *field, upstreams []string) error {
	var client struct{ UUID, Key string }
	if err := a.call("POST", "/client", map[string]string{"name": "bench"}, &client); err != nil {
		return err
	}
	a.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(client.UUID+":"+client.Key))
	var token struct{ Token string }
	if err := a.call("POST", "/client/auth", nil, &token); err != nil {
		return err
	}
	a.auth = "Bearer " + token.Token
	var routes []map[string]string
	for _, u := range upstreams {
		routes = append(routes, map[string]string{"dest": u})
	}
	var frontend struct{ UUID string }
	if err := a.call("POST", "/client/frontend", map[string]any{"routes": routes}, &frontend); err != nil {
		return err
	}
	path := "/client/frontend/" + frontend.UUID + "/tls"
	var err error
	if f.rsa, err = a.pair("GET", path, nil); err != nil {
		return err
	}
	f.ecdsa, err = a.pair("POST", path, map[string]string{"keyType": "ecdsa-p256"})
	return err
}

func (a *api) pair(method, path string, body any) (*tls.Certificate, error) {
	var files struct{ Key, Certificate []byte } // encoding/json reads base64 into bytes
	if err := a.call(method, path, body, &files); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(files.Certificate, files.Key)
	return &pair, err
}

const haproxyConfig = `
global
  maxconn %[1]d
  ssl-default-bind-options ssl-min-ver TLSv1.3
  tune.ssl.cachesize 20000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  maxconn %[1]d
frontend in
  bind %[2]s ssl crt %[3]s ca-file %[4]s verify required
  use_backend %%[ssl_c_s_dn(cn),map(%[5]s)]
backend pool
  balance roundrobin
%[6]s`

func (f *field) startHAProxy(dir string, upstreams []string) (*balancer, error) {
	certificate, roots, err := serverCertificate()
	if err != nil {
		return nil, err
	}
	leaf := f.rsa.Leaf
	files := map[string]string{
		"haproxy.pem": certificate,
		"map":         leaf.Subject.CommonName + " pool\n",
	}
	ca, err := os.ReadFile(filepath.Join(dir, "data", "cacert.pem"))
	if err != nil {
		return nil, err
	}
	files["clients.pem"] = string(ca)
	address := freePort()
	var servers strings.Builder
	for i, u := range upstreams {
		fmt.Fprintf(&servers, "  server s%d %s\n", i, u)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	files["haproxy.cfg"] = fmt.Sprintf(haproxyConfig, maxConnections(), address, in("haproxy.pem"), in("clients.pem"), in("map"), servers.String())
	for name, text := range files {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command("haproxy", "-c", "-f", in("haproxy.cfg")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("haproxy configuration: %w\n%s", err, out)
	}
	cmd, err := f.start("haproxy", "-db", "-f", in("haproxy.cfg"))
	if err != nil {
		return nil, err
	}
	if err := waitFor(address); err != nil {
		return nil, fmt.Errorf("haproxy: %w\n%s", err, cmd.Stderr)
	}
	return &balancer{name: "HAProxy", pid: cmd.Process.Pid, address: address, roots: roots, rootsPEM: []byte(certificate)}, nil
}

// maxConnections is how many the file limit carries: each takes two files.
func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 4000
	}
	return int(min(40_000, (limit.Max-500)/2))
}

// serverCertificate makes HAProxy's own: ECDSA P-256, as XLB presents.
func serverCertificate() (string, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, err
	}
	roots := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return "", nil, err
	}
	roots.AddCert(parsed)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return text, roots, nil
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitForFile reads a file that a process writes at its start.
func waitForFile(path string) ([]byte, error) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil {
			return text, nil
		}
	}
	return nil, fmt.Errorf("no %s after 20 s", path)
}

func waitFor(address string) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return conn.Close()
		}
	}
	return errors.New("does not listen after 20 s")
}

// cpu is the processor time that a process has used.
func (b *balancer) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.pid))
	if err != nil {
		return 0, fmt.Errorf("%s has ended", b.name)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold spaces
	fields := strings.Fields(rest)
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = time.Second / 100 // USER_HZ, fixed in the kernel's interface
	return time.Duration(user+system) * tick, nil
}

// resident is the memory of a process, in bytes.
func (b *balancer) resident() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", b.pid))
	if err != nil {
		return 0, fmt.Errorf("%s has ended", b.name)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * float64(os.Getpagesize()), err
}
