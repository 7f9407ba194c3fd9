package web

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// What an owner decides about the client itself is done from its page: the name, the key, the end of it all.
func TestAccountPage(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	get := func(path string) string { return f.do("GET", path, nil, "Cookie", cookie).body }
	post := func(path string, form url.Values) answer { return f.postForm(path, form.Encode(), "Cookie", cookie) }
	revision := func() string {
		found := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(get("/account"))
		if found == nil {
			t.Fatal("the page does not say which state it shows")
		}
		return found[1]
	}

	old := revision()
	renamed := post("/account", url.Values{"name": {"acme-platform"}, "revision": {old}})
	if page := f.follow(renamed, cookie).body; !strings.Contains(page, "The name is saved.") || !strings.Contains(page, "acme-platform") {
		t.Error("the page does not have the new name")
	}
	if a := post("/account", url.Values{"name": {"other"}, "revision": {old}}); a.status != 409 || !strings.Contains(a.body, "Somebody changed the client meanwhile") || !strings.Contains(a.body, `value="other"`) {
		t.Errorf("an old state: %d", a.status)
	}
	if a := post("/account", url.Values{"name": {"<>"}, "revision": {revision()}}); a.status != 422 || !strings.Contains(a.body, `aria-invalid="true"`) {
		t.Errorf("a wrong name: %d", a.status)
	}

	a := post("/account/key", url.Values{"grace": {"3600"}})
	key := regexp.MustCompile(`>([0-9a-f]{64})<`).FindStringSubmatch(a.body)
	if a.status != 200 || key == nil || !strings.Contains(a.body, "The old one works until") {
		t.Fatalf("replace the key: %d", a.status)
	}
	for what, one := range map[string]string{"new": key[1], "old": c.key} {
		if got := f.tokenFor(c.uuid, one); got.status != 200 {
			t.Errorf("the %s key in the grace period: %d, want 200", what, got.status)
		}
	}
	if page := get("/account"); strings.Contains(page, key[1]) || !strings.Contains(page, "The one before works until") {
		t.Error("the key is shown twice, or the page does not say that the old one goes on")
	}
	if a := post("/account/key", url.Values{"grace": {"0"}}); a.status != 200 || f.tokenFor(c.uuid, key[1]).status != 401 {
		t.Errorf("without a grace period: %d, or the old key goes on", a.status)
	}

	off := post("/account/shortcuts", url.Values{})
	if set := off.header.Get("Set-Cookie"); off.status != 303 || !strings.HasPrefix(set, "xlb-keys=off;") {
		t.Errorf("shortcuts off: %d %q", off.status, set)
	}
	if page := f.do("GET", "/account", nil, "Cookie", cookie+"; xlb-keys=off").body; !strings.Contains(page, `data-keys="off"`) {
		t.Error("a browser without shortcuts is not told so")
	}

	c.frontend("10.0.0.1:80")
	if page := get("/account/delete"); !strings.Contains(page, "Closes 0 connections, revokes 0 certificates and deletes 1 frontend.") {
		t.Error("the page does not say what goes")
	}
	if a := post("/account/delete", url.Values{"name": {"testuser"}}); a.status != 422 {
		t.Errorf("delete with another name: %d, want 422", a.status)
	}
	a = post("/account/delete", url.Values{"name": {"acme-platform"}})
	if a.status != 303 || a.header.Get("Location") != "/login" || !strings.Contains(strings.Join(a.header["Set-Cookie"], " "), "Max-Age=0") {
		t.Errorf("delete: %d %v", a.status, a.header)
	}
	if a := f.follow(a, ""); !strings.Contains(a.body, "The account and everything it had are deleted.") {
		t.Error("the log-in page does not say what happened")
	}
	if a := f.do("GET", "/account", nil, "Cookie", cookie); a.status != 303 {
		t.Errorf("its session: %d, want 303", a.status)
	}
}
