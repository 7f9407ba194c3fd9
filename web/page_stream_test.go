package web

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// An open page goes from address to address and keeps its stream, which is told the view.
func TestStreamGoesOnWithAnotherView(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c := f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	cookie := f.cookieOf(c)
	events := f.streamOf(t, "/events?view=page", cookie)
	stream := events.until("stream")
	turn := func(cookie string, pairs ...string) answer {
		form := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return f.postForm("/events/view", form.Encode(), "Cookie", cookie)
	}
	for i, view := range []string{"frontends", "frontend"} {
		if a := turn(cookie, "stream", stream, "view", view, "id", id, "number", []string{"1", "2"}[i]); a.status != http.StatusNoContent {
			t.Fatalf("the turn to %s: %d %s, want 204", view, a.status, a.body)
		}
		if got, want := events.until("view"), []string{"1", "2"}[i]; got != want {
			t.Errorf("the stream says view %s, want %s", got, want)
		}
		events.until(map[string]string{"frontends": "frontend-table", "frontend": "frontend-live"}[view])
	}
	other := f.cookieOf(f.signUp("another"))
	for name, a := range map[string]answer{
		"another client":           turn(other, "stream", stream, "view", "frontends"),
		"another session":          turn(f.cookieOf(c), "stream", stream, "view", "frontends"),
		"no such view":             turn(cookie, "stream", stream, "view", "nothing"),
		"a stream that is unknown": turn(cookie, "stream", "guess", "view", "frontends"),
	} {
		if a.status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", name, a.status)
		}
	}
	// A frontend that is not there ends the stream: the page asks the server what has become of it.
	turn(cookie, "stream", stream, "view", "frontend", "id", "0198a1f2-0000-7000-8000-000000000000", "number", "3")
	events.until("gone")
}

// pageEvents reads an event stream of a page.
type pageEvents struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (f *fixture) streamOf(t *testing.T, path, cookie string) *pageEvents {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.url+path, nil)
	must(t, err)
	req.Header.Set("Cookie", cookie)
	resp, err := f.client.Do(req)
	must(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	timer := time.AfterFunc(20*time.Second, func() { resp.Body.Close() })
	t.Cleanup(func() { timer.Stop() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &pageEvents{t: t, lines: lines}
}

// until reads to an event of this name and returns the first line of its data.
func (e *pageEvents) until(name string) string {
	e.t.Helper()
	for e.lines.Scan() {
		if e.lines.Text() != "event: "+name {
			continue
		}
		e.lines.Scan()
		return strings.TrimPrefix(e.lines.Text(), "data: ")
	}
	e.t.Fatalf("the stream ended without %q", name)
	return ""
}

// says reads to a line with this text.
func (e *pageEvents) says(text string) {
	e.t.Helper()
	for e.lines.Scan() {
		if strings.Contains(e.lines.Text(), text) {
			return
		}
	}
	e.t.Fatalf("the stream ended and never said %q", text)
}
