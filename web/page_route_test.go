package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What closes connections, or gives them a time to end, asks first and says how many.
func TestRouteVerbsAskBeforeTheyCloseConnections(t *testing.T) {
	w := newCrowd(t)
	cookie := w.cookieOf(w.tenant)
	page := "/frontends/" + w.id
	route := func(pairs ...string) answer {
		form := url.Values{"dest": {w.first}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return w.postForm(page+"/route", form.Encode(), "Cookie", cookie)
	}
	for verb, words := range map[string][]string{
		"maintenance": {"Close 2 connections of " + w.first + "?", "Keep them"},
		"remove":      {"Remove " + w.first + "?", "the 2 open connections have 5 min to finish", "Keep it"},
	} {
		a := route("do", verb)
		if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Location"), "do="+verb) {
			t.Fatalf("%s: %d to %q, want the question", verb, a.status, a.header.Get("Location"))
		}
		question := w.follow(a, cookie)
		for _, want := range words {
			if !strings.Contains(question.body, want) {
				t.Errorf("%s: the question lacks %q", verb, want)
			}
		}
	}
	w.alive(true, true, true, true)
	if a := route("do", "drain"); !strings.Contains(w.follow(a, cookie).body, w.first+" drains. 2 connections left.") {
		t.Errorf("drain: %d, and the page does not say what is left", a.status)
	}
	w.alive(true, true, true, true)
	if a := route("do", "maintenance", "sure", "1"); !strings.Contains(w.follow(a, cookie).body, w.first+" is in maintenance. 2 connections closed.") {
		t.Errorf("maintenance: %d, and the page does not say what it closed", a.status)
	}
	w.becomesQuiet(w.first)
	if a := route("do", "remove"); !strings.Contains(w.follow(a, cookie).body, w.first+" is removed.") {
		t.Errorf("remove, without connections: %d, want no question", a.status)
	}
	if a := route("do", "drain"); a.status != http.StatusNotFound {
		t.Errorf("of a route that is removed: %d, want 404", a.status)
	}
}

// becomesQuiet waits until a route has no connections.
func (w *crowd) becomesQuiet(dest string) {
	w.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, all := w.routes(w.id); all[dest]["connections"] == 0.0 {
			return
		}
	}
	w.Fatalf("%s still has connections after 5 s, want none", dest)
}

func TestWeightOfARoute(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80", "10.0.0.2:80")
	page := "/frontends/" + id + "/route"
	if a := f.do("GET", page+"?dest=10.0.0.2%3A80&do=weight", nil, "Cookie", cookie); a.status != 200 || !strings.Contains(a.body, "Weight and capacity of 10.0.0.2:80") {
		t.Fatalf("%d, want a form for the weight", a.status)
	}
	a := f.postForm(page, "dest=10.0.0.2%3A80&do=weight&weight=3&capacity=20", "Cookie", cookie)
	if a.status != http.StatusSeeOther {
		t.Fatalf("%d, want 303", a.status)
	}
	route := c.call("GET", "/api/v1/client/frontend/"+id, "").object(t)["routes"].([]any)[1].(map[string]any)
	if route["weight"] != 3.0 || route["capacity"] != 20.0 {
		t.Errorf("%v, want weight 3 and capacity 20", route)
	}
	for _, wrong := range []string{"weight=0.5", "weight=9999", "weight=x&capacity=5"} {
		a := f.postForm(page, "dest=10.0.0.2%3A80&do=weight&"+wrong, "Cookie", cookie)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Use 1 to 256") || !strings.Contains(a.body, `aria-invalid="true"`) {
			t.Errorf("%s: %d, want 422 with the bounds beside the field", wrong, a.status)
		}
	}
	for _, verb := range []string{"drain", "explode", ""} {
		if a := f.do("GET", page+"?dest=10.0.0.2%3A80&do="+verb, nil, "Cookie", cookie); a.status != http.StatusNotFound {
			t.Errorf("a question about %q: %d, want 404", verb, a.status)
		}
	}
	stranger := f.cookieOf(f.signUp("stranger"))
	if a := f.do("GET", page+"?dest=10.0.0.2%3A80&do=weight", nil, "Cookie", stranger); a.status != http.StatusNotFound {
		t.Errorf("a stranger: %d, want 404", a.status)
	}
}

// The page of a frontend says who is connected, where to, and what there was in the last minutes.
func TestFrontendPageFollowsItsTraffic(t *testing.T) {
	t.Parallel() // it waits most of the time
	w := newCrowd(t)
	cookie := w.cookieOf(w.tenant)
	page := "/frontends/" + w.id
	var body string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if body = w.do("GET", page, nil, "Cookie", cookie).body; strings.Contains(body, "data-series=") {
			break
		}
	}
	for _, want := range []string{
		"<b>checkout-prod</b> <small>2 connections</small>", "<b>reports</b>", "<b>4</b> <small>connections</small>", `Connections <span class="num">4</span>`,
		"Time to connect to a route", "Longest wait for a route", `aria-current="true">5 min<`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for query, want := range map[string]string{"?range=1h": `aria-current="true">1 h<`, "?range=24h": `aria-current="true">24 h<`, "?range=x": `aria-current="true">5 min<`} {
		if body := w.do("GET", page+query, nil, "Cookie", cookie).body; !strings.Contains(body, want) {
			t.Errorf("%s: the page lacks %q", query, want)
		}
	}
	tables := w.do("GET", page+"?tables=all", nil, "Cookie", cookie).body
	if n := strings.Count(tables, ">Lowest<"); n != 8 || strings.Contains(tables, "data-series=") {
		t.Errorf("%d tables, want one for each of the 8 lines and no chart", n)
	}
	if one := w.do("GET", page+"?tables=connect", nil, "Cookie", cookie).body; strings.Count(one, ">Lowest<") != 2 || !strings.Contains(one, "data-series=") {
		t.Error("one chart as a table takes others along, or is none")
	}
}
