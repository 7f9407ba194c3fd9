package web

import (
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// inOrder tells whether the texts occur in this order.
func inOrder(body string, texts ...string) bool {
	for _, text := range texts {
		_, rest, found := strings.Cut(body, text)
		if !found {
			return false
		}
		body = rest
	}
	return true
}

// The lists of frontends have the worst first, and are narrowed and put in order by their address.
func TestFrontendsAreFilteredAndSorted(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	down := c.frontend("127.0.0.1:1")
	quiet := c.frontend("10.0.0.1:80")
	off := c.frontend("10.0.0.2:80")
	for id, change := range map[string]string{down: `{"name":"zulu"}`, quiet: `{"name":"alpha"}`, off: `{"name":"mike","active":false}`} {
		if a := c.call("PATCH", "/api/v1/client/frontend/"+id, change); a.status != 200 {
			t.Fatalf("%d %s, want 200", a.status, a.body)
		}
	}
	cert, serial := c.identity(down, "laptop")
	f.echo(f.balance(), clientOf(cert)) // nothing listens there
	c.becomes(down, "127.0.0.1:1", "down")
	link := func(id string) string { return `href="/frontends/` + id + `">` }
	for address, order := range map[string][]string{
		"/frontends":               {link(down), link(quiet), link(off)},
		"/":                        {link(down), link(quiet), link(off)},
		"/frontends?sort=name":     {link(quiet), link(off), link(down)},
		"/frontends?sort=-name":    {link(down), link(off), link(quiet)},
		"/frontends?sort=nonsense": {link(down), link(quiet), link(off)},
	} {
		if body := f.do("GET", address, nil, "Cookie", cookie).body; !inOrder(body, order...) {
			t.Errorf("%s is not in the order that it should be in", address)
		}
	}
	for address, want := range map[string]string{
		"/frontends?state=problems": down, "/frontends?state=off": off, "/?state=off": off, "/frontends?state=unused": quiet,
		"/frontends?q=" + serial: down, "/frontends?q=" + strings.ToUpper(serial): down, "/frontends?q=" + serial[:6]: down, "/frontends?q=alpha": quiet, "/frontends?q=10.0.0.2": off,
	} {
		table := f.do("GET", address, nil, "Cookie", cookie).body
		_, table, _ = strings.Cut(table, `id="frontend-table"`)
		table, _, _ = strings.Cut(table, "</table>")
		for _, id := range []string{down, quiet, off} {
			if found := strings.Contains(table, link(id)); found != (id == want) {
				t.Errorf("%s: %s is listed %v, want only %s", address, id, found, want)
			}
		}
	}
	if body := f.do("GET", "/frontends?state=problems&q=alpha", nil, "Cookie", cookie).body; !strings.Contains(body, "No frontend matches “alpha”.") {
		t.Error("what nothing fits does not say so")
	}
	if body := f.do("GET", "/frontends", nil, "Cookie", cookie).body; !strings.Contains(body, `Problems <span class="num">1</span>`) || !strings.Contains(body, `Off <span class="num">1</span>`) {
		t.Error("the states are not counted")
	}
}

func TestCertificatesAreFilteredAndSorted(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend(echoes(t))
	used, first := c.identity(id, "used")
	_, second := c.identity(id, "revoked one")
	c.revoke(id, second, "")
	p := f.connect(f.balance(), used)
	defer p.Close()
	for _, path := range []string{"/certificates", "/frontends/" + id + "/certificates"} {
		body := f.do("GET", path, nil, "Cookie", cookie).body
		for _, want := range []string{"now, 1 connection", "not since XLB started", `Active <span class="num">1</span>`, `Revoked <span class="num">1</span>`, "Last used"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		if !inOrder(body, `data-key="`+first, `data-key="`+second) {
			t.Errorf("%s: the one in force is not before the one that was revoked", path)
		}
		for query, want := range map[string]string{"state=revoked": second, "q=used": first, "q=" + second: second, "state=active": first} {
			body := f.do("GET", path+"?"+query, nil, "Cookie", cookie).body
			for _, serial := range []string{first, second} {
				if listed := strings.Contains(body, `data-key="`+serial); listed != (serial == want) {
					t.Errorf("%s?%s: %s is listed %v, want only %s", path, query, serial, listed, want)
				}
			}
		}
	}
	if body := f.do("GET", "/certificates", nil, "Cookie", cookie).body; !strings.Contains(body, `href="/api/v1/ca.pem"`) {
		t.Error("there is no link to ca.pem")
	}
}

// The overview says who still comes with a revoked certificate, what is nearly full, what expires next and what was changed.
func TestOverviewSaysWhatToSeeTo(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	address := f.balance()
	id := c.frontend(echoes(t))
	cert, _ := c.identity(id, "good")
	old, serial := c.identity(id, "old laptop")
	c.revoke(id, serial, "")
	for range 2 {
		f.echo(address, clientOf(old))
	}
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"maxConnections":1}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	p := f.connect(address, cert)
	defer p.Close()
	var body string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !strings.Contains(body, "2 revoked"); time.Sleep(10 * time.Millisecond) {
		body = f.do("GET", "/", nil, "Cookie", cookie).body // the last one may still be on its way
	}
	for _, want := range []string{
		"2 handshakes refused in the last hour with the revoked certificate “old laptop”.", "See who", "1 of 1 connections are in use.", "See limits",
		"Refused, last hour", "2 revoked, 0 others", "Certificates that expire next", ">good</a>", "Recent changes", "created",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
}

// Limits of the client are in the overview before what is more is refused.
func TestOverviewSaysWhichLimitsAreNear(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.Frontends, c.Limits.Certificates = 10, 2 })
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80")
	says := func() string { return f.do("GET", "/", nil, "Cookie", cookie).body }
	for range 7 {
		c.frontend("10.0.0.1:80")
	}
	c.identity(id, "one")
	if strings.Contains(says(), "ask your administrator") {
		t.Error("with 8 of 10 frontends and 1 of 2 certificates the overview speaks of limits")
	}
	c.frontend("10.0.0.1:80")
	c.identity(id, "two")
	body := says()
	for _, want := range []string{"9 of 10 are used.", "2 of 2 are used.", "Certificates in force", `href="/account#limits-h"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
}
