package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

// Error pages say what to do next, and two ways on.
func TestErrorPages(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	f.administrator()
	cookie := f.cookieOf(f.signUp("nobody special"))
	if a := f.do("GET", "/admin", nil, "Cookie", cookie); a.status != http.StatusForbidden || !strings.Contains(a.body, "This needs the administrator") {
		t.Errorf("the administrator's page: %d, want 403 and who may see it", a.status)
	}
	for _, c := range []struct {
		method     string
		status     int
		retryAfter string
		want       []string
		refresh    string
	}{
		{"GET", 404, "", []string{"Nothing lives here"}, ""},
		{"POST", 403, "", []string{"This is not allowed", "Nothing you sent was saved."}, ""},
		{"GET", 429, "7", []string{"Too many requests", "Try again in 7 s."}, ""},
		{"GET", 429, "", []string{"Too many requests", "Wait a little"}, ""},
		{"GET", 500, "", []string{"Something broke on our side", "Nothing you sent was saved."}, ""},
		{"GET", 503, "", []string{"This page comes back by itself.", `data-comes-back="5"`}, "5"},
		{"GET", 503, "9", []string{"This page comes back by itself.", `data-comes-back="9"`}, "9"},
		{"POST", 503, "9", []string{"Try again in a few seconds."}, ""}, // what was sent is not sent again by itself
	} {
		w := httptest.NewRecorder()
		if c.retryAfter != "" {
			w.Header().Set("Retry-After", c.retryAfter)
		}
		f.server.pages.Error(w, httptest.NewRequest(c.method, "/frontends", nil), c.status)
		body := w.Body.String()
		for _, want := range append(c.want, `href="/login"`, `href="/"`) {
			if !strings.Contains(body, want) {
				t.Errorf("%s %d: the page does not say %q", c.method, c.status, want)
			}
		}
		if got := w.Header().Get("Refresh"); w.Code != c.status || got != c.refresh {
			t.Errorf("%s %d: status %d, Refresh %q, want %q", c.method, c.status, w.Code, got, c.refresh)
		}
	}
}
