package abuse

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// silent opens n connections to an address and says nothing, after a TLS handshake where it is asked to. They close
// with the test.
func silent(t *testing.T, addr string, n int, with *tls.Config) {
	t.Helper()
	for i := range n {
		conn, err := from(200+i%2).Dial("tcp", addr)
		if err != nil {
			continue
		}
		t.Cleanup(func() { conn.Close() })
		if with != nil {
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			tls.Client(conn, with).Handshake() // fails where it had to give way already
			conn.SetDeadline(time.Time{})
		}
	}
}

// Connections that say nothing do not take the files that others need, however few there are.
func TestSilentConnectionsLeaveFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		limit, sockets int
		h2             bool
	}{"256 files, 400 silent sockets": {256, 400, false}, "1,024 files, 980 idle HTTP/2 connections": {1024, 980, true}} {
		t.Run(name, func(t *testing.T) {
			s := startWith(t, fmt.Sprintf("ulimit -n %d;", tc.limit))
			c := s.tenant(1, "victim")
			id := c.frontend(fmt.Sprintf(`{"routes":[{"dest":%q}]}`, echo(t)))
			cert := c.identity(id)
			cookie := c.cookie()
			var with *tls.Config
			if tc.h2 {
				with = &tls.Config{RootCAs: s.authority, ServerName: "localhost", NextProtos: []string{"h2"}}
			}
			silent(t, s.http, tc.sockets, with)
			silent(t, s.lb, tc.sockets, nil)
			fresh := s.caller(1) // with connections of its own
			if status, err := fresh.logIn(c.uuid, c.key); status != http.StatusOK || err != nil {
				t.Errorf("log-in: %d %v", status, err)
			}
			if status, _, err := fresh.ask("GET", "/api/v1/client/frontend/"+id, ""); status != http.StatusOK || err != nil {
				t.Errorf("API: %d %v", status, err)
			}
			if status, text, err := fresh.ask("GET", "/", "", "Cookie", cookie); status != http.StatusOK || err != nil || !strings.Contains(text, "overview-live") {
				t.Errorf("dashboard: %d %v", status, err)
			}
			if resp, err := http.Get("http://" + s.ops + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("health: %v", err)
			} else {
				resp.Body.Close()
			}
			fresh.hears(t, cookie)
			conn, err := s.through(1, cert)
			if err != nil {
				t.Fatalf("data plane: %v", err)
			}
			conn.Close()
		})
	}
}

// cookie logs a browser in and returns what it sends from then on.
func (c *caller) cookie() string {
	c.s.Helper()
	req, err := http.NewRequest("POST", "https://"+c.s.http+"/login", strings.NewReader("uuid="+c.uuid+"&key="+c.key))
	if err != nil {
		c.s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Transport.RoundTrip(req)
	if err != nil {
		c.s.Fatal(err)
	}
	resp.Body.Close()
	for _, one := range resp.Cookies() {
		if one.Name == "__Host-xlb" {
			return one.Name + "=" + one.Value
		}
	}
	c.s.Fatalf("log-in: %d without a session", resp.StatusCode)
	return ""
}

// hears opens an event stream and waits for its first words.
func (c *caller) hears(t *testing.T, cookie string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "https://"+c.s.http+"/events?view=overview", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	resp, err := c.http.Do(req)
	if err != nil {
		t.Errorf("event stream: %v", err)
		return
	}
	defer resp.Body.Close()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); resp.StatusCode != http.StatusOK || !strings.HasPrefix(line, "retry:") {
		t.Errorf("event stream: %d %q %v", resp.StatusCode, line, err)
	}
}

// A client that opens all connections it can get leaves files to the others, their connections and the store.
func TestConnectionsOfOneClientLeaveFiles(t *testing.T) {
	s := startWith(t, "ulimit -n 256;")
	greedy, victim := s.tenant(2, "greedy"), s.tenant(1, "victim")
	route := fmt.Sprintf(`{"routes":[{"dest":%q}]}`, echo(t))
	theirs := greedy.identity(greedy.frontend(route))
	open := 0
	for range size(120, 400) {
		if conn, err := s.through(2, theirs); err == nil {
			t.Cleanup(func() { conn.Close() })
			open++
		}
	}
	if open < 30 || open > 48 {
		t.Errorf("%d connections are open, want 36", open)
	}
	fresh := s.caller(1)
	if status, err := fresh.logIn(victim.uuid, victim.key); status != http.StatusOK || err != nil {
		t.Errorf("log-in: %d %v", status, err)
	}
	conn, err := s.through(1, fresh.identity(fresh.frontend(route)))
	if err != nil {
		t.Fatalf("data plane: %v", err)
	}
	conn.Close()
}

// through opens a connection with a certificate and sends a byte there and back.
func (s *server) through(n int, cert tls.Certificate) (net.Conn, error) {
	with := &tls.Config{RootCAs: s.authority, ServerName: "localhost", Certificates: []tls.Certificate{cert}}
	conn, err := (&tls.Dialer{NetDialer: from(n), Config: with}).Dial("tcp", s.lb)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "x")
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}
