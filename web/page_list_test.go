package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var listRow = regexp.MustCompile(`<tr role="row" data-key=`)

// Long lists come in pages of 50, and what a reader has chosen stays chosen from one page to the next.
func TestListsComeInPages(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	for i := range 60 {
		if a := c.call("POST", "/api/v1/client/frontend", fmt.Sprintf(`{"name":"shop-%02d","routes":[{"dest":"10.0.0.1:80"}]}`, i)); a.status != 201 {
			t.Fatalf("create: %d %s, want 201", a.status, a.body)
		}
	}
	var dests []string
	for i := range 110 {
		dests = append(dests, fmt.Sprintf("10.1.0.%d:80", i+1))
	}
	id := c.frontend(dests...)
	for _, one := range []struct {
		path string
		rows int
		has  []string
	}{
		{"/frontends", 50, []string{"1 to 50 of 61 frontends.", `href="/frontends?page=2"`}},
		{"/frontends?page=2", 11, []string{"51 to 61 of 61 frontends.", `href="/frontends?page=1"`, "view=frontends"}},
		{"/frontends?page=99", 11, []string{"51 to 61 of 61 frontends."}},
		{"/frontends?page=-1", 50, []string{"1 to 50 of 61 frontends."}},
		{"/frontends?page=x", 50, []string{"1 to 50 of 61 frontends."}},
		{"/frontends?q=shop&page=2", 10, []string{"51 to 60 of 60 frontends.", `href="/frontends?page=1&amp;q=shop"`, "page=2&amp;q=shop"}},
		{"/?page=2", 11, []string{"51 to 61 of 61 frontends."}},
		{"/frontends/" + id + "?routes=3", 10, []string{"101 to 110 of 110 routes.", `name="routes" value="3"`, `href="/frontends/` + id + `?routes=2"`}},
	} {
		a := f.do("GET", one.path, nil, "Cookie", cookie)
		if rows := len(listRow.FindAllString(a.body, -1)); a.status != http.StatusOK || rows != one.rows {
			t.Errorf("%s: %d with %d rows, want %d", one.path, a.status, rows, one.rows)
		}
		for _, want := range one.has {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s lacks %q", one.path, want)
			}
		}
	}
	form := url.Values{"dest": {"10.1.0.105:80"}, "do": {"drain"}, "routes": {"3"}}.Encode()
	done := f.postForm("/frontends/"+id+"/route", form, "Cookie", cookie)
	if got, want := done.header.Get("Location"), "/frontends/"+id+"?routes=3"; got != want {
		t.Errorf("after a verb: got %s, want %s", got, want)
	}
}

// Pages are compressed, but not those that show a secret.
func TestPagesAreCompressedWithoutSecrets(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80")
	for _, path := range []string{"/", "/frontends", "/certificates", "/account", "/frontends/" + id, "/frontends/" + id + "/settings"} {
		plain := f.do("GET", path, nil, "Cookie", cookie, "Accept-Encoding", "identity")
		packed := f.do("GET", path, nil, "Cookie", cookie, "Accept-Encoding", "gzip")
		if got := packed.header.Get("Content-Encoding"); got != "gzip" || !strings.Contains(packed.header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: encoding %q, Vary %q", path, got, packed.header.Get("Vary"))
		}
		if plain.header.Get("Content-Encoding") != "" || len(packed.body)*2 > len(plain.body) {
			t.Errorf("%s: %d bytes, compressed %d", path, len(plain.body), len(packed.body))
		}
	}
	shown := f.postForm("/signup", "name=newcomer", "Accept-Encoding", "gzip")
	if shown.status != http.StatusCreated || shown.header.Get("Content-Encoding") != "" || !strings.Contains(shown.body, `id="secret-h"`) {
		t.Errorf("the page with the key: %d, encoding %q", shown.status, shown.header.Get("Content-Encoding"))
	}
}
