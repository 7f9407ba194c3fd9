package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keys presses single keys, one after the other.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.run("press "+key, chromedp.KeyEvent(key))
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Typist")
	first := b.newFrontend("first", upstream(t, "one"))
	b.newFrontend("second", upstream(t, "two"))
	b.open("/")
	b.keys("?")
	b.see("Previous or next tab")
	b.shoot("keys")
	b.keys(kb.Escape)
	b.holds("the list is closed", `document.querySelector("dialog[open]") === null`)

	b.leave("g f", func() { b.keys("g", "f") })
	if got := b.path(); got != "/frontends" {
		t.Errorf("g f leads to %s, want /frontends", got)
	}
	b.keys("j", "j")
	b.holds("the second row", `document.activeElement.closest("tr") === document.querySelectorAll("#main tbody tr")[1]`)
	b.keys("k")
	b.holds("the first row", `document.activeElement.closest("tr") === document.querySelectorAll("#main tbody tr")[0]`)
	b.leave("Enter", func() { b.keys(kb.Enter) })
	b.open(first)
	b.leave("]", func() { b.keys("]") })
	if got := b.path(); got == first {
		t.Error("] leads to no other tab")
	}
	b.leave("[", func() { b.keys("[") })
	if got := b.path(); got != first {
		t.Errorf("[ leads to %s, want %s", got, first)
	}
	b.keys("/")
	b.holds("the focus in the search", `document.activeElement.matches("[data-search]")`)
	b.keys("?", "n")
	b.holds("keys are text while one types", `document.activeElement.value.endsWith("?n") && document.querySelector("dialog[open]") === null`)
	b.keys(kb.Escape)

	b.open(first + "/connect?tool=curl")
	b.keys("c")
	b.holds("the command is copied", `document.querySelector("[data-copied]")?.textContent === "Copied"`)
	var copied string
	b.run("read", chromedp.Evaluate(`navigator.clipboard.readText()`, &copied, awaits))
	if want := b.text("#command"); copied != want {
		t.Errorf("copied is %q, want %q", copied, want)
	}
}

// A message is heard and reached by F6, an error stays; the side bar says when the server is gone.
func TestServerIsGone(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Offline")
	b.open("/")
	b.holds("live", `document.querySelector("[data-stamp]").textContent.startsWith("Live")`)
	b.allow("ERR_INTERNET_DISCONNECTED")
	b.allow("net::ERR")
	b.offline(true)
	b.press("Account")
	b.see("XLB does not answer. Nothing was changed on this page.")
	b.holds("an alert", `document.querySelector("#toasts [role=alert]") !== null`)
	if got := b.path(); got != "/" {
		t.Errorf("the address is %s, want that of the page that is shown, /", got)
	}
	b.keys(kb.F6)
	b.holds("the focus on the message", `document.querySelector("#toasts").contains(document.activeElement)`)
	b.shoot("server-gone")
	b.keys(kb.Enter)
	b.holds("the message is closed", `document.querySelector("#toasts").children.length === 0`)
	b.offline(false)
	b.follow("Account")
	b.holds("the server is there", `document.querySelector("[data-reach]").hidden`)
}
