package web

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// What ends a client's credentials ends the browsers that are logged in with them, at once and for good.
func TestSessionsEndWithTheCredentials(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	admin := f.administrator()
	for name, end := range map[string]func(t *testing.T, c *tenant){
		"tokens are revoked": func(t *testing.T, c *tenant) { wantStatus(t, c.call("DELETE", "/api/v1/client/tokens", ""), 204) },
		"key is rotated":     func(t *testing.T, c *tenant) { wantStatus(t, c.call("POST", "/api/v1/client/key", `{}`), 200) },
		"key is reset": func(t *testing.T, c *tenant) {
			wantStatus(t, admin.call("POST", "/api/v1/admin/clients/"+c.uuid+"/key", ""), 200)
		},
		"disabled, and enabled again": func(t *testing.T, c *tenant) {
			for _, body := range []string{`{"disabled":true}`, `{"disabled":false}`} {
				wantStatus(t, admin.call("PATCH", "/api/v1/admin/clients/"+c.uuid, body), 200)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := f.signUp("testuser")
			id := c.frontend("10.0.0.1:80")
			cookie, page := f.cookieOf(c), "/frontends/"+id
			if a := f.do("GET", page, nil, "Cookie", cookie); a.status != 200 {
				t.Fatalf("before: %d, want 200", a.status)
			}
			end(t, c)
			if a := f.do("GET", page, nil, "Cookie", cookie); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/login") {
				t.Errorf("a page answers %d", a.status)
			}
			if a := f.postForm(page+"/certificate", "", "Cookie", cookie); a.status == 200 || strings.Contains(a.header.Get("Content-Type"), "zip") {
				t.Errorf("a bundle is handed out: %d", a.status)
			}
		})
	}
}

// With a grace period the old key goes on, and so do the browsers.
func TestSessionsOutliveARotationWithGrace(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	wantStatus(t, c.call("POST", "/api/v1/client/key", `{"graceSec":60}`), 200)
	if a := f.do("GET", "/frontends", nil, "Cookie", cookie); a.status != 200 {
		t.Errorf("%d, want 200", a.status)
	}
}

// A token and a session of a disabled client are refused with the reason, and stay ended after it.
func TestDisabledClientIsToldSo(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	admin := f.administrator()
	c := f.signUp("testuser")
	wantStatus(t, admin.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"disabled":true}`), 200)
	if a := c.call("GET", "/api/v1/client/frontend", ""); a.status != 403 || !strings.Contains(a.body, "disabled") {
		t.Errorf("got %d %s, want 403 that says disabled", a.status, a.body)
	}
	wantStatus(t, admin.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"disabled":false}`), 200)
	wantStatus(t, c.call("GET", "/api/v1/client/frontend", ""), 401)
}

// Two tabs: when one logs out, the other one's stream ends within a second.
func TestEventStreamEndsWithItsSession(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	for name, end := range map[string]func(cookie string){
		"log out":        func(cookie string) { f.postForm("/logout", "", "Cookie", cookie) },
		"tokens revoked": func(string) { c.call("DELETE", "/api/v1/client/tokens", "") },
	} {
		t.Run(name, func(t *testing.T) {
			cookie := f.cookieOf(c)
			req, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/events?view=frontends", nil)
			must(t, err)
			req.Header.Set("Cookie", cookie)
			resp, err := f.client.Do(req)
			must(t, err)
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			lines.Scan()
			began := time.Now()
			end(cookie)
			ended := make(chan bool, 1)
			go func() {
				saidGone := false
				for lines.Scan() {
					saidGone = saidGone || lines.Text() == "event: gone"
				}
				ended <- saidGone
			}()
			select {
			case saidGone := <-ended:
				if took := time.Since(began); !saidGone || took > 2*time.Second {
					t.Errorf("said gone %v, after %v", saidGone, took)
				}
			case <-time.After(10 * time.Second):
				t.Error("the stream goes on")
			}
		})
	}
}

// The browser that changes the key stays logged in, and no other one.
func TestActingSessionStays(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id := func() (raw string, a control.Actor) {
		raw, err := f.control.StartSession(control.WithActor(t.Context(), control.Actor{}), c.uuid, "test")
		must(t, err)
		a, err = f.control.SessionActor(t.Context(), raw)
		must(t, err)
		return raw, a
	}
	acting, actor := id()
	other, _ := id()
	for _, end := range []func() error{
		func() error { _, err := f.control.RotateKey(control.WithActor(t.Context(), actor), 0); return err },
		func() error { return f.control.RevokeTokens(control.WithActor(t.Context(), actor), time.Time{}) },
	} {
		must(t, end())
		if _, err := f.control.SessionActor(t.Context(), acting); err != nil {
			t.Errorf("the acting one: %v", err)
		}
		if _, err := f.control.SessionActor(t.Context(), other); err == nil {
			t.Error("the other one goes on")
		}
		other, _ = id()
	}
}
