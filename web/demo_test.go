package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

// The demo upstream is a route like any other, in local mode, for those on this machine.
func TestDemoUpstream(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	if a := f.do("GET", "/frontends/new", nil, "Cookie", cookie); !strings.Contains(a.body, "Use the demo upstream") {
		t.Error("it is not offered")
	}
	a := f.postForm("/frontends/new", url.Values{"demo": {"1"}, "name": {""}}.Encode(), "Cookie", cookie)
	id, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Location"), "/frontends/"), "/")
	if a.status != http.StatusSeeOther || id == "" {
		t.Fatalf("%d %s, want a frontend", a.status, a.body)
	}
	wantStatus(t, c.call("PATCH", "/api/v1/client/frontend/"+id, `{"check":{"kind":"http","intervalSec":1,"timeoutSec":1,"rise":1,"fall":1}}`), 200)
	c.becomes(id, control.DemoDest, "up")
	address := f.balance()
	identity, _ := c.identity(id, "x")
	f.connect(address, identity) // says hello, and hears it
	// With a PROXY header on one client's frontend, another's goes on without: there are no connections in common.
	other := f.signUp("another")
	wantStatus(t, other.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"`+control.DemoDest+`"}],"proxyProtocol":2}`), http.StatusCreated)

	elsewhere := start(t, func(c *control.Config) { c.Local, c.Signup = false, "open" })
	stranger := elsewhere.signUp("stranger")
	if a := stranger.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"`+control.DemoDest+`"}]}`); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "does not allow that address") {
		t.Errorf("outside of local mode: %d %s, want 422", a.status, a.body)
	}
	if a := elsewhere.do("GET", "/frontends/new", nil, "Cookie", elsewhere.cookieOf(stranger)); strings.Contains(a.body, "Use the demo upstream") {
		t.Error("it is offered outside of local mode")
	}
	if a := f.do("GET", "/frontends/new", nil, "Cookie", cookie, "X-Forwarded-For", "203.0.113.7"); strings.Contains(a.body, "Use the demo upstream") {
		t.Error("it is offered to somebody who is not on this machine")
	}
}
