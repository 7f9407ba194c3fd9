package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
)

func TestOperationsPort(t *testing.T) {
	f := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- f.server.ServeOps(ctx, l) }()
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + l.Addr().String() + path)
		must(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, string(text)
	}
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/debug/pprof/": 404, "/debug/pprof/goroutine?debug=1": 404, "/metrics": 200, "/api/v1/ca.pem": 404, "/": 404} {
		if got, text := get(path); got != status {
			t.Errorf("%s: %d %s, want %d", path, got, text, status)
		}
	}
	f.server.Drain()
	must(t, f.stop())
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, text := get("/readyz"); status == 503 && strings.Contains(text, "draining") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("ready while draining")
		}
	}
	if status, _ := get("/healthz"); status != 200 {
		t.Errorf("healthz while draining: %d, want 200", status)
	}
	stop()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(15 * time.Second):
		t.Error("ServeOps did not return")
	}
}

// A page whose name means this machine reads nothing, and profiles are served where they are asked for.
func TestOperationsPortIsAskedByName(t *testing.T) {
	f := start(t)
	server, err := New(Config{Control: f.control, OpsHosts: []string{"xlb.internal"}, Pprof: true})
	must(t, err)
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:9091": 200, "127.0.0.1:9091": 200, "10.1.2.3": 200, "[::1]:9091": 200, "[::1]": 200, "xlb.internal:9091": 200, "XLB.internal.": 200,
		"evil.example": 421, "evil.example:9091": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "": 421,
	} {
		for _, path := range []string{"/healthz", "/metrics", "/debug/pprof/cmdline"} {
			req := httptest.NewRequest("GET", path, nil)
			req.Host = host
			rec := httptest.NewRecorder()
			server.OpsHandler().ServeHTTP(rec, req)
			if rec.Code != want {
				t.Errorf("%s of %q: %d, want %d", path, host, rec.Code, want)
			}
		}
	}
}

func TestServeReturnsWhatFailed(t *testing.T) {
	f := start(t)
	server, err := New(Config{Control: f.control})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	if err := server.Serve(t.Context(), l); err == nil {
		t.Error("a closed listener is no error")
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	f := start(t)
	r := chi.NewRouter()
	r.Use(f.server.requestInfo, f.server.logAccess, f.server.recoverPanics)
	boom := func(http.ResponseWriter, *http.Request) { panic("boom " + marker) }
	r.Get("/api/boom", boom)
	r.Get("/boom", boom)
	for _, path := range []string{"/api/boom", "/boom"} {
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if rec.Code != 500 || strings.Contains(rec.Body.String(), "boom") || rec.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if !strings.Contains(f.log.String(), "boom "+marker) {
		t.Error("the panic is not in the log")
	}
}

// A request that announces a body and never sends it holds no connection of the operations port.
func TestOperationsPortTakesNoBodies(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- f.server.ServeOps(ctx, l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
	must(t, err)
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	text, err := io.ReadAll(conn)
	if timeout, is := err.(net.Error); is && timeout.Timeout() || !strings.HasPrefix(string(text), "HTTP/1.1 400 ") {
		t.Errorf("%q, %v, want 400 and the end", text, err)
	}
	stop()
	must(t, <-done)
}
