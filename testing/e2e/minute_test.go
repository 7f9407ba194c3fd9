package e2e

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// watchShifts adds up how far the layout moves by itself, as the browser counts it.
const watchShifts = `window.shifted = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.shifted += e.value; }).observe({ type: "layout-shift", buffered: true });`

// From nothing to a command in the clipboard: five clicks and one value that is typed. The first page is small.
func TestFiveClicks(t *testing.T) {
	t.Parallel()
	b := newTab(t, onEachDocument(watchShifts))
	var loaded atomic.Int64
	chromedp.ListenTarget(b.ctx, func(event any) {
		if e, ok := event.(*network.EventLoadingFinished); ok {
			loaded.Add(int64(e.EncodedDataLength))
		}
	})
	b.open("/")
	if got := b.path(); got != "/signup" {
		t.Fatalf("a stranger lands on %s, want /signup", got)
	}
	b.holds("the page is quiet", `performance.getEntriesByType("resource").every((e) => e.responseEnd > 0)`)
	if got := loaded.Load(); got < 10_000 || got > 120_000 {
		t.Errorf("the first page takes %d bytes, want at most 120,000 (and not none)", got)
	}
	clicks := 0
	click := func(words string) { clicks++; b.press(words) }
	click("Create client")
	b.see("Save your client key now")
	click("Copy both")
	b.holds("saved", `document.querySelector("[data-unsaved]") === null`)
	b.fill(rowInput(1), upstream(t, "one"))
	b.holds("the check of the route", `document.querySelector("[data-row] .good")?.checkVisibility()`)
	click("Create frontend")
	b.see("Whoever holds it reaches")
	click("Download xlb-")
	got := unzip(t, b.downloaded(".zip"))
	b.see("Waiting for the first connection")
	click("Copy")
	b.holds("copied", `document.querySelector("[data-copied]")?.textContent === "Copied"`)
	if clicks != 5 {
		t.Errorf("%d clicks, want 5", clicks)
	}
	if text := got.get(t); text != "upstream one" {
		t.Errorf("the first bytes are %q, want %q", text, "upstream one")
	}
	b.see("Connected")
	var copied string
	b.run("read", chromedp.Evaluate(`navigator.clipboard.readText()`, &copied, awaits))
	if !strings.HasPrefix(copied, "unzip -o xlb-") || strings.Count(copied, "\n") != 1 {
		t.Errorf("what was copied is %q, want two commands", copied)
	}
	var shifted float64
	b.until("shifts", `window.shifted ?? null`, &shifted)
	if shifted >= 0.05 {
		t.Errorf("the layout shifted by %.3f, want less than 0.05", shifted)
	}
}

// Two tabs of one browser: a log-out in one is seen in the other.
func TestLogOutInAnotherTab(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Two tabs")
	b.open("/frontends")
	b.holds("live", `document.querySelector("[data-stamp]").textContent.startsWith("Live")`)
	// What the other tab does, with the same cookies.
	var status int
	b.run("log out elsewhere", chromedp.Evaluate(`fetch("/logout", { method: "POST", credentials: "same-origin" }).then((a) => a.status)`, &status, awaits))
	b.see("Use the client id and key that you saved")
	if got := b.path(); got != "/login?next=%2Ffrontends" {
		t.Errorf("the tab goes to %s, want the log-in and back to /frontends", got)
	}
}
