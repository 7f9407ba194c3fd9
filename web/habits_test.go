package web

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	for _, one := range []string{"/api/v1/client", "/api/v1/client/frontend", path, path + "/status", path + "/certificates", "/api/v1/ca.pem", "/api/v1/openapi.json"} {
		get, head := c.call("GET", one, ""), c.call("HEAD", one, "")
		if get.status != 200 || head.status != 200 || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") || head.header.Get("ETag") != get.header.Get("ETag") {
			t.Errorf("%s: GET %d, HEAD %d %q %v", one, get.status, head.status, head.body, head.header)
		}
	}
	before := len(c.call("GET", path+"/certificates", "").object(t)["items"].([]any))
	if a := c.call("HEAD", path+"/tls", ""); a.status != 405 || strings.Contains(a.header.Get("Allow"), "HEAD") {
		t.Errorf("HEAD of what issues: %d, Allow %s", a.status, a.header.Get("Allow"))
	}
	if after := len(c.call("GET", path+"/certificates", "").object(t)["items"].([]any)); after != before {
		t.Error("HEAD has issued a certificate")
	}
	if a := c.call("HEAD", "/api/v1/nothing", ""); a.status != 404 {
		t.Errorf("HEAD of nothing: %d, want 404", a.status)
	}
	if a := c.do("HEAD", path, nil); a.status != 401 {
		t.Errorf("HEAD by nobody: %d, want 401", a.status)
	}
}

func TestOptionsListsTheMethods(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	for one, want := range map[string]string{
		path: "GET, HEAD, PATCH, DELETE, OPTIONS", path + "/tls": "GET, POST, OPTIONS", "/api/v1/client/auth": "POST, OPTIONS", "/login": "GET, HEAD, POST, OPTIONS",
	} {
		if a := f.do("OPTIONS", one, nil); a.status != 204 || a.header.Get("Allow") != want || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, Allow %q, want %q", one, a.status, a.header.Get("Allow"), want)
		}
	}
	if a := f.do("OPTIONS", "/api/v1/nothing", nil); a.status != 404 {
		t.Errorf("of nothing: %d, want 404", a.status)
	}
}

func TestKnownAnswersAreLeftOut(t *testing.T) {
	c := start(t).signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	tag := c.call("GET", path, "").header.Get("ETag")
	for known, want := range map[string]int{tag: 304, "W/" + tag: 304, `"0", ` + tag: 304, "*": 304, `"0"`: 200, "nonsense": 200} {
		for _, method := range []string{"GET", "HEAD"} {
			a := c.call(method, path, "", "If-None-Match", known)
			if a.status != want || want == 304 && a.body != "" || a.header.Get("ETag") != tag {
				t.Errorf("%s with %s: %d %q, ETag %s", method, known, a.status, a.body, a.header.Get("ETag"))
			}
		}
	}
	c.call("PATCH", path, `{"name":"other"}`)
	if a := c.call("GET", path, "", "If-None-Match", tag); a.status != 200 {
		t.Errorf("after a change: %d, want 200", a.status)
	}
	if a := c.call("PATCH", path, `{"name":"third"}`, "If-None-Match", "*"); a.status != 200 {
		t.Errorf("a change: %d, want 200", a.status)
	}
}

func TestSlashTooManyLeadsOn(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	for from, to := range map[string]string{path + "/": path, path + "/status/?x=1": path + "/status?x=1", "/login/": "/login", "/api/v1/client//": "/api/v1/client"} {
		for _, method := range []string{"GET", "PATCH"} {
			if a := c.call(method, from, ""); a.status != http.StatusPermanentRedirect || a.header.Get("Location") != to {
				t.Errorf("%s %s: %d to %q, want %q", method, from, a.status, a.header.Get("Location"), to)
			}
		}
	}
	for _, odd := range []string{"//evil.example/", "//evil.example//login/", "/nothing/", "/api/v1/nothing/"} {
		if a := c.call("GET", odd, ""); a.status == http.StatusPermanentRedirect {
			t.Errorf("%s leads to %q", odd, a.header.Get("Location"))
		}
	}
}

// A client of HTTP/1.0 that says so, and one that offers something unknown, are served all the same.
func TestOldProtocolsAreServed(t *testing.T) {
	f := start(t)
	for _, offered := range [][]string{{"http/1.0"}, {"unknown"}, {"http/1.0", "http/1.1"}, nil} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: offered})
		if err != nil {
			t.Errorf("%v: %v", offered, err)
			continue
		}
		fmt.Fprint(conn, "GET /login HTTP/1.0\r\nHost: localhost\r\n\r\n")
		text, _ := io.ReadAll(conn)
		conn.Close()
		if !strings.HasPrefix(string(text), "HTTP/1.0 200") {
			t.Errorf("%v: %.60s", offered, text)
		}
	}
}

// Every record has an entity tag, which is another one when the record is.
func TestEveryRecordHasATag(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	frontend := "/api/v1/client/frontend/" + id
	_, serial := c.identity(id, "program")
	key := c.call("POST", "/api/v1/client/keys", `{"name":"x","scope":"read"}`)
	if key.header.Get("ETag") == "" {
		t.Error("a new API key has no tag")
	}
	for path, change := range map[string]func(){
		"/api/v1/client":                     func() { c.call("PATCH", "/api/v1/client", `{"name":"other"}`, "If-Match", "*") },
		frontend:                             func() { c.call("PATCH", frontend, `{"name":"other"}`) },
		frontend + "/certificates/" + serial: func() { c.call("DELETE", frontend+"/certificates/"+serial, "") },
		frontend + "/revisions/1":            nil,
		key.header.Get("Location"):           nil,
	} {
		first := c.call("GET", path, "")
		tag := first.header.Get("ETag")
		if first.status != 200 || tag == "" {
			t.Errorf("%s: %d, tag %q", path, first.status, tag)
			continue
		}
		if a := c.call("GET", path, "", "If-None-Match", tag); a.status != 304 {
			t.Errorf("%s with its tag: %d, want 304", path, a.status)
		}
		if change == nil {
			continue
		}
		change()
		if a := c.call("GET", path, "", "If-None-Match", tag); a.status != 200 {
			t.Errorf("%s with its old tag: %d, want 200", path, a.status)
		}
	}
}

// Lists that are in no order of their ids come in pages too, and say so when the place to go on from is gone.
func TestSmallListsComeInPages(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	for range 5 {
		c.call("POST", "/api/v1/client/keys", `{"name":"x","scope":"read"}`)
		f.cookieOf(c)
	}
	for _, path := range []string{"/api/v1/client/keys", "/api/v1/client/sessions"} {
		var seen []string
		after := ""
		for range 9 {
			page := c.call("GET", path+"?limit=2"+after, "").object(t)
			for _, one := range page["items"].([]any) {
				seen = append(seen, one.(map[string]any)["id"].(string))
			}
			next, more := page["next"].(string)
			if !more {
				break
			}
			after = "&after=" + next
		}
		if slices.Sort(seen); len(seen) != 5 || len(slices.Compact(seen)) != 5 {
			t.Errorf("%s in pages of 2: %v, want 5", path, seen)
		}
		wantProblem(t, c.call("GET", path+"?after=gone", ""), 422, "query.after")
	}
}
