package web

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// What was turned away is kept for its owner, with the reason, and for nobody else.
func TestRefusedAreListedForTheirOwner(t *testing.T) {
	f := start(t)
	c, stranger, address := f.signUp("testuser"), f.signUp("stranger"), f.balance()
	id := c.frontend("127.0.0.1:1")
	cert, serial := c.identity(id, "program")
	path := "/api/v1/client/frontend/" + id + "/refused"
	var items []any
	wait := func(n int, count float64) { // the last one may still be on its way
		for deadline := time.Now().Add(dialTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if items = c.call("GET", path, "").object(t)["items"].([]any); len(items) == n && items[0].(map[string]any)["count"] == count {
				return
			}
		}
	}
	f.echo(address, clientOf(cert)) // let in, but nothing listens there
	wait(1, 1)
	c.revoke(id, serial, "")
	for range 3 {
		f.echo(address, clientOf(cert))
	}
	wait(2, 3)
	if len(items) != 2 {
		t.Fatalf("got %v, want 2", items)
	}
	first, second := items[0].(map[string]any), items[1].(map[string]any)
	if first["reason"] != "revoked" || first["count"] != 3.0 || first["serial"] != serial || first["name"] != "program" || first["source"] == "" || second["reason"] != "route-refused" || second["route"] != "127.0.0.1:1" {
		t.Errorf("got %v, want revoked three times, then route-refused once", items)
	}
	if only := c.call("GET", path+"?reason=revoked&limit=1", "").object(t)["items"].([]any); len(only) != 1 {
		t.Errorf("got %v, want 1", only)
	}
	if newest := c.call("GET", path+"?limit=1", "").object(t)["items"].([]any); len(newest) != 1 || newest[0].(map[string]any)["reason"] != "revoked" {
		t.Errorf("the newest one is not first: %v", newest)
	}
	if none := c.call("GET", path+"?reason=idle", "").object(t)["items"].([]any); len(none) != 0 {
		t.Errorf("got %v, want none", none)
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=x"} {
		wantProblem(t, c.call("GET", path+"?"+query, ""), 422, "query.limit")
	}
	for _, query := range []string{"reason=" + marker, "reason=Revoked", "reason=" + strings.Repeat("x", 100)} {
		wantProblem(t, c.call("GET", path+"?"+query, ""), 422, "query.reason")
	}
	missing := "/api/v1/client/frontend/0198a1f2-0000-7000-8000-000000000000/refused"
	page := "/frontends/" + id + "/refused"
	all := f.do("GET", page, nil, "Cookie", f.cookieOf(c)).body
	for _, want := range []string{"Why programs were turned away", "<b>3</b><small>Certificate revoked</small>", "3 times since", "Nothing listens on 127.0.0.1:1", `Refused <span class="num">4</span>`} {
		if !strings.Contains(all, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if only := f.do("GET", page+"?reason=revoked&range=24h", nil, "Cookie", f.cookieOf(c)).body; strings.Contains(only, "Nothing listens on") || !strings.Contains(only, "3 times since") {
		t.Error("the page of one reason shows another, or not this one")
	}
	if none := f.do("GET", page+"?reason=idle", nil, "Cookie", f.cookieOf(c)).body; !strings.Contains(none, "Nobody was turned away in this time.") {
		t.Error("the page of a reason that never occurred does not say so")
	}
	if a := f.do("GET", page, nil, "Cookie", f.cookieOf(stranger)); a.status != 404 {
		t.Errorf("another client sees the page: %d, want 404", a.status)
	}
	foreign, none := stranger.call("GET", path, "", "X-Request-Id", "r"), stranger.call("GET", missing, "", "X-Request-Id", "r")
	if foreign.status != 404 || foreign.body != none.body {
		t.Errorf("another client's: %d %s, want what a missing one gets: %s", foreign.status, foreign.body, none.body)
	}
}

// Whoever has no certificate of a client is in the log and in a counter, and in nobody's list.
func TestRefusalsOfNobodyAreInNoList(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	w := &ways{c, f.balance()}
	id := c.frontend("127.0.0.1:1")
	const strangers = 5
	for range strangers {
		w.line("other-ca", w.knock(w.foreign()))
	}
	f.eventually(scrape{series("handshakes_refused_total", "owner=nobody", "reason=other-ca"): strangers})
	if items := c.call("GET", "/api/v1/client/frontend/"+id+"/refused", "").object(t)["items"].([]any); len(items) != 0 {
		t.Errorf("a client is told about connections that are not its own: %v", items)
	}
}

// The page that waits for the first connection hears at once of one that was turned away though it is nobody's, when it
// comes from its reader's own address, and of no other.
func TestRefusalsOfNobodyAreHeardAtOnce(t *testing.T) {
	f := start(t)
	address := f.balance()
	c := f.signUp("testuser")
	hears := func(from string) bool {
		t.Helper()
		ctx := control.WithActor(t.Context(), control.Actor{ClientID: c.uuid, Via: "page", Address: netip.MustParseAddr(from)})
		marks, end, err := f.control.Changes(ctx)
		must(t, err)
		defer end()
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err == nil { // TLS 1.3: the client has done before it hears that its certificate is missing
			conn.Read(make([]byte, 1))
			conn.Close()
		}
		select {
		case <-marks:
			return true
		case <-time.After(time.Second):
			return false
		}
	}
	if !hears("127.0.0.1") {
		t.Error("a refusal from the reader's address is not heard within a second")
	}
	if hears("192.0.2.7") {
		t.Error("a refusal from another address is heard")
	}
}
