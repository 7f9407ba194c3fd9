package web

import (
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// with is the client with an API key instead of its token.
func (c *tenant) with(key string) *tenant {
	other := *c
	other.token = key
	return &other
}

func (c *tenant) apiKey(body string) (id, key string) {
	c.Helper()
	a := c.call("POST", "/api/v1/client/keys", body)
	if a.status != 201 {
		c.Fatalf("make a key: %d %s", a.status, a.body)
	}
	v := a.object(c.T)
	return v["id"].(string), v["key"].(string)
}

// An API key does what its scopes say and nothing else, without the exchange for a token; it is told once and ends when it
// is revoked.
func TestAPIKeysDoWhatTheirScopeSays(t *testing.T) {
	f := start(t, func(c *control.Config) {
		c.SetupCode, c.Signup, c.Limits.RequestsPerSecond = "let-me-in", "open", -1
	})
	c := f.administrator()
	mine, other := c.frontend("10.0.0.1:80"), c.frontend("10.0.0.2:80")
	_, serial := c.identity(mine, "program")
	path := func(id string) string { return "/api/v1/client/frontend/" + id }
	calls := []struct {
		method, path, body string
		needs              string // read, write, issue, or own: the client's own key
		bound              bool   // a key that is bound to `mine` may, too
	}{
		{"GET", "/api/v1/client", "", "read", true},
		{"GET", "/api/v1/client/limits", "", "read", true},
		{"GET", "/api/v1/client/frontend", "", "read", true},
		{"GET", path(mine), "", "read", true},
		{"GET", path(strings.ToUpper(mine)), "", "read", true},
		{"GET", path(other), "", "read", false},
		{"GET", path(mine) + "/status", "", "read", true},
		{"GET", path(mine) + "/revisions", "", "read", true},
		{"GET", path(other) + "/revisions/1/diff", "", "read", false},
		{"GET", path(mine) + "/certificates", "", "read", true},
		{"GET", path(other) + "/refused", "", "read", false},
		{"GET", path(mine) + "/connections", "", "read", true},
		{"GET", "/api/v1/client/audit", "", "read", false},
		{"PATCH", path(mine), `{"queueLimit":9}`, "write", true},
		{"PATCH", path(other), `{"queueLimit":9}`, "write", false},
		{"POST", path(mine) + "/revisions/1/restore", "", "write", true},
		{"POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.3:80"}]}`, "write", false},
		{"DELETE", path(mine) + "/connections?all=true", "", "write", true},
		{"GET", path(mine) + "/tls", "", "issue", true},
		{"POST", path(other) + "/tls", `{"keyType":"ecdsa-p256"}`, "issue", false},
		{"DELETE", path(mine) + "/certificates/" + serial, "", "write", true},
		{"GET", "/api/v1/client/keys", "", "own", false},
		{"POST", "/api/v1/client/keys", `{"name":"x","scope":"read"}`, "own", false},
		{"DELETE", "/api/v1/client/keys/x", "", "own", false},
		{"PATCH", "/api/v1/client", `{"name":"x"}`, "own", false},
		{"POST", "/api/v1/client/key", "", "own", false},
		{"DELETE", "/api/v1/client/tokens", "", "own", false},
		{"DELETE", "/api/v1/client", "", "own", false},
		{"GET", "/api/v1/admin/clients", "", "own", false},
		{"POST", "/api/v1/admin/invites", "", "own", false},
	}
	for _, scope := range []string{"read", "write", "issue", "read write issue"} {
		for _, bound := range []bool{false, true} {
			body := `{"name":"ci","scope":"` + scope + `"}`
			if bound {
				body = `{"name":"ci","scope":"` + scope + `","frontends":["` + mine + `"]}`
			}
			_, key := c.apiKey(body)
			for _, call := range calls {
				allowed := call.needs == "read" || strings.Contains(scope, call.needs)
				allowed = allowed && (!bound || call.bound)
				a := c.with(key).call(call.method, call.path, call.body, "If-Match", "*")
				if (a.status != 403) != allowed || a.status == 401 || a.status >= 500 {
					t.Errorf("%q, bound %v: %s %s: %d %s, want it allowed: %v", scope, bound, call.method, call.path, a.status, a.body, allowed)
				}
			}
		}
	}
	_, narrow := c.apiKey(`{"name":"ci","scope":"read","frontends":["` + mine + `"]}`)
	if list := c.with(narrow).call("GET", "/api/v1/client/frontend?limit=1", "").object(t); len(list["items"].([]any)) != 1 || list["next"] != nil {
		t.Errorf("a bound key lists %v", list)
	}
	id, key := c.apiKey(`{"name":"ci","scope":"write read","lifetimeSec":3600}`)
	if !regexp.MustCompile(`^xlb_[a-z2-7]{16}_[a-z2-7]{52}_[0-9a-f]{8}$`).MatchString(key) || !strings.Contains(key, id) {
		t.Errorf("the key is %s", key)
	}
	shown := c.call("GET", "/api/v1/client/keys/"+id, "")
	if shown.status != 200 || strings.Contains(shown.body, key) || !strings.Contains(shown.body, `"scope":"read write"`) {
		t.Errorf("got %d %s, want 200 with the scope and without the key", shown.status, shown.body)
	}
	for what, wrong := range map[string]string{
		"another checksum": key[:len(key)-1] + "x", "another secret": strings.Replace(key, key[21:25], "aaaa", 1), "no key": "xlb_", "the id alone": "xlb_" + id,
	} {
		if a := c.with(wrong).call("GET", "/api/v1/client", ""); a.status != 401 {
			t.Errorf("%s: %d", what, a.status)
		}
	}
	if a := c.call("DELETE", "/api/v1/client/keys/"+id, ""); a.status != 204 {
		t.Errorf("revoke: %d %s", a.status, a.body)
	}
	if a := c.with(key).call("GET", "/api/v1/client", ""); a.status != 401 {
		t.Errorf("a revoked key: %d", a.status)
	}
	if a := c.call("DELETE", "/api/v1/client/keys/"+id, ""); a.status != 404 {
		t.Errorf("revoked twice: %d", a.status)
	}
	trail := c.call("GET", "/api/v1/client/audit?action=api-key", "").body
	if strings.Contains(trail, key) || strings.Contains(trail, key[21:]) || !strings.Contains(trail, "api-key.revoke") || strings.Contains(trail, `"hash":"`+strings.Repeat("A", 3)) {
		t.Error("the trail has a secret, or not the keys")
	}
	if refused := c.call("GET", "/api/v1/client/audit?outcome=refused", "").body; !strings.Contains(refused, `"credential":"key `) {
		t.Error("what a key was refused is not in the trail")
	}
	if strings.Contains(f.log.String(), key) {
		t.Error("the log has a key")
	}
	for _, body := range []string{
		`{"name":"","scope":"read"}`, `{"name":"x","scope":"admin"}`, `{"name":"x","scope":""}`, `{"name":"x","scope":"read","lifetimeSec":1}`,
		`{"name":"x","scope":"read","frontends":["` + strings.Repeat("0", 36) + `"]}`,
	} {
		if a := c.call("POST", "/api/v1/client/keys", body); a.status != 422 || !strings.Contains(a.body, "body.") {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// A key says when it was used last, ends when its time is over and with its client, and there are so many.
func TestLifeOfAPIKeys(t *testing.T) {
	var ahead atomic.Int64
	f := start(t, func(c *control.Config) {
		c.SetupCode, c.Signup = "let-me-in", "open"
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	root, c := f.administrator(), f.signUp("testuser")
	id, key := c.apiKey(`{"name":"ci","scope":"read","lifetimeSec":3600}`)
	if v := c.call("GET", "/api/v1/client/keys/"+id, "").object(t); v["lastUsedAt"] != nil {
		t.Errorf("before it was used: %v", v)
	}
	if a := c.with(key).call("GET", "/api/v1/client", ""); a.status != 200 {
		t.Fatalf("got %d %s, want 200", a.status, a.body)
	}
	for deadline := time.Now().Add(dialTime); ; time.Sleep(10 * time.Millisecond) {
		v := c.call("GET", "/api/v1/client/keys/"+id, "").object(t)
		if v["lastUsedAt"] != nil && v["lastUsedBy"] == "127.0.0.1" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after it was used: %v", v)
		}
	}
	root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"disabled":true}`)
	if a := c.with(key).call("GET", "/api/v1/client", ""); a.status != 403 {
		t.Errorf("of a disabled client: %d", a.status)
	}
	root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"disabled":false}`)
	ahead.Store(int64(2 * time.Hour))
	if a := c.with(key).call("GET", "/api/v1/client", ""); a.status != 401 {
		t.Errorf("after its time: %d", a.status)
	}
	ahead.Store(0)
	again := f.tokenFor(c.uuid, c.key).object(t)["Token"].(string)
	c = c.with(again)
	for range 49 {
		c.apiKey(`{"name":"more","scope":"read"}`)
	}
	if a := c.call("POST", "/api/v1/client/keys", `{"name":"x","scope":"read"}`); a.status != 403 || !strings.Contains(a.body, "all 50") {
		t.Errorf("the 51st: %d %s", a.status, a.body)
	}
	root.call("DELETE", "/api/v1/admin/clients/"+c.uuid, "")
	if a := c.with(key).call("GET", "/api/v1/client", ""); a.status != 401 {
		t.Errorf("of a deleted client: %d", a.status)
	}
}

// Keys are made and revoked on the account page, which shows one this once and uncompressed.
func TestAPIKeysByThePages(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80")
	wrong := f.postForm("/account/keys", "name=&scope=write&days=30", "Cookie", cookie)
	if wrong.status != 422 || !strings.Contains(wrong.body, "Enter a name.") || !strings.Contains(wrong.body, `aria-invalid="true"`) {
		t.Errorf("without a name: %d", wrong.status)
	}
	made := f.postForm("/account/keys", "name=ci&scope=write&days=30&frontend="+id, "Cookie", cookie, "Accept-Encoding", "gzip")
	key := regexp.MustCompile(`xlb_[a-z2-7]{16}_[a-z2-7]{52}_[0-9a-f]{8}`).FindString(made.body)
	if made.status != 201 || key == "" || made.header.Get("Content-Encoding") != "" || made.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, encoding %q, key %q", made.status, made.header.Get("Content-Encoding"), key)
	}
	if a := c.with(key).call("PATCH", "/api/v1/client/frontend/"+id, `{"queueLimit":9}`); a.status != 200 {
		t.Errorf("the key: %d %s", a.status, a.body)
	}
	account := f.do("GET", "/account", nil, "Cookie", cookie).body
	if strings.Contains(account, key) || !strings.Contains(account, "read, write · web") {
		t.Error("the page shows the key again, or not what it may")
	}
	keyID := strings.Split(key, "_")[1]
	if asked := f.do("GET", "/account/keys/"+keyID, nil, "Cookie", cookie); !strings.Contains(asked.body, "Revoke “ci”?") {
		t.Errorf("the page that asks: %d", asked.status)
	}
	done := f.postForm("/account/keys/"+keyID, "", "Cookie", cookie)
	if done.status != 303 || c.with(key).call("GET", "/api/v1/client", "").status != 401 {
		t.Errorf("revoked: %d", done.status)
	}
	if after := f.follow(done, cookie).body; !strings.Contains(after, "Whatever used the key is refused now.") || strings.Contains(after, keyID) {
		t.Error("the page does not say so, or lists it still")
	}
	if a := f.postForm("/account/keys/none", "", "Cookie", cookie); a.status != 404 {
		t.Errorf("one that there is not: %d", a.status)
	}
}
