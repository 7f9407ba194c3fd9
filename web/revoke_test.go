package web

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// revoke revokes a certificate and returns the answer.
func (c *tenant) revoke(frontend, serial, query string) map[string]any {
	c.Helper()
	a := c.call("DELETE", "/api/v1/client/frontend/"+frontend+"/certificates/"+serial+query, "")
	if a.status != 200 {
		c.Fatalf("revoke: %d %s", a.status, a.body)
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

// With many live connections, a revocation closes them within a second, and nobody comes in after it.
func TestRevocationClosesAndRefuses(t *testing.T) {
	const live, tries = 1000, 200
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "lost")
	other, _ := c.identity(id, "good")
	cfg := func(one tls.Certificate) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{one}, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	}
	again := cfg(cert)
	for i := range 2 {
		if resumed, err := f.echo(address, again); err != nil || resumed != (i == 1) {
			t.Fatalf("connection %d: resumed is %v, %v", i, resumed, err)
		}
	}
	programs := make([]program, live)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := w; i < live; i += 8 {
				programs[i] = f.connect(address, cert)
			}
		})
	}
	group.Wait()
	stays := f.connect(address, other)

	done := c.revoke(id, strings.ToUpper("00"+serial), "?reason=key-compromise")
	if done["revoked"] != 1.0 || done["closed"] != float64(live) || done["tookMs"].(float64) >= 1000 {
		t.Errorf("%v, want %d connections closed in less than a second", done, live)
	}
	for i := range tries {
		if _, err := f.echo(address, again); err == nil {
			t.Fatalf("try %d after the revocation was served", i)
		}
	}
	for i, p := range programs {
		p.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := p.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Fatalf("connection %d is still open: %v", i, err)
		}
	}
	if !stays.works() {
		t.Error("the connection of another certificate was closed")
	}
	a := c.call("GET", "/api/v1/client/frontend/"+id+"/certificates/"+serial, "").object(t)
	if a["revoked"] != true || a["reason"] != "key-compromise" || a["revokedAt"] == nil {
		t.Errorf("%v", a)
	}
	if again := c.revoke(id, serial, ""); again["revoked"] != 0.0 || again["closed"] != 0.0 {
		t.Errorf("the second time: %v", again)
	}
}

func TestRevocationGivesTime(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "old")
	p := f.connect(address, cert)
	if done := c.revoke(id, serial, "?drain=1&reason=superseded"); done["closed"] != 1.0 {
		t.Errorf("%v", done)
	}
	if !p.works() {
		t.Error("the connection had no time")
	}
	if _, err := f.echo(address, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}); err == nil {
		t.Error("a new connection came in")
	}
	p.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("it is still open after its time: %v", err)
	}
}

func TestRevokeEverythingIssuedBefore(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	old, _ := c.identity(id, "one")
	c.identity(id, "two")
	time.Sleep(10 * time.Millisecond) // the clock of the records has to move
	moment := time.Now().UTC().Format(time.RFC3339Nano)
	young, _ := c.identity(id, "three")
	programs := []program{f.connect(address, old), f.connect(address, young)}
	a := c.call("DELETE", "/api/v1/client/frontend/"+id+"/certificates?issuedBefore="+moment, "")
	if done := a.object(t); a.status != 200 || done["revoked"] != 2.0 || done["closed"] != 1.0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if programs[0].works() || !programs[1].works() {
		t.Error("the old one should be closed, the young one open")
	}
}

func TestRevocationsThatAreWrong(t *testing.T) {
	f := start(t)
	c, stranger := f.signUp("testuser"), f.signUp("stranger")
	id := c.frontend("10.0.0.1:80")
	_, serial := c.identity(id, "mine")
	path := "/api/v1/client/frontend/" + id + "/certificates"
	for _, wrong := range []struct {
		url, location string
		status        int
	}{
		{path + "/" + serial + "?reason=boredom", "query.reason", 422}, {path + "/" + serial + "?drain=-1", "query.drain", 422},
		{path + "/" + serial + "?drain=86401", "query.drain", 422}, {path, "query.issuedBefore", 422},
		{path + "?issuedBefore=yesterday", "query.issuedBefore", 422}, {path + "/ffff", "", 404}, {path + "/nonsense", "", 404},
	} {
		wantProblem(t, c.call("DELETE", wrong.url, ""), wrong.status, wrong.location)
	}
	missing := stranger.call("DELETE", "/api/v1/client/frontend/"+id+"/certificates/ffff", "")
	foreign := stranger.call("DELETE", path+"/"+serial, "")
	if missing.status != 404 || foreign.status != 404 {
		t.Errorf("another client's: %d and %d", missing.status, foreign.status)
	}
	if a := c.call("GET", path+"/"+serial, "").object(t); a["revoked"] != false {
		t.Errorf("%v", a)
	}
}

// The page says what will be closed, and then what was.
func TestRevokePageWithoutScripts(t *testing.T) {
	f := start(t)
	c, stranger, address := f.signUp("testuser"), f.signUp("stranger"), f.balance()
	id := c.frontend(echoes(t))
	cert, serial := c.identity(id, "laptop")
	cookie, page := f.cookieOf(c), "/frontends/"+id+"/certificates/"+serial+"/revoke"
	programs := []program{f.connect(address, cert), f.connect(address, cert)}
	if list := f.do("GET", "/certificates", nil, "Cookie", cookie).body; !strings.Contains(list, `href="`+page+`"`) || !strings.Contains(list, "laptop") {
		t.Error("the list does not lead to it")
	}
	asked := f.do("GET", page, nil, "Cookie", cookie)
	for _, words := range []string{"Revoke “laptop”?", serial, "Close all 2 now", "Keep it"} {
		if asked.status != 200 || !strings.Contains(asked.body, words) {
			t.Errorf("%d, the page does not say %q", asked.status, words)
		}
	}
	if !programs[0].works() {
		t.Error("asking closed a connection")
	}
	for _, a := range []answer{f.do("GET", page, nil, "Cookie", f.cookieOf(stranger)), f.postForm(page, "drain=0", "Cookie", f.cookieOf(stranger))} {
		if a.status != 404 {
			t.Errorf("another client: %d", a.status)
		}
	}
	if a := f.postForm(page, "drain=0&reason=boredom", "Cookie", cookie); a.status != 422 {
		t.Errorf("a wrong reason: %d", a.status)
	}
	a := f.postForm(page, "drain=0&reason=superseded", "Cookie", cookie)
	if a.status != 303 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, p := range programs {
		p.ends(t)
	}
	after := f.do("GET", a.header.Get("Location"), nil, "Cookie", cookie).body
	if !strings.Contains(after, "Revoked. 2 connections closed in ") {
		t.Errorf("%s", after)
	}
	if strings.Contains(after, page) {
		t.Error("what is revoked can be revoked once more")
	}
}
