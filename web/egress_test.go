package web

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/egress"
)

// In local mode whoever comes through a forwarder is a stranger, whatever address the forwarder has: no sign-up, and no
// routes to this machine.
func TestForwardedRequestsAreNotLocal(t *testing.T) {
	f := start(t)
	c := f.signUp("local")
	dest := echoes(t)
	route := `{"routes":[{"dest":"` + dest + `"}]}`
	for _, headers := range [][]string{
		{"X-Forwarded-For", "203.0.113.7"}, {"Forwarded", "for=203.0.113.7"}, {"X-Real-Ip", "203.0.113.7"}, {"Via", "1.1 proxy"}, {"Host", "xlb.example.com"},
	} {
		with := append([]string{"Content-Type", "application/json"}, headers...)
		if a := f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"stranger"}`), with...); a.status != 403 {
			t.Errorf("%v: a sign-up: %d %s, want 403", headers, a.status, a.body)
		}
		if a := f.do("GET", "/signup", nil, headers...); !strings.Contains(a.body, "closed") {
			t.Errorf("%v: the page takes sign-ups", headers)
		}
		if a := c.call("POST", "/api/v1/client/frontend", route, headers...); a.status != 422 || !strings.Contains(a.body, "does not allow that address") {
			t.Errorf("%v: a route to this machine: %d %s", headers, a.status, a.body)
		}
		if a := f.postForm("/frontends/check-route", "dest="+dest, append([]string{"Cookie", f.cookieOf(c)}, headers...)...); strings.Contains(a.body, "nswers") {
			t.Errorf("%v: a check of this machine: %d %s", headers, a.status, a.body)
		}
		if a := c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.1:80"}]}`, headers...); a.status != 201 {
			t.Errorf("%v: a route elsewhere: %d %s, want 201", headers, a.status, a.body)
		}
	}
	for _, host := range []string{"localhost:8083", "127.0.0.1", "[::1]:8083", "LOCALHOST.", "xlb.localhost"} {
		if a := c.call("POST", "/api/v1/client/frontend", route, "Host", host); a.status != 201 {
			t.Errorf("asked for %s: %d %s, want 201", host, a.status, a.body)
		}
	}
}

// Outside of local mode nobody saves routes to metadata of clouds, to special-purpose networks or to this machine.
func TestRoutesThatAreNotAllowed(t *testing.T) {
	f := start(t, func(c *control.Config) {
		c.Local, c.SetupCode = false, "let-me-in"
		c.Egress.Permit = []egress.Rule{{Network: netip.MustParsePrefix("100.64.7.0/24")}}
	})
	root := f.administrator()
	for dest, want := range map[string]int{
		"[fd00:ec2::254]:80": 422, "[fd20:ce::254]:80": 422, "100.100.100.200:80": 422, "168.63.129.16:80": 422, "192.0.0.192:80": 422,
		"240.0.0.1:80": 422, "100.64.0.1:80": 422, "169.254.169.254:80": 422, "127.0.0.1:80": 422, "[64:ff9b::a9fe:a9fe]:80": 422,
		"100.64.7.1:80": 201, "10.0.0.1:80": 201, "172.16.0.1:80": 201, "192.168.0.1:80": 201, "[fd00::1]:80": 201, "9.9.9.9:443": 201,
	} {
		if a := root.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"`+dest+`"}]}`); a.status != want {
			t.Errorf("%s: %d %s, want %d", dest, a.status, a.body, want)
		}
	}
}

// A client may name so many destinations in an hour that none of its routes has, and be told when the next one may come.
func TestNewDestinationsHaveARate(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.NewDestinationsPerHour = 20 })
	c, other := f.signUp("testuser"), f.signUp("other")
	routes := func(from, to int) string {
		var all []string
		for i := from; i < to; i++ {
			all = append(all, fmt.Sprintf(`{"dest":"10.0.0.%d:80"}`, i))
		}
		return `{"routes":[` + strings.Join(all, ",") + `]}`
	}
	a := c.call("POST", "/api/v1/client/frontend", routes(1, 16))
	path := "/api/v1/client/frontend/" + a.object(t)["uuid"].(string)
	for _, step := range []struct {
		what, method, path, body string
		want                     int
	}{
		{"those that it has", "POST", "/api/v1/client/frontend", routes(1, 16), 201},
		{"those that it has, in a change", "PATCH", path, routes(2, 16), 200},
		{"six more", "PATCH", path, routes(1, 22), 429},
		{"five more", "PATCH", path, routes(1, 21), 200},
		{"one more", "POST", "/api/v1/client/frontend", routes(30, 31), 429},
		{"more than there can be", "POST", "/api/v1/client/frontend", routes(100, 130), 429},
	} {
		if a := c.call(step.method, step.path, step.body); a.status != step.want || (a.status == 429) != (a.header.Get("Retry-After") != "") {
			t.Errorf("%s: %d %s, want %d", step.what, a.status, a.body, step.want)
		}
	}
	if a := other.call("POST", "/api/v1/client/frontend", routes(1, 20)); a.status != 201 {
		t.Errorf("another client: %d %s, want 201", a.status, a.body)
	}
	cookie := f.cookieOf(c)
	tried := 0
	for i := range 25 {
		a := f.postForm("/frontends/check-route", fmt.Sprintf("dest=127.0.0.1:%d", 60000+i), "Cookie", cookie)
		if a.status == 429 || strings.Contains(a.body, "new destinations") {
			break
		}
		tried++
	}
	if tried != 20 {
		t.Errorf("%d destinations were tried, want 20", tried)
	}
}
