package web

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// What the tests of several files share: a server over a store of its own, and those who ask it.

// authority is made once: its RSA keys take a while.
var authority = sync.OnceValues(func() (*pki.Authority, error) { return pki.NewAuthority(time.Now()) })

var masterKey = bytes.Repeat([]byte{7}, 32)

// fixture is a real control over a real store, served over TLS.
type fixture struct {
	*testing.T
	control *control.Control
	config  control.Config
	store   *store.Store
	server  *Server
	url     string
	client  *http.Client
	engine  *store.Badger
	log     *logBuffer
	stop    func() error // ends Serve and returns what it returned

	balancing *atomic.Pointer[netip.AddrPort]
}

func start(t *testing.T, options ...func(*control.Config)) *fixture {
	t.Helper()
	ca, err := authority()
	must(t, err)
	engine, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), store.BadgerConfig{})
	must(t, err)
	t.Cleanup(func() { engine.Close() })
	records, err := store.New(engine)
	must(t, err)
	f := &fixture{T: t, store: records, engine: engine, log: &logBuffer{}, balancing: &atomic.Pointer[netip.AddrPort]{}}
	cfg := control.Config{
		Store: records, Authority: ca, MasterKey: masterKey, Local: true, DataPort: 9090, SignupRate: -1, SignupTotalRate: -1, AuthRate: -1,
		DataAddr: f.dataAddr, Own: func() []netip.AddrPort { return nil }, Busy: func() bool { return true }, Log: f.log.logger(),
	}
	for _, option := range options {
		option(&cfg)
	}
	f.config = cfg
	f.control, err = control.New(t.Context(), cfg)
	must(t, err)
	f.server, err = New(Config{Control: f.control, Log: f.log.logger(), DrainTimeout: 5 * time.Second, Version: "test", ProxyFrom: cfg.ProxyFrom})
	must(t, err)
	f.run(engine)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate())
	f.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
	}}
	t.Cleanup(f.client.CloseIdleConnections)
	return f
}

// dataAddr is where balance has opened the data plane; the zero value before.
func (f *fixture) dataAddr() netip.AddrPort {
	if addr := f.balancing.Load(); addr != nil {
		return *addr
	}
	return netip.AddrPort{}
}

// another is a second process, as far as the data plane goes, over the same records.
func (f *fixture) another() *fixture {
	f.Helper()
	one := *f
	var err error
	one.control, err = control.New(f.Context(), f.config)
	must(f.T, err)
	one.runTasks()
	return &one
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("no JSON object: %v\n%s", err, a.body)
	}
	return v
}

// do makes a request; headers are pairs.
func (f *fixture) do(method, path string, body io.Reader, headers ...string) answer {
	f.Helper()
	a, err := f.try(method, path, body, headers...)
	if err != nil {
		f.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (f *fixture) try(method, path string, body io.Reader, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1] // net/http takes it from nowhere else
		}
	}
	client := *f.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// tenant is a client that signed up.
type tenant struct {
	*fixture
	uuid, key, token string
}

func (f *fixture) signUp(name string) *tenant {
	f.Helper()
	a := f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"`+name+`"}`), "Content-Type", "application/json")
	if a.status != http.StatusCreated {
		f.Fatalf("sign up: %d %s, want %d", a.status, a.body, http.StatusCreated)
	}
	v := a.object(f.T)
	c := &tenant{fixture: f, uuid: v["uuid"].(string), key: v["key"].(string)}
	token, err := f.control.IssueToken(f.Context(), c.uuid, c.key)
	must(f.T, err)
	c.token = token
	return c
}

// call makes an API request with the tenant's token.
func (c *tenant) call(method, path, body string, headers ...string) answer {
	c.Helper()
	headers = append([]string{"Authorization", "Bearer " + c.token, "Content-Type", "application/json"}, headers...)
	return c.do(method, path, strings.NewReader(body), headers...)
}

func (c *tenant) frontend(dests ...string) string {
	c.Helper()
	var routes []string
	for _, dest := range dests {
		routes = append(routes, `{"dest":"`+dest+`"}`)
	}
	a := c.call("POST", "/api/v1/client/frontend", `{"routes":[`+strings.Join(routes, ",")+`]}`)
	if a.status != http.StatusCreated {
		c.Fatalf("create frontend: %d %s, want %d", a.status, a.body, http.StatusCreated)
	}
	return a.object(c.T)["uuid"].(string)
}

// postForm sends a form as a browser does from a page of the same site.
func (f *fixture) postForm(path, form string, headers ...string) answer {
	f.Helper()
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, headers...)
	return f.do("POST", path, strings.NewReader(form), headers...)
}

// follow opens the page that an answer leads to, as a browser with a cookie does: with the cookies that came with it.
func (f *fixture) follow(a answer, cookie string) answer {
	f.Helper()
	if a.status != http.StatusSeeOther {
		f.Fatalf("%d %s, want one that leads on", a.status, a.body)
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.MaxAge >= 0 {
			cookie += "; " + c.Name + "=" + c.Value
		}
	}
	return f.do("GET", a.header.Get("Location"), nil, "Cookie", cookie)
}

// overHTTP1 returns a copy of the fixture that does not speak HTTP/2.
func (f *fixture) overHTTP1() *fixture {
	old := f.client.Transport.(*http.Transport)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: old.TLSClientConfig.RootCAs, NextProtos: []string{"http/1.1"}}}
	f.Cleanup(transport.CloseIdleConnections)
	one := *f
	one.client = &http.Client{Timeout: f.client.Timeout, Transport: transport}
	return &one
}

// logBuffer is a log that is written and read at once.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// token logs in with a key and returns the answer.
func (f *fixture) tokenFor(uuid, key string) answer {
	f.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(uuid + ":" + key))
	return f.do("POST", "/api/v1/client/auth", nil, "Authorization", "Basic "+basic)
}

// administrator is the first client, by the set-up code.
func (f *fixture) administrator() *tenant {
	f.Helper()
	t := f.T
	a := f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"root","code":"let-me-in"}`), "Content-Type", "application/json")
	if a.status != 201 {
		t.Fatalf("%d %s, want 201", a.status, a.body)
	}
	v := a.object(t)
	root := &tenant{fixture: f, uuid: v["uuid"].(string), key: v["key"].(string)}
	root.token = f.tokenFor(root.uuid, root.key).object(t)["Token"].(string)
	return root
}

func (f *fixture) cookieOf(c *tenant) string {
	f.Helper()
	return sessionCookie + "=" + sessionOf(f.logIn(c)).Value
}

// settings is the form of the settings page as a browser without scripts would send it, with changes.
func (f *fixture) settings(frontend string, cookie []string, changes map[string]string) url.Values {
	f.Helper()
	page := f.do("GET", "/frontends/"+frontend+"/settings", nil, cookie...)
	if page.status != 200 {
		f.Fatalf("settings: %d, want 200", page.status)
	}
	form := url.Values{}
	for _, field := range inputsOf(f.T, page.body) {
		if field[0] == "route" && field[1] == "" {
			continue
		}
		form.Add(field[0], field[1])
	}
	for name, value := range changes {
		form.Set(name, value)
	}
	return form
}

func (f *fixture) logIn(c *tenant, headers ...string) answer {
	f.Helper()
	return f.postForm("/login", url.Values{"uuid": {c.uuid}, "key": {c.key}}.Encode(), headers...)
}

func sessionOf(a answer) *http.Cookie {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == sessionCookie {
			return c
		}
	}
	return nil
}

func wantStatus(t *testing.T, a answer, want int) {
	t.Helper()
	if a.status != want {
		t.Fatalf("%d, want %d: %s", a.status, want, a.body)
	}
}
