package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/static"
)

func TestSessionCookie(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	first := f.logIn(c)
	cookie := sessionOf(first)
	if first.status != http.StatusSeeOther || cookie == nil {
		t.Fatalf("log-in: %d %v", first.status, first.header)
	}
	if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge <= 0 {
		t.Errorf("cookie is %s", cookie)
	}
	if strings.Contains(cookie.Value, c.uuid) || strings.Contains(cookie.Value, c.key) {
		t.Error("the cookie tells who it is")
	}
	old := sessionCookie + "=" + cookie.Value
	if a := f.do("GET", "/account", nil, "Cookie", old); a.status != 200 {
		t.Fatalf("logged in: %d %s, want 200", a.status, a.body)
	}

	// Whoever planted a session id before the log-in has nothing after it.
	again := f.logIn(c, "Cookie", old)
	fresh := sessionOf(again)
	if fresh == nil || fresh.Value == cookie.Value {
		t.Fatalf("the second log-in kept the session: %v", again.header)
	}
	if a := f.do("GET", "/account", nil, "Cookie", old); a.status != http.StatusSeeOther {
		t.Errorf("the session of before the log-in: %d, want %d", a.status, http.StatusSeeOther)
	}
	current := sessionCookie + "=" + fresh.Value
	for _, damaged := range []string{current[:len(current)-2], current + "AA", sessionCookie + "=x", sessionCookie + "="} {
		if a := f.do("GET", "/account", nil, "Cookie", damaged); a.status != http.StatusSeeOther {
			t.Errorf("a damaged cookie: %d, want %d", a.status, http.StatusSeeOther)
		}
	}
	out := f.postForm("/logout", "", "Cookie", current)
	if gone := sessionOf(out); out.status != http.StatusSeeOther || gone == nil || gone.MaxAge >= 0 {
		t.Errorf("log-out: %d %v", out.status, out.header)
	}
	if a := f.do("GET", "/account", nil, "Cookie", current); a.status != http.StatusSeeOther {
		t.Errorf("the cookie works after the log-out: %d, want %d", a.status, http.StatusSeeOther)
	}
}

func TestIdentitiesStayOnTheirSide(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := sessionCookie + "=" + sessionOf(f.logIn(c)).Value
	if a := f.do("GET", "/api/v1/client", nil, "Cookie", cookie); a.status != 401 {
		t.Errorf("a cookie on the API: %d %s, want 401", a.status, a.body)
	}
	if a := f.do("GET", "/account", nil, "Authorization", "Bearer "+c.token); a.status != http.StatusSeeOther {
		t.Errorf("a token on a page: %d, want %d", a.status, http.StatusSeeOther)
	}
}

func TestCrossSitePostsAreRefused(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	for name, headers := range map[string][]string{
		"cross-site":     {"Sec-Fetch-Site", "cross-site"},
		"same-site":      {"Sec-Fetch-Site", "same-site"},
		"another origin": {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		"null origin":    {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		if a := f.logIn(c, headers...); a.status != 403 || sessionOf(a) != nil {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
		a := f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"x"}`), append(headers, "Content-Type", "application/json")...)
		wantProblem(t, a, 403, "")
	}
	if a := f.logIn(c, "Sec-Fetch-Site", "", "Origin", f.url); a.status != http.StatusSeeOther {
		t.Errorf("the own origin: %d, want %d", a.status, http.StatusSeeOther)
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	f := start(t)
	cookie := sessionCookie + "=" + sessionOf(f.logIn(f.signUp("testuser"))).Value
	for _, path := range []string{"/", "/frontends", "/account"} {
		if a := f.do("HEAD", path, nil, "Cookie", cookie); a.status != 200 || a.body != "" || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("HEAD %s: %d %q %q", path, a.status, a.body, a.header.Get("Content-Type"))
		}
	}
	if a := f.do("HEAD", "/events", nil, "Cookie", cookie); a.status != 405 {
		t.Errorf("HEAD /events: %d, want 405", a.status)
	}
}

func TestStrangersAreSentToTheLogIn(t *testing.T) {
	f := start(t)
	for _, page := range f.server.pages.Routes() {
		path := strings.NewReplacer("{uuid}", "0198a1f2-0000-7000-8000-000000000000", "{serial}", "4e91", "{number}", "1", "{id}", "k").Replace(page.Pattern)
		a := f.do(page.Method, path+"?q=1", nil)
		want := "/login"
		if page.Method == "GET" && path != "/" {
			want += "?" + url.Values{"next": {path + "?q=1"}}.Encode()
		}
		if path == "/" {
			want = "/signup" // in local mode, where everybody may
		}
		switch {
		case page.Open:
			if a.status >= 500 || path != "/login" && strings.HasPrefix(a.header.Get("Location"), "/login?") {
				t.Errorf("%s %s: %d to %s", page.Method, path, a.status, a.header.Get("Location"))
			}
		case path == "/events":
			if a.status != 401 {
				t.Errorf("%s: %d, want 401", path, a.status)
			}
		case a.status != http.StatusSeeOther || a.header.Get("Location") != want:
			t.Errorf("%s %s: %d to %s, want %s", page.Method, path, a.status, a.header.Get("Location"), want)
		}
	}
}

// Who comes for the first time, in local mode, is led to the sign-up with a name to begin with; who was here before, and
// everybody elsewhere, to the log-in.
func TestTheWayIn(t *testing.T) {
	f := start(t)
	to := func(f *fixture, headers ...string) string {
		return f.do("GET", "/", nil, headers...).header.Get("Location")
	}
	if got := to(f); got != "/signup" {
		t.Errorf("for the first time: %s, want /signup", got)
	}
	name := regexp.MustCompile(`name="name"[^>]* value="([a-z]+-[a-z]+)"|value="([a-z]+-[a-z]+)"`).FindString(f.do("GET", "/signup", nil).body)
	if name == "" {
		t.Error("the form suggests no name")
	}
	in := f.logIn(f.signUp("testuser"))
	known := ""
	for _, c := range (&http.Response{Header: in.header}).Cookies() {
		if c.Name == knownCookie && c.Secure && c.HttpOnly {
			known = c.Name + "=" + c.Value
		}
	}
	if got := to(f, "Cookie", known); known == "" || got != "/login" {
		t.Errorf("a browser that was here before: %s, want /login", got)
	}
	if got := to(f, "Cookie", sessionCookie+"=nonsense"); got != "/signup" {
		t.Errorf("a damaged session: %s, want /signup", got)
	}
	elsewhere := start(t, func(c *control.Config) { c.Local = false })
	if got := to(elsewhere); got != "/login" {
		t.Errorf("outside of local mode: %s, want /login", got)
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := sessionCookie + "=" + sessionOf(f.logIn(c)).Value
	id := c.frontend("10.0.0.1:80")
	paths := []string{"/nothing", "/static/nothing", "/api/v1/client", "/api/v1/ca.pem", "/logout", static.URL("app.css")}
	for _, page := range f.server.pages.Routes() {
		if page.Method == "GET" && page.Pattern != "/events" {
			paths = append(paths, strings.ReplaceAll(page.Pattern, "{uuid}", id))
		}
	}
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		"Strict-Transport-Security": "",
	}
	for _, path := range paths {
		a := f.do("GET", path, nil, "Cookie", cookie)
		if a.status >= 500 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		for name, value := range want {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
		if a.header.Get("Permissions-Policy") == "" {
			t.Errorf("%s: no Permissions-Policy", path)
		}
	}
	for path, status := range map[string]int{"/nothing": 404, "/static/nothing": 404, "/logout": 405} {
		a := f.do("GET", path, nil, "Cookie", cookie)
		if a.status != status || strings.Contains(a.header.Get("Content-Type"), "json") {
			t.Errorf("%s: %d %s", path, a.status, a.header.Get("Content-Type"))
		}
	}
}

func TestRequestID(t *testing.T) {
	f := start(t)
	for given, kept := range map[string]bool{"abc-1.2_3": true, "": false, strings.Repeat("a", 65): false, "a b": false, "<b>": false, "ä": false} {
		got := f.do("GET", "/api/v1/ca.pem", nil, "X-Request-Id", given).header.Get("X-Request-Id")
		if (got == given) != kept || !regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`).MatchString(got) {
			t.Errorf("given %q, the id is %q", given, got)
		}
	}
}

func TestStaticFiles(t *testing.T) {
	f := start(t)
	path := static.URL("app.css")
	plain := f.do("GET", path, nil, "Accept-Encoding", "gzip;q=0")
	packed := f.do("GET", path, nil, "Accept-Encoding", "br, gzip")
	if plain.status != 200 || plain.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("plain: %d %v", plain.status, plain.header)
	}
	if packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) >= len(plain.body) || packed.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("packed: %d bytes %v", len(packed.body), packed.header)
	}
	if a := f.do("GET", path, nil, "If-None-Match", plain.header.Get("ETag")); a.status != 304 || a.body != "" {
		t.Errorf("If-None-Match: %d", a.status)
	}
	if a := f.do("HEAD", path, nil); a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d", a.status)
	}
	for _, missing := range []string{"/static/", "/static/app.css", "/static/../main.go", path + "x"} {
		if a := f.do("GET", missing, nil); a.status != 404 {
			t.Errorf("%s: %d, want 404", missing, a.status)
		}
	}
}

func TestEventStreamEndsAtShutdown(t *testing.T) {
	t.Run("HTTP/2", func(t *testing.T) { streamEnds(t, start(t)) })
	t.Run("HTTP/1.1", func(t *testing.T) { streamEnds(t, start(t).overHTTP1()) })
}

func streamEnds(t *testing.T, f *fixture) {
	c := f.signUp("testuser")
	cookie := sessionCookie + "=" + sessionOf(f.logIn(c)).Value
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/events?view=frontends", nil)
	must(t, err)
	req.Header.Set("Cookie", cookie)
	resp, err := f.client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if first, err := lines.ReadString('\n'); resp.StatusCode != 200 || err != nil || first != "retry: 1000\n" {
		t.Fatalf("the stream begins %d %q: %v", resp.StatusCode, first, err)
	}
	began := time.Now()
	must(t, f.stop())
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("an open stream held the shutdown up for %v", took)
	}
	if _, err := io.ReadAll(lines); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Logf("the stream ended with %v", err)
	}
}

// leaving is the context of a browser that goes on to another page while this one is made: it ends after it was
// asked a number of times.
type leaving struct {
	context.Context
	asked, after int
}

// Err implements context.Context.
func (l *leaving) Err() error {
	if l.asked++; l.asked > l.after {
		return context.Canceled
	}
	return nil
}

// A page whose browser has gone on is no failure of ours.
func TestAbortedPageIsNoError(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie, id := f.cookieOf(c), c.frontend("10.0.0.1:80")
	for _, path := range []string{"/", "/frontends", "/account", "/certificates", "/frontends/" + id, "/frontends/" + id + "/settings"} {
		for after := range 12 {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Cookie", cookie)
			f.server.Handler().ServeHTTP(httptest.NewRecorder(), r.WithContext(&leaving{Context: t.Context(), after: after}))
		}
	}
	if log := f.log.String(); strings.Contains(log, "page failed") {
		t.Errorf("the log has an error:\n%s", log)
	}
}

// What was done is said once, on the page that follows, and by no link that somebody else has made.
func TestNoticesAreSaidOnce(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80")
	drained := f.postForm("/frontends/"+id+"/route", "dest=10.0.0.1%3A80&do=drain", "Cookie", cookie)
	if location := drained.header.Get("Location"); strings.Contains(location, "?") {
		t.Errorf("it leads to %s, want no notice in the URL", location)
	}
	first := f.follow(drained, cookie)
	if !strings.Contains(first.body, "10.0.0.1:80 drains. 0 connections left.") {
		t.Error("the page that follows says nothing")
	}
	forgotten := false
	for _, c := range (&http.Response{Header: first.header}).Cookies() {
		forgotten = forgotten || c.Name == "__Host-xlb-done" && c.MaxAge < 0
	}
	if !forgotten {
		t.Error("the browser keeps the notice, and shows it again")
	}
	for _, forged := range []string{"revoked-999-1", "route-drain", "saved"} {
		page := f.do("GET", "/frontends/"+id+"?done="+forged+"&undo=1", nil, "Cookie", cookie).body
		if strings.Contains(page, "999") || strings.Contains(page, "drains.") || strings.Contains(page, "Saved.") {
			t.Errorf("a link with %s has the page say so", forged)
		}
	}
	if page := f.do("GET", "/frontends/"+id, nil, "Cookie", cookie+"; __Host-xlb-done=nonsense<b>.1").body; strings.Contains(page, "nonsense") {
		t.Error("an unknown notice is shown")
	}
}
