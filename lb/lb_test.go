package lb

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/xdire/xlb/lb/internal/nettest"
	"go.uber.org/goleak"
)

// engine is what moves the bytes in the tests: loops, where there are any, or goroutines.
var engine = flag.String("engine", "loops", "what moves the bytes: loops or goroutines")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// What tests of this package and of lb/health have in common.
type authority = nettest.Authority

var (
	newKey       = nettest.NewKey
	newAuthority = nettest.NewAuthority
	listen       = nettest.Listen
	upstream     = nettest.Upstream
	echo         = nettest.Echo
	greeter      = nettest.Greeter
	closedPort   = nettest.ClosedPort
	eventually   = nettest.Eventually
)

// patience bounds every wait of a test; it passes only when something hangs.
const patience = nettest.Patience

// Reasons of a program's own.
const (
	reasonRevoked Reason = "revoked"
	reasonOff     Reason = "off"
)

// log keeps what Trace heard.
type log struct {
	mu     sync.Mutex
	events []Event
}

func (l *log) trace(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// next waits for the n-th event of a kind, counted from 0.
func (l *log) next(t testing.TB, kind EventKind, n int) Event {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		l.mu.Lock()
		seen := 0
		for _, e := range l.events {
			if e.Kind != kind {
				continue
			}
			if seen == n {
				l.mu.Unlock()
				return e
			}
			seen++
		}
		l.mu.Unlock()
	}
	t.Fatalf("event %d of kind %d never came; there are %+v", n, kind, l.events)
	return Event{}
}

// rig is a server under test with its log.
type rig struct {
	*Server
	log
	addr      string
	authority *authority // of clients and of the server
	secure    bool
}

// newRig serves cfg on loopback: over TLS when cfg.TLS is set, whatever it says.
func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	r := &rig{secure: cfg.TLS != nil}
	if r.secure {
		r.authority = newAuthority(t)
		cfg.TLS = cfg.TLS.Clone()
		cfg.TLS.Certificates = []tls.Certificate{r.authority.Issue(t, "localhost")}
		cfg.TLS.ClientCAs = r.authority.Pool()
	}
	told := cfg.Trace
	cfg.Trace = func(e Event) {
		r.trace(e)
		if told != nil {
			told(e)
		}
	}
	if cfg.PlainText == 0 {
		cfg.PlainText = AnswerPostgres | AnswerHTTP
	}
	if *engine == "goroutines" {
		cfg.Loops = -1
	}
	r.Server = NewServer(cfg)
	r.addr = r.serve(t, listen(t))
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) serve(t testing.TB, l net.Listener) string {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		r.Close()
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v, want %v", err, ErrServerClosed)
		}
	})
	return l.Addr().String()
}

// to admits everybody to pool.
func to(pool *Pool) func(tls.ConnectionState) (Admission, error) {
	return func(tls.ConnectionState) (Admission, error) { return Admission{Pool: pool}, nil }
}

// dialPlain connects without TLS.
func (r *rig) dialPlain(t testing.TB) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// clientConfig is a client's that holds a certificate with the name.
func (r *rig) clientConfig(t testing.TB, name string) *tls.Config {
	t.Helper()
	return &tls.Config{RootCAs: r.authority.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{r.authority.Issue(t, name)}}
}

func (r *rig) dialTLS(t testing.TB, cfg *tls.Config) (*tls.Conn, error) {
	t.Helper()
	conn := tls.Client(r.dialPlain(t), cfg)
	return conn, conn.Handshake()
}

// stream is a client's side that can half-close.
type stream interface {
	net.Conn
	CloseWrite() error
}

// dial connects as the rig needs it.
func (r *rig) dial(t testing.TB) stream {
	t.Helper()
	if !r.secure {
		return r.dialPlain(t)
	}
	conn, err := r.dialTLS(t, r.clientConfig(t, "client"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func poolOf(addrs ...string) *Pool {
	cfg := PoolConfig{}
	for _, addr := range addrs {
		cfg.Backends = append(cfg.Backends, Backend{Addr: addr})
	}
	return NewPool(cfg)
}

func readAll(t testing.TB, conn net.Conn) string {
	t.Helper()
	data, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", data, err)
	}
	return string(data)
}

func mustWrite(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func shortContext(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
