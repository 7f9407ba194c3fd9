package web

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

// The administrator finds, narrows down and changes clients, invites others, and sees how the server does; nobody else does.
func TestAdminPage(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root := f.administrator()
	cookie := f.cookieOf(root)
	get := func(path string) string { return f.do("GET", path, nil, "Cookie", cookie).body }
	post := func(path string, form url.Values) answer { return f.postForm(path, form.Encode(), "Cookie", cookie) }
	c := f.signUp("acme-platform")
	for i := range 60 {
		f.signUp(fmt.Sprintf("client-%02d", i))
	}
	c.frontend("10.0.0.1:80")

	own := f.do("GET", "/admin", nil, "Cookie", f.cookieOf(c))
	if own.status != 403 || !strings.Contains(own.body, "Only the administrator may do that.") {
		t.Errorf("a client that is none: %d", own.status)
	}
	if page := f.do("GET", "/", nil, "Cookie", f.cookieOf(c)).body; strings.Contains(page, `href="/admin"`) {
		t.Error("a client that is none has a link to it")
	}
	if a := f.postForm("/admin/clients/"+root.uuid, "do=disable", "Cookie", f.cookieOf(c)); a.status != 403 {
		t.Errorf("a client that is none disables another: %d", a.status)
	}
	first := get("/admin")
	for _, want := range []string{"ca_xlb", `href="/admin/clients/` + root.uuid, "1 to 50 of 62 clients", "Administrator", "None waits to be used."} {
		if !strings.Contains(first, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if page := get("/admin?q=ACME"); !strings.Contains(page, c.uuid) || strings.Contains(page, root.uuid) {
		t.Error("the search does not narrow it down")
	}
	if page := get("/admin?sort=frontends"); strings.Index(page, c.uuid) > strings.Index(page, root.uuid) || !strings.Contains(page, `aria-sort="descending"`) {
		t.Error("the one with a frontend does not come first")
	}
	if a := f.do("GET", "/admin?sort=nonsense", nil, "Cookie", cookie); a.status != 422 {
		t.Errorf("an unknown order: %d, want 422", a.status)
	}

	one := "/admin/clients/" + c.uuid
	does := func(do, says string) {
		t.Helper()
		a := post(one, url.Values{"do": {do}})
		if a.status != 303 || !strings.Contains(f.follow(a, cookie).body, says) {
			t.Errorf("%s: %d to %s, which does not say %q", do, a.status, a.header.Get("Location"), says)
		}
	}
	does("disable", "The client is disabled, and its connections are closed.")
	if a := f.tokenFor(c.uuid, c.key); a.status != 403 {
		t.Errorf("disabled: %d, want 403", a.status)
	}
	if page := get("/admin?only=disabled"); !strings.Contains(page, c.uuid) || strings.Contains(page, root.uuid) {
		t.Error("the list of disabled clients")
	}
	does("enable", "The client may log in again.")
	does("admin", "The client is an administrator now.")
	if a := f.do("GET", "/admin", nil, "Cookie", f.cookieOf(c)); a.status != 200 {
		t.Errorf("the new administrator: %d, want 200", a.status)
	}
	does("end-sessions", "All its browsers are logged out.")
	does("unadmin", "The client is no longer an administrator.")
	if a := post("/admin/clients/"+root.uuid, url.Values{"do": {"unadmin"}}); a.status != 422 {
		t.Errorf("to itself: %d, want 422", a.status)
	}
	if a := post(one, url.Values{"do": {"explode"}}); a.status != 422 {
		t.Errorf("nonsense: %d, want 422", a.status)
	}

	limits := url.Values{"do": {"limits"}, "frontends": {"7"}, "connections": {"0"}, "certificates": {""}}
	if a := post(one, limits); a.status != 303 {
		t.Errorf("limits: %d %s", a.status, a.body)
	}
	if page := get(one); !strings.Contains(page, "1 used of 7 now.") || !strings.Contains(page, "0 used, no bound now.") {
		t.Error("the limits are not in force")
	}
	limits.Set("frontends", "many")
	if a := post(one, limits); a.status != 422 || !strings.Contains(a.body, "Use a whole number") || !strings.Contains(a.body, `value="many"`) {
		t.Errorf("a wrong limit: %d", a.status)
	}

	reset := post(one, url.Values{"do": {"reset"}})
	key := regexp.MustCompile(`>([0-9a-f]{64})<`).FindStringSubmatch(reset.body)
	if key == nil || f.tokenFor(c.uuid, key[1]).status != 200 || f.tokenFor(c.uuid, c.key).status != 401 {
		t.Errorf("reset: %d", reset.status)
	}
	if strings.Contains(get(one), key[1]) {
		t.Error("the key is shown twice")
	}

	made := post("/admin/invites", url.Values{})
	link := regexp.MustCompile(`>(https://[^<]+/signup\?code=[a-z2-7]+)<`).FindStringSubmatch(made.body)
	if made.status != 201 || link == nil {
		t.Fatalf("invite: %d", made.status)
	}
	_, code, _ := strings.Cut(link[1], "code=")
	if page := f.do("GET", "/signup?code="+code, nil).body; !strings.Contains(page, `value="`+code+`"`) {
		t.Error("the link does not fill the code in")
	}
	id := regexp.MustCompile(`action="/admin/invites/([0-9a-f]{64})"`).FindStringSubmatch(get("/admin"))
	if id == nil || strings.Contains(get("/admin"), code) {
		t.Fatal("the invite is not listed, or its code is")
	}
	if a := post("/admin/invites/"+id[1], url.Values{}); a.status != 303 || strings.Contains(get("/admin"), id[1]) {
		t.Errorf("take back: %d", a.status)
	}

	if a := post(one+"/delete", url.Values{"name": {"x"}}); a.status != 422 {
		t.Errorf("delete with another name: %d", a.status)
	}
	if page := get(one + "/delete"); !strings.Contains(page, "deletes 1 frontend.") {
		t.Error("the page does not say what goes")
	}
	if a := post(one+"/delete", url.Values{"name": {"acme-platform"}}); a.status != 303 || !strings.Contains(get("/admin?q=acme"), "No client fits.") {
		t.Errorf("delete: %d", a.status)
	}
}
