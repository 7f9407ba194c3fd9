package web

import (
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// A destination that one client uses with a PROXY header is closed to others without one, and the other way round, by
// whatever name: its server would take the header that a client writes itself for one of ours.
func TestPROXYHeadersOfOthersCannotBeForged(t *testing.T) {
	zone, resolver := newZone(t)
	zone.set("10.0.0.1")
	f := start(t, func(c *control.Config) { c.Resolver, c.NamesInterval = resolver, 50*time.Millisecond })
	owner, stranger := f.signUp("owner"), f.signUp("stranger")
	create := func(c *tenant, dest, proxy string) answer {
		c.Helper()
		return c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"`+dest+`"}],"proxyProtocol":`+proxy+`}`)
	}
	closed := func(what string, a answer) {
		t.Helper()
		if a.status != 422 || !strings.Contains(a.body, `"body.routes[0].dest"`) || !strings.Contains(a.body, "This server does not allow that address.") {
			t.Errorf("%s: %d %s, want it closed", what, a.status, a.body)
		}
	}
	open := func(what string, a answer) string {
		t.Helper()
		if a.status/100 != 2 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
			return ""
		}
		id, _ := a.object(t)["uuid"].(string)
		return id
	}
	open("the owner", create(owner, "10.0.0.1:5432", "2"))
	closed("without a header", create(stranger, "10.0.0.1:5432", "0"))
	closed("without a header, by name", create(stranger, "db.test:5432", "0"))
	closed("without a header, as IPv6", create(stranger, "[::ffff:10.0.0.1]:5432", "0"))
	open("another port", create(stranger, "10.0.0.1:5433", "0"))
	with := open("with a header", create(stranger, "10.0.0.1:5432", "1"))
	path := "/api/v1/client/frontend/" + with
	closed("no header any more", stranger.call("PATCH", path, `{"proxyProtocol":0}`))
	open("another option", stranger.call("PATCH", path, `{"queueLimit":7}`))

	open("plain", create(stranger, "10.0.0.2:80", "0"))
	closed("with a header where another sends none", create(owner, "10.0.0.2:80", "2"))
	for _, item := range stranger.call("GET", "/api/v1/client/frontend", "").object(t)["items"].([]any) {
		wantStatus(t, stranger.call("DELETE", "/api/v1/client/frontend/"+item.(map[string]any)["uuid"].(string), ""), 204)
	}
	open("after the other is gone", create(owner, "10.0.0.2:80", "2"))
}
