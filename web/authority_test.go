package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

// The administrator rolls the authority over with the buttons of a page, which says what hangs on which.
func TestAuthoritiesPage(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root := f.administrator()
	c := f.signUp("tenant")
	c.identity(c.frontend("10.0.0.1:80"), "x")
	cookie := f.cookieOf(root)
	page := func() string { return f.do("GET", "/admin/authorities", nil, "Cookie", cookie).body }
	does := func(path, form, notice string) {
		t.Helper()
		a := f.postForm(path, form, "Cookie", cookie)
		if shown := f.follow(a, cookie); a.status != 303 || !strings.Contains(shown.body, notice) {
			t.Errorf("%s: %d %s, want a page that says %q", form, a.status, a.body, notice)
		}
	}
	first := regexp.MustCompile(`data-key="([0-9a-f]{16})"`).FindStringSubmatch(page())
	if first == nil || !strings.Contains(page(), "1 good certificate of it") {
		t.Fatalf("the page: %s", page())
	}
	old := "/admin/authorities/" + first[1]
	does("/admin/authorities", "", "The next authority is there.")
	if strings.Contains(page(), "New authority") {
		t.Error("a second one may be added")
	}
	if a := f.postForm("/admin/authorities", "", "Cookie", cookie); a.status != 409 || !strings.Contains(a.body, "There is a next authority already.") {
		t.Errorf("a second one: %d", a.status)
	}
	next := ""
	for _, found := range regexp.MustCompile(`action="(/admin/authorities/[0-9a-f]{16})"`).FindAllStringSubmatch(page(), -1) {
		if found[1] != old {
			next = found[1]
		}
	}
	does(next, "do=use", "It issues now.")
	does(old, "do=use", "It issues now.")
	does(next, "do=use", "It issues now.")
	if a := f.postForm(old, "do=retire", "Cookie", cookie); a.status != 409 || !strings.Contains(a.body, "1 certificate of it is good, the last until") || !strings.Contains(a.body, "required") {
		t.Errorf("retire: %d %s", a.status, a.body)
	}
	does(old, "do=retire&anyway=yes", "It is retired.")
	does(old, "do=trust", "It is trusted again.")
	does(old, "do=retire&anyway=yes", "It is retired.")
	if a := f.postForm(old, "do=remove", "Cookie", cookie); a.status != 409 || !strings.Contains(a.body, "are on record") {
		t.Errorf("remove: %d", a.status)
	}
	if a := f.postForm(old, "do=explode", "Cookie", cookie); a.status != 422 {
		t.Errorf("nonsense: %d, want 422", a.status)
	}
	does("/admin/authorities", "", "The next authority is there.")
	unused := regexp.MustCompile(`id="remove-([0-9a-f]{16})"`).FindAllStringSubmatch(page(), -1)
	does("/admin/authorities/"+unused[len(unused)-1][1], "do=remove", "It is removed")
	certificates := f.do("GET", "/certificates", nil, "Cookie", f.cookieOf(c)).body
	if !strings.Contains(certificates, "Authority retired") {
		t.Error("its client does not see that the certificate opens nothing")
	}
}

// The same by the API, which says what is wrong with a request.
func TestAuthoritiesOfTheAPI(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root := f.administrator()
	list := root.call("GET", "/api/v1/admin/authorities", "")
	items := list.object(t)["items"].([]any)
	first := items[0].(map[string]any)
	if len(items) != 1 || first["state"] != "current" || first["servers"] != true || first["lastExpiresAt"] != nil {
		t.Fatalf("the list: %s", list.body)
	}
	made := root.call("POST", "/api/v1/admin/authorities", "")
	id := made.object(t)["id"].(string)
	if made.status != 201 || made.header.Get("Location") != "/api/v1/admin/authorities/"+id || made.object(t)["name"] != "CN=ca_xlb,OU="+id {
		t.Errorf("made: %d %s", made.status, made.body)
	}
	one := "/api/v1/admin/authorities/" + id
	if a := root.call("PATCH", one, `{"state":"current"}`); a.status != 200 || a.object(t)["state"] != "current" {
		t.Errorf("use: %d %s", a.status, a.body)
	}
	for _, tc := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"PATCH", one, `{"state":"next"}`, 422, "body.state"},
		{"PATCH", one, `{}`, 422, "body.state"},
		{"PATCH", one, `{"state":"retired"}`, 409, "Use another one first"},
		{"PATCH", "/api/v1/admin/authorities/0123456789abcdef", `{"state":"current"}`, 404, ""},
		{"PATCH", "/api/v1/admin/authorities/x", `{"state":"current"}`, 422, "path.id"},
		{"DELETE", one, "", 409, "in use"},
		{"GET", "/api/v1/crl/0123456789abcdef", "", 404, ""},
	} {
		if a := root.call(tc.method, tc.path, tc.body); a.status != tc.status || !strings.Contains(a.body, tc.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", tc.method, tc.path, tc.body, a.status, a.body, tc.status, tc.says)
		}
	}
	if a := f.do("GET", "/api/v1/ca.pem", nil); strings.Count(a.body, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("ca.pem: %s", a.body)
	}
	if a := f.do("GET", "/api/v1/crl/"+url.PathEscape(first["id"].(string)), nil); a.status != 200 || a.header.Get("Content-Type") != "application/pkix-crl" {
		t.Errorf("the list of the old one: %d", a.status)
	}
}
