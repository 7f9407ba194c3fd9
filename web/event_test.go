package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdire/xlb/store"
)

// told is an event as a client receives it.
type told struct {
	id, kind string
	data     map[string]any
}

// listener is an open stream of events.
type listener struct {
	*testing.T
	events chan told // closed at the end of the stream
	close  context.CancelFunc
	last   string
}

func (f *fixture) listen(token, last string) *listener {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", f.url+"/api/v1/events", nil)
	must(f.T, err)
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	client := *f.client
	client.Timeout = 0
	resp, err := client.Do(req)
	must(f.T, err)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		f.Fatalf("%d %s, want a stream", resp.StatusCode, resp.Header)
	}
	l := &listener{T: f.T, events: make(chan told, 1000), close: cancel}
	f.Cleanup(cancel)
	go func() {
		defer resp.Body.Close()
		defer close(l.events)
		var e told
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case lines.Text() == "" && e.kind != "":
				l.events <- e
				e = told{}
			case name == "id":
				e.id = value
			case name == "event":
				e.kind = value
			case name == "data":
				json.Unmarshal([]byte(value), &e.data)
			}
		}
	}()
	return l
}

// hasRoomFor tells whether one more stream is let in.
func (f *fixture) hasRoomFor(token string) bool {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", f.url+"/api/v1/events", nil)
	must(f.T, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := f.client.Do(req)
	must(f.T, err)
	defer resp.Body.Close()
	return resp.StatusCode == 200
}

// until receives up to and with the first event that is as wanted: its kind, and fields of its data.
func (l *listener) until(kind string, fields ...string) (all []told) {
	l.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case e, open := <-l.events:
			if !open {
				l.Fatalf("the stream has ended before %s %v; it told %v", kind, fields, all)
			}
			all = append(all, e)
			if e.id != "" {
				l.last = e.id
			}
			if e.kind == kind && e.has(fields) {
				return all
			}
		case <-deadline:
			l.Fatalf("no %s %v within 10 s; it told %v", kind, fields, all)
		}
	}
}

func (e told) has(fields []string) bool {
	for i := 0; i < len(fields); i += 2 {
		if fmt.Sprint(e.data[fields[i]]) != fields[i+1] {
			return false
		}
	}
	return true
}

// A stream tells how everything is and then what happens, and goes on where it was broken off.
func TestEventsTellWhatHappens(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c := f.signUp("testuser")
	down := c.frontend("127.0.0.1:1")
	s := f.listen(c.token, "")
	first := s.until("ready")
	if len(first) != 3 || first[0].kind != "frontend.state" || first[0].data["frontend"] != down || first[0].data["state"] != "waiting" || first[1].kind != "route.state" || first[0].id != "" {
		t.Errorf("it begins with %v", first)
	}
	id := c.frontend("127.0.0.1:1")
	s.until("frontend.created", "frontend", id)
	s.until("frontend.state", "frontend", id, "state", "waiting")
	path := "/api/v1/client/frontend/" + id
	wantStatus(t, c.call("PATCH", path, `{"name":"orders","check":{"kind":"tcp","intervalSec":1,"timeoutSec":1,"fall":1,"rise":1}}`), 200)
	s.until("frontend.changed", "frontend", id, "name", "orders")
	s.until("route.state", "frontend", id, "state", "down", "reason", "route-refused", "route", "127.0.0.1:1")
	_, serial := c.identity(id, "program")
	s.until("certificate.issued", "serial", serial, "name", "program", "frontend", id)
	wantStatus(t, c.call("DELETE", path+"/certificates/"+serial+"?reason=superseded", ""), 200)
	s.until("certificate.revoked", "serial", serial, "reason", "superseded")
	s.close()

	// What happens while nobody listens is told to who comes back.
	wantStatus(t, c.call("DELETE", path, ""), 204)
	third := c.frontend("127.0.0.1:1")
	s = f.listen(c.token, s.last)
	missed := s.until("frontend.created", "frontend", third)
	if missed[0].kind != "frontend.deleted" || missed[0].data["frontend"] != id {
		t.Errorf("after coming back it tells %v, want first what was missed", missed)
	}
	for _, strange := range []string{"AAAAAAAAAA-1", "nonsense", s.last[:11] + "999999"} {
		again := f.listen(c.token, strange)
		if all := again.until("ready"); len(all) != 5 {
			t.Errorf("after the unknown id %q: %v, want how everything is", strange, all)
		}
		again.close()
	}
	other := f.signUp("other")
	if all := f.listen(other.token, "").until("ready"); len(all) != 1 {
		t.Errorf("another client is told %v", all)
	}
	// A state of a limit.
	_, err := f.store.UpdateClient(t.Context(), c.uuid, func(r *store.Client) error {
		r.Limits = map[string]int{"frontends": 3}
		return nil
	})
	must(t, err)
	s.until("client.changed")
	c.frontend("127.0.0.1:1")
	s.until("limit", "limit", "frontends", "state", "near", "max", "3")
	wantStatus(t, c.call("DELETE", "/api/v1/client/frontend/"+third, ""), 204)
	s.until("limit", "limit", "frontends", "state", "free")
}

// There are so many streams and no more, without a body, and each ends with its credential.
func TestEventStreamsHaveBounds(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c := f.signUp("testuser")
	first := f.listen(c.token, "")
	first.until("ready")
	open := []*listener{first}
	for range 7 {
		s := f.listen(c.token, "")
		s.until("ready")
		open = append(open, s)
	}
	a := c.call("GET", "/api/v1/events", "x")
	if a.status != 400 {
		t.Errorf("with a body: %d %s, want 400", a.status, a.body)
	}
	ninth := f.do("GET", "/api/v1/events", nil, "Authorization", "Bearer "+c.token)
	if ninth.status != 429 || ninth.header.Get("Retry-After") == "" {
		t.Errorf("the ninth: %d %s, want 429", ninth.status, ninth.body)
	}
	open[7].close()
	deadline := time.Now().Add(5 * time.Second)
	for {
		resp, err := f.try("HEAD", "/api/v1/events", nil, "Authorization", "Bearer "+c.token)
		must(t, err)
		if resp.status != 405 {
			t.Fatalf("HEAD: %d, want 405", resp.status)
		}
		probe, err := f.try("GET", "/api/v1/events", nil, "Authorization", "Bearer "+c.token, "Last-Event-ID", strings.Repeat("x", 65))
		must(t, err)
		if probe.status != 422 {
			t.Fatalf("an id that is too long: %d, want 422", probe.status)
		}
		if f.hasRoomFor(c.token) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a stream that was closed keeps its place")
		}
		time.Sleep(20 * time.Millisecond)
	}
	wantStatus(t, f.do("GET", "/api/v1/events", nil), 401)

	key := c.call("POST", "/api/v1/client/keys", `{"name":"x","scope":"read"}`).object(t)
	open[6].close()
	open[5].close()
	time.Sleep(100 * time.Millisecond)
	byKey := f.listen(key["key"].(string), "")
	byKey.until("ready")
	wantStatus(t, c.call("DELETE", "/api/v1/client/keys/"+key["id"].(string), ""), 204)
	byKey.until("end")
	wantStatus(t, c.call("DELETE", "/api/v1/client/tokens", ""), 204)
	first.until("end")
	if _, still := <-first.events; still {
		t.Error("the stream goes on after its end")
	}
}

// An API key that is bound to a frontend is told about nothing else.
func TestEventsOfABoundKey(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c := f.signUp("testuser")
	own, other := c.frontend("127.0.0.1:1"), c.frontend("127.0.0.1:1")
	key := c.call("POST", "/api/v1/client/keys", `{"name":"x","scope":"read","frontends":["`+own+`"]}`).object(t)["key"].(string)
	s := f.listen(key, "")
	seen := s.until("ready")
	c.call("PATCH", "/api/v1/client/frontend/"+other, `{"name":"other"}`)
	c.call("PATCH", "/api/v1/client", `{"name":"x"}`, "If-Match", "*")
	c.call("PATCH", "/api/v1/client/frontend/"+own, `{"name":"own"}`)
	seen = append(seen, s.until("frontend.changed", "name", "own")...)
	for _, e := range seen {
		if e.kind != "ready" && e.data["frontend"] != own {
			t.Errorf("it is told %v", e)
		}
	}
}

// The script in the documentation waits until a route is up.
func TestDocumentedScriptWaitsForARoute(t *testing.T) {
	t.Parallel() // it waits most of the time
	text, err := os.ReadFile("../docs/api.md")
	must(t, err)
	_, rest, found := strings.Cut(string(text), "A script that waits until a route is up")
	_, rest, opened := strings.Cut(rest, "```sh\n")
	script, _, closed := strings.Cut(rest, "```")
	if !found || !opened || !closed {
		t.Fatal("there is no such script")
	}
	f := start(t)
	c := f.signUp("testuser")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	route := l.Addr().String()
	must(t, l.Close())
	wantStatus(t, c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"`+route+`"}],"check":{"kind":"tcp","intervalSec":1,"timeoutSec":1,"rise":1,"fall":1}}`), 201)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), f.control.AuthorityPEM(), 0o600))
	cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(script, "https://localhost:8083", f.url))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ROUTE="+route, "TOKEN="+c.token)
	cmd.WaitDelay = time.Second // curl notices only at its next line that nobody reads
	done := make(chan string, 1)
	go func() {
		out, err := cmd.CombinedOutput()
		done <- fmt.Sprintf("%s %v", out, err)
	}()
	select {
	case out := <-done:
		t.Fatalf("it did not wait: %s", out)
	case <-time.After(2 * time.Second):
	}
	l, err = net.Listen("tcp", route)
	must(t, err)
	serveEcho(t, l)
	select {
	case out := <-done:
		if !strings.Contains(out, `"state":"up"`) || !strings.HasSuffix(out, "<nil>") && !strings.HasSuffix(out, exec.ErrWaitDelay.Error()) {
			t.Errorf("got %s", out)
		}
	case <-time.After(15 * time.Second):
		t.Error("the route is up, and it waits still")
	}
}

// Who is not logged in holds no connection by asking for a stream and never sending the body.
func TestStreamsOfStrangersEnd(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	for _, path := range []string{"/events", "/api/v1/events"} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), &tls.Config{InsecureSkipVerify: true})
		must(t, err)
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", path)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		all := bufio.NewReader(conn)
		status, err := all.ReadString('\n')
		if err != nil || !strings.Contains(status, " 401 ") {
			t.Errorf("%s: %q %v, want 401", path, status, err)
			continue
		}
		if _, err := io.Copy(io.Discard, all); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the connection is still open after 5 s: %v", path, err)
		}
	}
}
