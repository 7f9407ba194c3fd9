package web

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// What the tests of several files share: programs with certificates, and the routes behind them.

// balance serves the control's balancer on loopback and returns its address.
func (f *fixture) balance() string {
	f.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(f.T, err)
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	f.balancing.Store(&addr)
	served := make(chan error, 1)
	go func() { served <- f.control.Balancer().Serve(l) }()
	f.Cleanup(func() {
		f.control.Balancer().Close()
		if err := <-served; !errors.Is(err, lb.ErrServerClosed) {
			f.Errorf("the balancer's Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// echoes is an upstream that sends back what it gets.
func echoes(t *testing.T) string {
	return serveAll(t, func(conn net.Conn) { io.Copy(conn, conn) })
}

// serveAll gives each connection to serve and closes it then.
func serveAll(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	serveOn(t, l, serve)
	return l.Addr().String()
}

func serveEcho(t *testing.T, l net.Listener) {
	serveOn(t, l, func(conn net.Conn) { io.Copy(conn, conn) })
}

func clientOf(cert tls.Certificate) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
}

// identity is a certificate of the frontend, through the API, and its serial.
func (c *tenant) identity(frontend, name string) (tls.Certificate, string) {
	c.Helper()
	return c.identityFor(frontend, `{"keyType":"ecdsa-p256","name":"`+name+`"}`)
}

// identityFor is the same, as a body asks for it.
func (c *tenant) identityFor(frontend, body string) (tls.Certificate, string) {
	c.Helper()
	return pairOf(c.T, c.call("POST", "/api/v1/client/frontend/"+frontend+"/tls", body))
}

// pairOf is the key pair in an answer, and its serial.
func pairOf(t *testing.T, a answer) (tls.Certificate, string) {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("issue: %d %s, want 200", a.status, a.body)
	}
	v := a.object(t)
	var pems [2][]byte
	for i, field := range []string{"certificate", "key"} {
		text, _ := v[field].(string)
		decoded, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		pems[i] = decoded
	}
	pair, err := tls.X509KeyPair(pems[0], pems[1])
	must(t, err)
	return pair, pair.Leaf.SerialNumber.Text(16)
}

// program is a client of the balancer.
type program struct {
	*tls.Conn
	source string
}

// connect opens a connection and waits until it carries bytes.
func (f *fixture) connect(address string, cert tls.Certificate) program {
	f.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}}
	ctx, cancel := context.WithTimeout(f.Context(), 10*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", address)
	must(f.T, err)
	f.Cleanup(func() { conn.Close() })
	p := program{conn.(*tls.Conn), conn.LocalAddr().String()}
	if !p.works() {
		f.Fatal("a new connection carries no bytes")
	}
	return p
}

func (p program) works() bool {
	p.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := p.Write([]byte("hello")); err != nil {
		return false
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(p, got)
	return err == nil && string(got) == "hello"
}

// noticed tells whether the program hears within a second that its connection was closed.
func (p program) noticed() bool {
	p.SetReadDeadline(time.Now().Add(time.Second))
	_, err := p.Read(make([]byte, 1))
	var e net.Error
	return err != nil && !(errors.As(err, &e) && e.Timeout())
}

// connections lists what the API says, by source.
func (c *tenant) connections(frontend, query string) (bySource map[string]map[string]any, order []string, total int) {
	c.Helper()
	a := c.call("GET", "/api/v1/client/frontend/"+frontend+"/connections"+query, "")
	if a.status != 200 {
		c.Fatalf("list connections: %d %s, want 200", a.status, a.body)
	}
	v := a.object(c.T)
	bySource = map[string]map[string]any{}
	for _, item := range v["items"].([]any) {
		one := item.(map[string]any)
		bySource[one["source"].(string)] = one
		order = append(order, one["source"].(string))
	}
	if next, there := v["next"]; next != nil || !there {
		c.Errorf("next is %v", next)
	}
	return bySource, order, int(v["total"].(float64))
}

// crowd is a frontend with two routes and four connections: two of each certificate.
type crowd struct {
	*tenant
	id, first, second string
	serial            [2]string
	programs          []program // newest last; the odd ones have the other certificate
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	f := start(t)
	address := f.balance()
	w := &crowd{tenant: f.signUp("testuser"), first: echoes(t), second: echoes(t)}
	made := w.call("POST", "/api/v1/client/frontend", `{"name":"orders","routes":[{"dest":"`+w.first+`"},{"dest":"`+w.second+`"}]}`)
	w.id, _ = made.object(t)["uuid"].(string)
	checkout, serial0 := w.identity(w.id, "checkout-prod")
	reports, serial1 := w.identity(w.id, "reports")
	w.serial = [2]string{serial0, serial1}
	for _, cert := range []tls.Certificate{checkout, reports, checkout, reports} {
		w.programs = append(w.programs, f.connect(address, cert))
	}
	return w
}

func (w *crowd) path() string { return "/api/v1/client/frontend/" + w.id + "/connections" }

// alive checks which programs still reach their route.
func (w *crowd) alive(want ...bool) {
	w.Helper()
	for i, p := range w.programs {
		if want[i] && !p.works() {
			w.Errorf("connection %d was closed", i)
		}
		if !want[i] && !p.noticed() {
			w.Errorf("program %d did not notice within a second that its connection was closed", i)
		}
	}
}

// routes is the state of each route, by its address, and of the frontend.
func (c *tenant) routes(frontend string) (state string, byDest map[string]map[string]any) {
	c.Helper()
	a := c.call("GET", "/api/v1/client/frontend/"+frontend+"/status", "")
	if a.status != 200 {
		c.Fatalf("status: %d %s, want 200", a.status, a.body)
	}
	v := a.object(c.T)
	byDest = map[string]map[string]any{}
	for _, r := range v["routes"].([]any) {
		one := r.(map[string]any)
		byDest[one["dest"].(string)] = one
	}
	return v["state"].(string), byDest
}

// becomes waits until a route is in a state.
func (c *tenant) becomes(frontend, dest, state string) map[string]any {
	c.Helper()
	var last map[string]any
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, all := c.routes(frontend)
		if last = all[dest]; last["state"] == state {
			return last
		}
	}
	c.Fatalf("%s is not %s after 15 s, but %v", dest, state, last)
	return nil
}

// ends waits until the balancer has closed a connection, and tells how long that took.
func (p program) ends(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	p.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("it is still open: %v", err)
	}
	return time.Since(began)
}

func isTimeout(err error) bool {
	e, is := err.(net.Error)
	return is && e.Timeout()
}

// marker is in rejected values; no answer may repeat it.
const marker = "REJECTED-7f3a"

func manyRoutes(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"dest":"10.1.%d.%d:80"}`, i/250, i%250))
	}
	return `{"routes":[` + strings.Join(list, ",") + `]}`
}

// wantProblem checks the form of every refusal.
func wantProblem(t *testing.T, a answer, status int, location string) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" || strings.Contains(a.body, marker) || strings.Contains(a.body, `"value"`) {
		t.Fatalf("%d %s %s, want a problem with status %d", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	v := a.object(t)
	if v["status"] != float64(status) || v["title"] == "" || v["requestId"] != a.header.Get("X-Request-Id") {
		t.Errorf("problem %s", a.body)
	}
	if location == "" {
		return
	}
	details, _ := v["errors"].([]any)
	for _, d := range details {
		if one := d.(map[string]any); one["location"] == location && one["message"] != "" {
			return
		}
	}
	t.Errorf("no error at %s: %s", location, a.body)
}

// as returns a copy of the fixture whose connections are made with a certificate.
func (f *fixture) as(cert tls.Certificate) *fixture {
	roots := f.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}, ForceAttemptHTTP2: true}
	f.Cleanup(transport.CloseIdleConnections)
	one := *f
	one.client = &http.Client{Timeout: f.client.Timeout, Transport: transport}
	return &one
}

// revoke revokes a certificate and returns the answer.
func (c *tenant) revoke(frontend, serial, query string) map[string]any {
	c.Helper()
	a := c.call("DELETE", "/api/v1/client/frontend/"+frontend+"/certificates/"+serial+query, "")
	if a.status != 200 {
		c.Fatalf("revoke: %d %s, want 200", a.status, a.body)
	}
	return a.object(c.T)
}

// handshake tells whether a connection carries an echo, and whether its session was resumed.
func (f *fixture) echo(address string, cfg *tls.Config) (resumed bool, err error) {
	conn, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = fmt.Fprint(conn, "x"); err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return conn.ConnectionState().DidResume, err
}

// record issues a certificate without the calls that are counted by the minute: into the store, with the
// server's authority.
func (c *tenant) record(frontend string) (tls.Certificate, string) {
	c.Helper()
	ca, err := authority()
	must(c.T, err)
	key, err := pki.GenerateKey(pki.ECDSAP256)
	must(c.T, err)
	found, err := c.store.Frontend(c.Context(), c.uuid, frontend)
	must(c.T, err)
	now := time.Now()
	leaf, err := ca.IssueClient(pki.ClientRequest{
		ClientID: c.uuid, FrontendID: frontend, AccessKey: found.AccessKey, PublicKey: key.Public(), Now: now,
	})
	must(c.T, err)
	serial := pki.FormatSerial(leaf.SerialNumber)
	_, err = c.store.PutCertificate(c.Context(), store.Certificate{
		Serial: serial, Authority: ca.ID(), ClientID: c.uuid, FrontendID: frontend, KeyType: string(pki.ECDSAP256),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, IssuedAt: now,
	})
	must(c.T, err)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, serial
}
