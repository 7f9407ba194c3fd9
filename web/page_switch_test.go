package web

import (
	"strings"
	"testing"
	"time"
)

// Switching a frontend off asks what becomes of its connections, with their number, and can be taken back.
func TestSwitchingAFrontendOffAsks(t *testing.T) {
	w := newCrowd(t)
	cookie := w.cookieOf(w.tenant)
	page := "/frontends/" + w.id
	question := w.do("GET", page+"/off", nil, "Cookie", cookie)
	for _, want := range []string{"Close all 4 now", "Let them finish", "What is left after 5 minutes is closed.", `name="drain" value="300"`} {
		if !strings.Contains(question.body, want) {
			t.Errorf("the question lacks %q", want)
		}
	}
	w.alive(true, true, true, true)
	done := w.follow(w.postForm(page+"/off", "drain=300", "Cookie", cookie), cookie).body
	for _, want := range []string{"Switched off. Open connections may finish.", "This frontend is switched off.", "Switch on", "Undo"} {
		if !strings.Contains(done, want) {
			t.Errorf("after switching off the page lacks %q", want)
		}
	}
	w.alive(true, true, true, true)
	if a := w.postForm(page+"/on", "", "Cookie", cookie); !strings.Contains(w.follow(a, cookie).body, "Switched on.") {
		t.Errorf("switching on: got %d, want a page that says it", a.status)
	}
	w.alive(true, true, true, true)
	if a := w.postForm(page+"/off", "drain=0", "Cookie", cookie); !strings.Contains(w.follow(a, cookie).body, "Switched off. Its connections are closed.") {
		t.Errorf("switching off at once: got %d, want a page that says it", a.status)
	}
	w.becomesQuiet(w.first)
	if a := w.postForm(page+"/off", "drain=86401", "Cookie", cookie); a.status != 422 {
		t.Errorf("a drain of more than a day: got %d, want 422", a.status)
	}
}

// The settings say that open connections stay, so switching off there gives them the time of a drain.
func TestSettingsSwitchOffWithADrain(t *testing.T) {
	w := newCrowd(t)
	cookie := []string{"Cookie", w.cookieOf(w.tenant)}
	form := w.settings(w.id, cookie, nil)
	form.Del("active")
	if a := w.postForm("/frontends/"+w.id+"/settings", form.Encode(), cookie...); a.status != 303 {
		t.Fatalf("got %d, want 303", a.status)
	}
	time.Sleep(300 * time.Millisecond) // a close comes within a few milliseconds
	w.alive(true, true, true, true)
}
