package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func (w *crowd) idOf(p program) string {
	w.Helper()
	all, _, _ := w.connections(w.id, "")
	id, _ := all[p.source]["id"].(string)
	return id
}

func TestConnectionsPageClosesOneWithoutScripts(t *testing.T) {
	w := newCrowd(t)
	cookie, page := w.cookieOf(w.tenant), "/frontends/"+w.id+"/connections"
	a := w.do("GET", page, nil, "Cookie", cookie)
	for _, p := range w.programs {
		if !strings.Contains(a.body, p.source) {
			t.Errorf("the page lacks %s", p.source)
		}
	}
	for _, want := range []string{"4 connections, newest first.", "checkout-prod", w.serial[0], w.first, `method="post" action="` + page + `"`, `aria-current="page"`} {
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%d, the page lacks %q", a.status, want)
		}
	}
	form := url.Values{"id": {w.idOf(w.programs[2])}, "q": {"checkout"}}.Encode()
	done := w.postForm(page, form, "Cookie", cookie)
	if want := page + "?q=checkout"; done.status != http.StatusSeeOther || done.header.Get("Location") != want {
		t.Fatalf("close: %d to %s, want %s", done.status, done.header.Get("Location"), want)
	}
	after := w.follow(done, cookie)
	open, _, _ := strings.Cut(after.body, `id="ended-table"`)
	if !strings.Contains(after.body, "Closed 1 connection.") || strings.Contains(open, w.programs[2].source) || !strings.Contains(after.body, "1 connection of “checkout”.") {
		t.Errorf("after the close: %s", after.body)
	}
	w.alive(true, true, false, true)
	again := w.postForm(page, form, "Cookie", cookie)
	if again.status != http.StatusSeeOther || !strings.Contains(w.follow(again, cookie).body, "That connection had ended already.") {
		t.Errorf("closed twice: %d to %s", again.status, again.header.Get("Location"))
	}
	if a := w.postForm(page, form, "Cookie", cookie, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("from another site: %d, want 403", a.status)
	}
}

// Many are closed at once; from ten on it is asked first.
func TestConnectionsPageClosesMany(t *testing.T) {
	w := newCrowd(t)
	cookie, page := w.cookieOf(w.tenant), "/frontends/"+w.id+"/connections"
	two := url.Values{"id": {w.idOf(w.programs[0]), w.idOf(w.programs[2])}, "route": {w.first}}
	done := w.postForm(page, two.Encode(), "Cookie", cookie)
	want := page + "?" + url.Values{"route": {w.first}}.Encode()
	if done.header.Get("Location") != want {
		t.Errorf("it leads to %q, want %q", done.header.Get("Location"), want)
	}
	if after := w.follow(done, cookie).body; !strings.Contains(after, "Closed 2 connections.") {
		t.Error("the page does not say that 2 are closed")
	}
	w.alive(false, true, false, true)
	many := url.Values{"id": strings.Split("901 902 903 904 905 906 907 908 909", " ")}
	many.Add("id", w.idOf(w.programs[1]))
	question := w.postForm(page, many.Encode(), "Cookie", cookie)
	if question.status != 200 || !strings.Contains(question.body, "Close 10 connections?") || strings.Count(question.body, `name="id"`) != 10 {
		t.Errorf("ten: %d, want a question that has all of them", question.status)
	}
	w.alive(false, true, false, true)
	many.Set("sure", "1")
	if after := w.follow(w.postForm(page, many.Encode(), "Cookie", cookie), cookie).body; !strings.Contains(after, "Closed 1 connection.") {
		t.Error("the page does not say that the one that was left is closed")
	}
	w.alive(false, false, false, true)
	// They have ended, and the page and the API say of whom, and why.
	after := w.do("GET", page, nil, "Cookie", cookie).body
	if n := strings.Count(after, "Closed by you, or its route was removed"); n != 3 {
		t.Errorf("%d have ended by a close, want 3", n)
	}
	items := w.call("GET", w.path()+"/ended", "").object(t)["items"].([]any)
	if len(items) != 3 {
		t.Fatalf("the API lists %d ended connections, want 3", len(items))
	}
	first := items[0].(map[string]any)
	if first["reason"] != "killed" || first["source"] != w.programs[1].source || first["bytesIn"] != 15.0 || first["name"] == "" || first["route"] == "" {
		t.Errorf("the newest is %v, want the connection that was closed last", first)
	}
	if one := w.call("GET", w.path()+"/ended?limit=1", "").object(t)["items"].([]any); len(one) != 1 {
		t.Errorf("with a limit of 1 there are %d", len(one))
	}
	wantProblem(t, w.call("GET", w.path()+"/ended?limit=1001", ""), 422, "query.limit")
	if a := w.signUp("stranger").call("GET", w.path()+"/ended", ""); a.status != 404 {
		t.Errorf("a stranger: %d, want 404", a.status)
	}
}

func TestConnectionsPageFiltersByRoute(t *testing.T) {
	w := newCrowd(t)
	body := w.do("GET", "/frontends/"+w.id+"/connections?"+url.Values{"route": {w.first}}.Encode(), nil, "Cookie", w.cookieOf(w.tenant)).body
	listed := 0
	for _, p := range w.programs {
		if strings.Contains(body, p.source) {
			listed++
		}
	}
	if listed != 2 {
		t.Errorf("%d connections to %s are listed, want the 2 that it has", listed, w.first)
	}
}

func TestConnectionsPageFiltersAndSaysWhenThereAreNone(t *testing.T) {
	w := newCrowd(t)
	cookie := w.cookieOf(w.tenant)
	quiet := w.frontend("10.0.0.1:80")
	for path, want := range map[string]string{
		w.id + "/connections?q=reports": "2 connections of “reports”.",
		w.id + "/connections?q=nothing": "No open connection matches “nothing”.",
		quiet + "/connections":          "No open connections",
	} {
		if a := w.do("GET", "/frontends/"+path, nil, "Cookie", cookie); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d without %q", path, a.status, want)
		}
	}
}

func TestConnectionsPageOfAnotherClientIsNotThere(t *testing.T) {
	w := newCrowd(t)
	other := w.signUp("other")
	cookie, page, id := w.cookieOf(other), "/frontends/"+w.id+"/connections", w.idOf(w.programs[0])
	if a := w.do("GET", page, nil, "Cookie", cookie); a.status != 404 || strings.Contains(a.body, w.programs[0].source) {
		t.Errorf("the page: %d", a.status)
	}
	if a := w.do("GET", "/events?view=connections&id="+w.id, nil, "Cookie", cookie); a.status != 404 {
		t.Errorf("the stream: %d, want 404", a.status)
	}
	if a := w.postForm(page, "id="+id, "Cookie", cookie); a.status != 404 {
		t.Errorf("close: %d, want 404", a.status)
	}
	if a := w.postForm("/frontends/"+other.frontend("10.0.0.1:80")+"/connections", "id="+id, "Cookie", cookie); !strings.Contains(w.follow(a, cookie).body, "That connection had ended already.") {
		t.Errorf("close under a frontend of one's own: %d %v", a.status, a.header)
	}
	w.alive(true, true, true, true)
}

func TestConnectionsPageIsLive(t *testing.T) {
	t.Parallel() // it waits most of the time
	w := newCrowd(t)
	events := w.streamOf(t, "/events?view=connections&id="+w.id, w.cookieOf(w.tenant))
	if all := events.until("connection-table"); !strings.Contains(all, "4 connections, newest first.") {
		t.Errorf("the first table lacks the 4 connections: %s", all)
	}
	if a := w.call("DELETE", w.path()+"/"+w.idOf(w.programs[0]), ""); a.status != 204 {
		t.Fatalf("close: %d %s, want 204", a.status, a.body)
	}
	events.says("3 connections, newest first.")
}
