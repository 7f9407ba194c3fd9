package health

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// quickly is the timeout of checks that are to fail for want of an answer.
const quickly = 100 * time.Millisecond

// says speaks first, and waits for the end.
func says(answer string) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		io.WriteString(conn, answer)
		io.Copy(io.Discard, conn)
	}
}

// hangs accepts and says nothing.
func hangs(conn *net.TCPConn) { io.Copy(io.Discard, conn) }

// closes hangs up as soon as something came. It reads all of it, or the end would be a reset.
func closes(conn *net.TCPConn) { conn.Read(make([]byte, 1<<16)) }

// resets hangs up with a reset as soon as something came.
func resets(conn *net.TCPConn) {
	conn.Read(make([]byte, 1024))
	conn.SetLinger(0)
}

// refusal is an error of Dial that says what it stands for.
type refusal struct{}

func (refusal) Error() string        { return "denied" }
func (refusal) HealthReason() Reason { return ReasonPolicy }

// wantFailure compares reason and detail; an empty reason is success.
func wantFailure(t *testing.T, err error, reason Reason, detail string) {
	t.Helper()
	if reason == "" {
		if err != nil {
			t.Errorf("failed: %v", err)
		}
		return
	}
	var failure *Failure
	if !errors.As(err, &failure) || failure.Reason != reason || failure.Detail != detail {
		t.Errorf("got %v, want %s: %s", err, reason, detail)
	}
}

func TestProbeThatOnlyConnects(t *testing.T) {
	denied := func(context.Context, string, string) (net.Conn, error) { return nil, refusal{} }
	for _, c := range []struct {
		name   string
		addr   string
		dial   Dial
		reason Reason
		detail string
	}{
		{"accepts", upstream(t, hangs), nil, "", ""},
		{"nothing listens", closedPort(t), nil, ReasonRefused, "connection refused"},
		{"not allowed", upstream(t, hangs), denied, ReasonPolicy, "this server does not allow the address"},
		{"no such name", "no-such-host.invalid:1", nil, ReasonDNS, "the name has no address"},
		{"no address", "nonsense", nil, ReasonDNS, "the address is not host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantFailure(t, Check{Kind: TCP}.Probe(t.Context(), c.dial, c.addr), c.reason, c.detail)
		})
	}
	wantFailure(t, Check{}.Probe(t.Context(), denied, "nonsense"), "", "")
}

func TestProbeThatSends(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name         string
		serve        func(*net.TCPConn)
		send, expect string
		reason       Reason
		detail       string
	}{
		{"the answer comes", echo, "+PONG\r\n", "+PONG", "", ""},
		{"the server speaks first", says("SSH-2.0-x\r\n"), "", "SSH-", "", ""},
		{"somewhere inside", says("role:slave\r\nrole:master\r\n"), "INFO\r\n", "role:master", "", ""},
		{"in two parts", func(conn *net.TCPConn) {
			io.WriteString(conn, "+PO")
			time.Sleep(5 * time.Millisecond)
			says("NG")(conn)
		}, "PING", "+PONG", "", ""},
		{"any byte will do", says("\x00"), "PING", "", "", ""},
		{"another answer", says("-LOADING Redis is loading\r\nmore"), "PING\r\n", "+PONG", ReasonAnswer, `expected "+PONG", got 31 other bytes`},
		{"another answer and the end", greeter("no"), "", "+PONG", ReasonAnswer, `expected "+PONG", got 2 other bytes`},
		{"a long answer", says(long), "", "+PONG", ReasonAnswer, `expected "+PONG", got 4096 other bytes`},
		{"unprintable", says("\x1b[2J\u202e"), "", "ok", ReasonAnswer, `expected "ok", got 7 other bytes`},
		{"too late in the answer", says(long + "ok"), "", "ok", ReasonAnswer, `expected "ok", got 4096 other bytes`},
		{"silence", hangs, "PING", "+PONG", ReasonTimeout, "no answer in 0.1 s"},
		{"silence for any byte", hangs, "", "", ReasonTimeout, "no answer in 0.1 s"},
		{"the end", closes, "PING", "+PONG", ReasonClosed, "closed without an answer"},
		{"a reset", resets, "PING", "+PONG", ReasonReset, "connection reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check := Check{Kind: Send, Send: []byte(c.send), Expect: []byte(c.expect), Timeout: quickly}
			if c.reason == "" {
				check.Timeout = patience
				check.Interval = patience
			}
			wantFailure(t, check.Probe(context.Background(), nil, upstream(t, c.serve)), c.reason, c.detail)
		})
	}
}

func TestProbeOverTLS(t *testing.T) {
	a := newAuthority(t)
	serving := func(cfg *tls.Config) func(*net.TCPConn) {
		return func(conn *net.TCPConn) {
			secure := tls.Server(conn, cfg)
			secure.Handshake()
			secure.Read(make([]byte, 1024))
			io.WriteString(secure, "HTTP/1.1 204\r\n\r\n")
		}
	}
	good := serving(&tls.Config{Certificates: []tls.Certificate{a.Issue(t, "localhost")}})
	old := serving(&tls.Config{Certificates: []tls.Certificate{a.Issue(t, "localhost")}, MaxVersion: tls.VersionTLS12})
	trusting := &tls.Config{RootCAs: a.Pool()}
	for _, c := range []struct {
		name   string
		serve  func(*net.TCPConn)
		check  Check
		reason Reason
		detail string
	}{
		{"unverified", good, Check{Kind: TLS}, "", ""},
		{"verified by the name of the route", good, Check{Kind: TLS, TLS: trusting}, "", ""},
		{"HTTP", good, Check{Kind: HTTP, TLS: trusting}, "", ""},
		{"unknown authority", good, Check{Kind: TLS, TLS: &tls.Config{RootCAs: newAuthority(t).Pool()}}, ReasonTLS, "the certificate is of an unknown authority"},
		{"another name", good, Check{Kind: TLS, TLS: &tls.Config{RootCAs: a.Pool(), ServerName: "db"}}, ReasonTLS, "the certificate is for another name"},
		{"expired", good, Check{Kind: TLS, TLS: &tls.Config{RootCAs: a.Pool(), Time: func() time.Time { return time.Now().AddDate(1, 0, 0) }}},
			ReasonTLS, "the certificate has expired or is not valid yet"},
		{"refused", old, Check{Kind: TLS, TLS: &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS13}}, ReasonTLS, "the TLS handshake was refused: protocol version not supported"},
		{"no TLS", says("220 mail.example ESMTP\r\n"), Check{Kind: TLS}, ReasonTLS, "the answer is not TLS"},
		{"silence", hangs, Check{Kind: TLS, Timeout: quickly}, ReasonTimeout, "no answer in 0.1 s"},
		{"the end", closes, Check{Kind: TLS}, ReasonClosed, "closed without an answer"},
		{"a reset", resets, Check{Kind: TLS}, ReasonReset, "connection reset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, port, _ := net.SplitHostPort(upstream(t, c.serve))
			wantFailure(t, c.check.Probe(context.Background(), nil, "localhost:"+port), c.reason, c.detail)
		})
	}
}

func TestProbeThatAsksForAPage(t *testing.T) {
	var asked http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = *r
		switch r.URL.Path {
		case "/":
		case "/moved":
			w.WriteHeader(http.StatusFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	for _, c := range []struct {
		check  Check
		detail string // empty: it passes
	}{
		{Check{}, ""},
		{Check{Method: "HEAD", Path: "/moved?x=1", Host: "db.example"}, ""},
		{Check{Method: "OPTIONS", Path: "*", Statuses: []StatusRange{{From: 200}}}, ""},
		{Check{Path: "/replica"}, "status 503, want 200-399"},
		{Check{Path: "/replica", Statuses: []StatusRange{{From: 200}, {From: 500, To: 503}}}, ""},
		{Check{Path: "/moved", Statuses: []StatusRange{{From: 200}, {From: 401, To: 403}}}, "status 302, want 200, 401-403"},
	} {
		c.check.Kind = HTTP
		reason := Reason("")
		if c.detail != "" {
			reason = ReasonAnswer
		}
		wantFailure(t, c.check.Probe(t.Context(), nil, addr), reason, c.detail)
		if c.check.Host == "db.example" && (asked.Host != "db.example" || asked.Method != "HEAD" || asked.RequestURI != "/moved?x=1") {
			t.Errorf("asked %s %s of %s", asked.Method, asked.RequestURI, asked.Host)
		}
	}
	for _, c := range []struct {
		serve  func(*net.TCPConn)
		reason Reason
		detail string
	}{
		{says("HTTP/1.0 200 fine\n"), "", ""},
		{func(conn *net.TCPConn) {
			closes(conn) // reads the request
			io.WriteString(conn, "HTTP/1.1 200")
		}, "", ""}, // the line ends with the answer
		{says("HTTP/1.1 200"), ReasonAnswer, `expected HTTP, got 12 other bytes`},
		{says("SSH-2.0-OpenSSH\r\n"), ReasonAnswer, `expected HTTP, got 17 other bytes`},
		{says(strings.Repeat("H", 5000)), ReasonAnswer, `expected HTTP, got 4096 other bytes`},
		{hangs, ReasonTimeout, "no answer in 0.1 s"},
		{closes, ReasonClosed, "closed without an answer"},
	} {
		err := Check{Kind: HTTP, Timeout: quickly}.Probe(t.Context(), nil, upstream(t, c.serve))
		wantFailure(t, err, c.reason, c.detail)
	}
}

func TestProbeEndsWithItsTimeout(t *testing.T) {
	drip := upstream(t, func(conn *net.TCPConn) {
		for range 1000 {
			if _, err := io.WriteString(conn, "."); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	for name, check := range map[string]Check{
		"an answer in drops":    {Kind: Send, Expect: []byte("end")},
		"a status in drops":     {Kind: HTTP},
		"the interval is lower": {Kind: Send, Expect: []byte("end"), Timeout: patience, Interval: quickly},
	} {
		if check.Timeout == 0 {
			check.Timeout = quickly
		}
		started := time.Now()
		if err := check.Probe(t.Context(), nil, drip); ReasonOf(err) != ReasonAnswer {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(started); took > patience/2 {
			t.Errorf("%s: took %v", name, took)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(quickly/4, cancel)
	err := Check{Kind: Send}.Probe(ctx, nil, upstream(t, hangs))
	wantFailure(t, err, ReasonInternal, "cancelled")
	if !errors.Is(err, context.Canceled) || ours(err) {
		t.Errorf("got %v, want a canceled context that is not our fault", err)
	}
}

func TestMalformedChecksAreNotSent(t *testing.T) {
	for _, check := range []Check{
		{Kind: 99}, {Kind: -1},
		{Kind: Send, Send: make([]byte, mostCheckBytes+1)},
		{Kind: Send, Expect: make([]byte, mostCheckBytes+1)},
		{Kind: HTTP, Method: "DELETE"},
		{Kind: HTTP, Path: "admin"}, {Kind: HTTP, Path: "*"},
		{Kind: HTTP, Path: "/a b"}, {Kind: HTTP, Path: "/\r\nX: y"}, {Kind: HTTP, Path: "/\u00fc"}, {Kind: HTTP, Path: "/\xff"},
		{Kind: HTTP, Path: "/" + strings.Repeat("a", mostCheckBytes)},
		{Kind: HTTP, Host: "a\nX: y"},
		{Kind: HTTP, Statuses: []StatusRange{{From: 20}}}, {Kind: HTTP, Statuses: []StatusRange{{From: 300, To: 200}}},
	} {
		if check.Validate() == nil {
			t.Errorf("%+v is valid", check)
		}
		err := check.Probe(t.Context(), func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled")
			return nil, refusal{}
		}, "127.0.0.1:1")
		if ReasonOf(err) != ReasonInternal || ours(err) {
			t.Errorf("got %v, want internal, and not our fault", err)
		}
	}
}

func TestChecksAreComparedByAllFields(t *testing.T) {
	kind := reflect.TypeFor[Check]()
	for i := range kind.NumField() {
		var c Check
		field := reflect.ValueOf(&c).Elem().Field(i)
		switch field.Kind() {
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		case reflect.String:
			field.SetString("x")
		case reflect.Float64:
			field.SetFloat(1)
		default:
			field.SetInt(1)
		}
		if c.equal(Check{}) || !c.equal(c) {
			t.Errorf("%s is not compared", kind.Field(i).Name)
		}
	}
}

func TestStatusLine(t *testing.T) {
	for line, want := range map[string]int{
		"HTTP/1.1 200 OK\r": 200, "HTTP/1.0 404": 404, "HTTP/1.1  503 ": 503, "HTTP/1.1 999 \xff": 999,
		"": 0, "HTTP/1.1": 0, "HTTP/1.1 ": 0, "HTTP/1.1 20": 0, "HTTP/1.1 2000": 0, "HTTP/1.1 099": 0, "HTTP/1.1 2x0": 0,
		"HTTP/2 200": 0, "http/1.1 200": 0, "HTTP/1.10 200": 0, "ICY 200 OK": 0, " HTTP/1.1 200": 0, "HTTP/1.1\t200": 0, "HTTP/1.1 -20": 0,
	} {
		if got, valid := parseStatus([]byte(line)); got != want && valid || valid != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", line, got, valid, want)
		}
	}
}

func FuzzStatusLine(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r"))
	f.Add([]byte("HTTP/1.0 503"))
	f.Add([]byte("SSH-2.0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		status, valid := parseStatus(line)
		if valid && (status < 100 || status > 999 || !strings.HasPrefix(string(line), "HTTP/1.")) {
			t.Errorf("%q: %d", line, status)
		}
		for _, r := range quote(line) {
			if r < ' ' || r > '~' {
				t.Errorf("%q quoted as %q", line, quote(line))
			}
		}
	})
}
