package web

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// Sessions are listed, and ended one by one or all but the one that asks, by the pages and the API.
func TestSessionsAreListedAndEnded(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	logIn := func(agent string) string {
		a := f.postForm("/login", "uuid="+c.uuid+"&key="+c.key, "User-Agent", agent)
		return sessionCookie + "=" + sessionOf(a).Value
	}
	own, second, third := logIn(firefox), logIn("curl/8.5.0"), logIn("x")
	lives := func(cookie string) bool { return f.do("GET", "/account", nil, "Cookie", cookie).status == 200 }
	account := f.do("GET", "/account", nil, "Cookie", own).body
	for _, want := range []string{"Firefox on Linux", "This one", "curl", "Unknown browser", "Log out everywhere else"} {
		if !strings.Contains(account, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	list := c.call("GET", "/api/v1/client/sessions", "").object(t)["items"].([]any)
	if len(list) != 3 || list[2].(map[string]any)["userAgent"] != firefox || list[2].(map[string]any)["address"] != "127.0.0.1" {
		t.Fatalf("got %v", list)
	}
	id := list[1].(map[string]any)["id"].(string)
	if strings.Contains(second, id) {
		t.Error("the id is a part of the cookie")
	}
	if a := f.postForm("/account/sessions/"+id, "", "Cookie", own); a.status != 303 || lives(second) || !lives(third) || !lives(own) {
		t.Errorf("end one: %d, second %v, third %v, own %v", a.status, lives(second), lives(third), lives(own))
	}
	if a := c.call("DELETE", "/api/v1/client/sessions/"+id, ""); a.status != 404 {
		t.Errorf("end it twice: %d", a.status)
	}
	if a := f.postForm("/account/sessions", "", "Cookie", own); a.status != 303 || lives(third) || !lives(own) {
		t.Errorf("end the others: %d, third %v, own %v", a.status, lives(third), lives(own))
	}
	fourth := logIn("x")
	if a := f.postForm("/account/sessions", "all=1", "Cookie", fourth); a.status != 303 || lives(own) || lives(fourth) {
		t.Errorf("end all: %d, another %v, own %v", a.status, lives(own), lives(fourth))
	}
	own = logIn(firefox)
	if a := c.call("DELETE", "/api/v1/client/sessions", ""); a.status != 204 || lives(own) {
		t.Errorf("end all: %d, own %v", a.status, lives(own))
	}
	if list := c.call("GET", "/api/v1/client/sessions", "").object(t)["items"].([]any); len(list) != 0 {
		t.Errorf("after all have ended: %v", list)
	}
	other := f.signUp("other")
	if a := other.call("DELETE", "/api/v1/client/sessions/"+id, ""); a.status != 404 {
		t.Errorf("of somebody else: %d", a.status)
	}
	if trail := c.call("GET", "/api/v1/client/audit?action=session", "").body; strings.Count(trail, "session.end") < 3 {
		t.Error("the ends are not in the trail")
	}
}

// When a session was used last is known to the minute.
func TestSessionsSayWhenTheyWereUsed(t *testing.T) {
	var shift atomic.Int64
	f := start(t, func(cfg *control.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	})
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	used := func() float64 {
		t.Helper()
		one := c.call("GET", "/api/v1/client/sessions", "").object(t)["items"].([]any)[0].(map[string]any)
		return one["usedAt"].(map[string]any)["seconds"].(float64)
	}
	before := used()
	shift.Store(int64(10 * time.Minute))
	wantStatus(t, f.do("GET", "/account", nil, "Cookie", cookie), 200)
	deadline := time.Now().Add(5 * time.Second)
	for used() < before+500 {
		if time.Now().After(deadline) {
			t.Fatalf("last used %v s after the log-in, want 600", used()-before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
