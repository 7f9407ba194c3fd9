package web

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// inputsOf is what a browser would send of the form on a page that has a revision, as pairs.
func inputsOf(t *testing.T, page string) (fields [][2]string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	must(t, err)
	var walk func(n *html.Node, inTemplate bool)
	walk = func(n *html.Node, inTemplate bool) {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		_, checked := attr["checked"]
		switch {
		case n.Type != html.ElementNode || inTemplate || attr["name"] == "" || attr["name"] == "q" || attr["name"] == "theme":
		case n.Data == "input" && (attr["type"] != "checkbox" && attr["type"] != "radio" || checked):
			fields = append(fields, [2]string{attr["name"], attr["value"]})
		case n.Data == "textarea":
			text := ""
			if n.FirstChild != nil {
				text = n.FirstChild.Data
			}
			fields = append(fields, [2]string{attr["name"], text})
		case n.Data == "select":
			fields = append(fields, [2]string{attr["name"], selectedOf(n)})
		}
		for child := n.FirstChild; child != nil; child = child.NextSibling {
			walk(child, inTemplate || n.Data == "template")
		}
	}
	walk(doc, false)
	return fields
}

func selectedOf(n *html.Node) (value string) {
	first := true
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if child.Data != "option" {
			continue
		}
		own, selected := "", false
		for _, a := range child.Attr {
			if a.Key == "value" {
				own = a.Val
			}
			selected = selected || a.Key == "selected"
		}
		if first || selected {
			value = own
		}
		if first = false; selected {
			return own
		}
	}
	return value
}

func TestSettingsWithoutScripts(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := []string{"Cookie", f.cookieOf(c)}
	id := c.frontend("10.0.0.1:80")
	path := "/frontends/" + id + "/settings"
	form := f.settings(id, cookie, map[string]string{
		"idleTimeoutSec": "90", "check.kind": "http", "check.path": "/healthz", "weight": "7", "role": "backup", "closeOnDown": "on",
		"strategy": "4", "proxyProtocol": "2", "routeTls.mode": "verify",
	})
	if a := f.postForm(path, form.Encode(), cookie...); a.status != 303 {
		t.Fatalf("%d %s, want 303", a.status, a.body)
	}
	v := c.call("GET", "/api/v1/client/frontend/"+id, "").object(t)
	check, route := v["check"].(map[string]any), v["routes"].([]any)[0].(map[string]any)
	if v["idleTimeoutSec"] != 90.0 || check["kind"] != "http" || check["path"] != "/healthz" || v["closeOnDown"] != true || v["strategy"] != 4.0 ||
		route["weight"] != 7.0 || route["backup"] != true || v["proxyProtocol"] != 2.0 || v["routeTls"].(map[string]any)["mode"] != "verify" {
		t.Errorf("got %v, want what was typed into each field", v)
	}
	if v["keepAliveSec"] != 60.0 || v["ejectAfter"] != 5.0 || v["queueLimit"] != 1024.0 {
		t.Errorf("what was not touched has changed: %v", v)
	}
	page := f.do("GET", path, nil, cookie...).body
	for _, words := range []string{"Changed from 3,600 seconds, the default.", "Default 60 seconds, from 0 to 7,200.", "Default 0, no bound, from 0 to 1,000,000.", `value="/healthz"`} {
		if !strings.Contains(page, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	wrong := f.settings(id, cookie, map[string]string{"idleTimeoutSec": "soon", "check.path": "nowhere", "name": "kept"})
	a := f.postForm(path, wrong.Encode(), cookie...)
	if a.status != 422 || !strings.Contains(a.body, `value="soon"`) || !strings.Contains(a.body, "Use 1 to 604800.") ||
		!strings.Contains(a.body, "Begin with / and use no spaces") || !strings.Contains(a.body, `value="kept"`) {
		t.Errorf("got %d %s, want 422 that names the path and keeps what was typed", a.status, a.body)
	}
}

// Two people edit the same frontend: the second one chooses for each setting that the first one has saved otherwise.
func TestSettingsConflict(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := []string{"Cookie", f.cookieOf(c)}
	id := c.frontend("10.0.0.1:80")
	path := "/frontends/" + id + "/settings"
	mine := f.settings(id, cookie, map[string]string{"idleTimeoutSec": "90", "queueLimit": "10", "name": "mine"})
	c.call("PATCH", "/api/v1/client/frontend/"+id, `{"keepAliveSec":17,"queueLimit":11,"name":"theirs","closeOnDown":true,"proxyProtocol":2}`)
	a := f.postForm(path, mine.Encode(), cookie...)
	if a.status != 409 {
		t.Fatalf("got %d %.300s, want 409", a.status, a.body)
	}
	again := url.Values{}
	for _, field := range inputsOf(t, a.body) {
		if field[0] != "route" || field[1] != "" {
			again.Add(field[0], field[1])
		}
	}
	proposed := map[string]string{}
	for name := range again {
		if key, is := strings.CutPrefix(name, "take-"); is {
			proposed[key] = again.Get(name)
		}
	}
	want := map[string]string{"name": "mine", "queueLimit": "mine", "keepAliveSec": "saved", "closeOnDown": "saved", "proxyProtocol": "saved"}
	if !maps.Equal(proposed, want) {
		t.Errorf("proposed is %v, want %v", proposed, want)
	}
	again.Set("take-queueLimit", "saved")
	again.Set("take-proxyProtocol", "mine")
	if a := f.postForm(path, again.Encode(), cookie...); a.status != 303 {
		t.Fatalf("got %d %.300s, want 303", a.status, a.body)
	}
	saved := c.call("GET", "/api/v1/client/frontend/"+id, "").object(t)
	for field, want := range map[string]any{
		"name": "mine", "idleTimeoutSec": 90.0, "queueLimit": 11.0, "keepAliveSec": 17.0, "closeOnDown": true, "proxyProtocol": 0.0,
	} {
		if saved[field] != want {
			t.Errorf("%s is %v, want %v", field, saved[field], want)
		}
	}
}

// Whoever saves a third time meanwhile is not overwritten either, and what was chosen so far stays chosen.
func TestConflictAfterAConflict(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := []string{"Cookie", f.cookieOf(c)}
	id := c.frontend("10.0.0.1:80")
	path := "/frontends/" + id + "/settings"
	first := f.settings(id, cookie, map[string]string{"idleTimeoutSec": "90"})
	first.Set("take-idleTimeoutSec", "saved")
	first.Set("take-nothing", "saved")
	c.call("PATCH", "/api/v1/client/frontend/"+id, `{"idleTimeoutSec":91}`)
	a := f.postForm(path, first.Encode(), cookie...)
	if a.status != 409 || strings.Contains(a.body, `name="take-idleTimeoutSec"`) {
		t.Errorf("got %d, with a question that was answered: %v, want 409 without", a.status, a.status == 409)
	}
	if saved := c.call("GET", "/api/v1/client/frontend/"+id, "").object(t); saved["idleTimeoutSec"] != 91.0 {
		t.Errorf("idleTimeoutSec is %v, want 91", saved["idleTimeoutSec"])
	}
}

func TestRouteVerbs(t *testing.T) {
	f := start(t)
	c, stranger := f.signUp("testuser"), f.signUp("stranger")
	cookie := []string{"Cookie", f.cookieOf(c)}
	id := c.frontend("10.0.0.1:80", "10.0.0.2:80")
	post := func(cookie []string, dest, state string) answer {
		return f.postForm("/frontends/"+id+"/route", url.Values{"dest": {dest}, "do": {state}}.Encode(), cookie...)
	}
	for _, step := range []struct{ verb, state, word string }{
		{"drain", "draining", "Draining"}, {"maintenance", "maintenance", "Maintenance"}, {"ready", "unknown", "Unknown"},
	} {
		if a := post(cookie, "10.0.0.2:80", step.verb); a.status != 303 {
			t.Fatalf("%s: %d %s, want 303", step.verb, a.status, a.body)
		}
		_, all := c.routes(id)
		if all["10.0.0.2:80"]["state"] != step.state || all["10.0.0.1:80"]["state"] != "unknown" {
			t.Errorf("after %s: %v", step.verb, all)
		}
		if page := f.do("GET", "/frontends/"+id, nil, cookie...).body; !strings.Contains(page, step.word) {
			t.Errorf("the page does not say %q", step.word)
		}
	}
	// Undo takes the last one back, and is offered for the last one only.
	undoOf := func(after answer) url.Values {
		t.Helper()
		page := f.follow(after, cookie[1]).body
		_, form, offered := strings.Cut(page, `action="/frontends/`+id+`/revisions/`)
		if !offered {
			return nil
		}
		number, form, _ := strings.Cut(form, `"`)
		_, form, _ = strings.Cut(form, `name="revision" value="`)
		revision, _, _ := strings.Cut(form, `"`)
		return url.Values{"number": {number}, "revision": {revision}, "undo": {"1"}}
	}
	drained := post(cookie, "10.0.0.2:80", "drain")
	undo := undoOf(drained)
	if undo == nil {
		t.Fatal("there is no way back")
	}
	a := f.postForm("/frontends/"+id+"/revisions/"+undo.Get("number"), undo.Encode(), cookie...)
	if _, all := c.routes(id); a.status != 303 || all["10.0.0.2:80"]["state"] != "unknown" {
		t.Errorf("after Undo: %d, %v", a.status, all)
	}
	if page := f.follow(a, cookie[1]).body; !strings.Contains(page, "Undone.") {
		t.Error("the page does not say that it is undone")
	}
	if undoOf(drained) != nil {
		t.Error("the old page still offers a way back, after another change")
	}
	if a := f.postForm("/frontends/"+id+"/revisions/"+undo.Get("number"), undo.Encode(), cookie...); a.status != 412 {
		t.Errorf("an old form: %d, want 412", a.status)
	}
	for _, wrong := range []struct {
		cookie      []string
		dest, state string
		status      int
	}{
		{cookie, "10.0.0.9:80", "drain", 404}, {cookie, "10.0.0.1:80", "explode", 422}, {[]string{"Cookie", f.cookieOf(stranger)}, "10.0.0.1:80", "drain", 404},
	} {
		if a := post(wrong.cookie, wrong.dest, wrong.state); a.status != wrong.status {
			t.Errorf("%s %s: %d, want %d", wrong.state, wrong.dest, a.status, wrong.status)
		}
	}
}

// Routes that were put into one field come apart, with scripts or without, and what a browser's address line adds is said.
func TestSeveralRoutesInOneField(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := []string{"Cookie", f.cookieOf(c)}
	form := url.Values{"name": {"x"}, "strategy": {"0"}, "routeTimeoutSec": {"30"}, "route": {"10.0.0.1:80, 10.0.0.2:80\n10.0.0.3:80;10.0.0.4:80", ""}}
	a := f.postForm("/frontends/new", form.Encode(), cookie...)
	if a.status != 303 {
		t.Fatalf("%d, want 303: %s", a.status, a.body)
	}
	one := c.call("GET", "/api/v1/client/frontend", "").object(t)["items"].([]any)[0].(map[string]any)
	if routes := one["routes"].([]any); len(routes) != 4 || routes[3].(map[string]any)["dest"] != "10.0.0.4:80" {
		t.Errorf("got %v, want four routes with 10.0.0.4:80 last", routes)
	}
	form.Set("route", "http://10.0.0.1:80")
	if a := f.postForm("/frontends/new", form.Encode(), cookie...); a.status != 422 || !strings.Contains(a.body, "Leave out http://") {
		t.Errorf("a URL: %d, want 422 that says what to leave out", a.status)
	}
}
