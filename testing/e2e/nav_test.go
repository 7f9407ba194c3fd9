package e2e

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Inside the dashboard a click brings another page into the same document, and one event stream lives on through it.
func TestOneDocumentManyAddresses(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Walker")
	frontend := b.newFrontend("walked", upstream(t, "one"))
	b.open("/")
	b.holds("the stream is open", `document.querySelector("[data-stamp]").textContent.startsWith("Live")`)

	var documents, streams atomic.Int32
	chromedp.ListenTarget(b.ctx, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			switch {
			case e.Type == network.ResourceTypeDocument:
				documents.Add(1)
			case strings.Contains(e.Request.URL, "/events?"):
				streams.Add(1)
			}
		}
	})
	for _, step := range []struct{ words, path, title string }{
		{"Frontends", "/frontends", "Frontends · XLB"},
		{"walked", frontend, "walked · XLB"},
		{"Settings", frontend + "/settings", "walked · Settings · XLB"},
		{"Account", "/account", "Account · XLB"},
	} {
		b.follow(step.words)
		if got := b.path(); got != step.path {
			t.Errorf("%s leads to %s, want %s", step.words, got, step.path)
		}
		b.holds("the title "+step.title, `document.title === "`+step.title+`"`)
		b.holds("the focus on the heading", `document.activeElement?.localName === "h1"`)
	}
	b.holds("the current entry of the side bar", `document.querySelector("#side [aria-current=page]").textContent.includes("Account")`)
	b.fill("#client-name", "Wanderer")
	b.follow("Save name")
	b.see("The name is saved.")
	b.holds("the new name in the side bar", `document.querySelector("#side .who b").textContent === "Wanderer"`)
	if documents.Load() != 0 {
		t.Errorf("%d documents were loaded, want 0", documents.Load())
	}

	b.leave("back", func() { b.run("back", chromedp.Evaluate(`history.back()`, nil)) })
	if got := b.path(); got != frontend+"/settings" {
		t.Errorf("back leads to %s, want the settings", got)
	}
	b.leave("back again", func() { b.run("back", chromedp.Evaluate(`history.back()`, nil)) })
	b.holds("the focus on the link that was used", `document.activeElement?.getAttribute("href") === "`+frontend+`/settings"`)
	b.holds("the stream brings this page's parts", `document.querySelector("[data-stamp]").textContent.startsWith("Live")`)
	if documents.Load() != 0 || streams.Load() != 0 {
		t.Errorf("%d documents and %d event streams, want none: the first stream goes on", documents.Load(), streams.Load())
	}
	// What arrives is this page's: a connection shows within a second or two.
	b.open(frontend + "/certificate")
	b.follow("Download xlb-walked.zip")
	unzip(t, b.downloaded(".zip")).hold(t)
	streams.Store(0)
	b.open("/")
	b.follow("walked")
	b.holds("the connection", `document.querySelector("#frontend-live")?.textContent.includes("walked") !== undefined && document.querySelector("#frontend-live .node b")?.textContent.trim() === "1"`)
	if streams.Load() > 1 {
		t.Errorf("%d event streams for two pages, want 1", streams.Load())
	}
	b.holds("the charts are drawn", `document.querySelectorAll("[data-plot] canvas").length === 6`)
	documents.Store(0)
	b.follow("Settings")
	if documents.Load() != 0 {
		t.Errorf("%d documents after the charts were drawn, want none", documents.Load())
	}
}

// Without the browser's Navigation API links and forms are what they always were.
func TestWithoutTheNavigationAPI(t *testing.T) {
	t.Parallel()
	b := newTab(t, onEachDocument(`delete Window.prototype.navigation; delete window.navigation`))
	b.signUp("Plain")
	b.holds("no API", `window.navigation === undefined`)
	frontend := b.newFrontend("plain", upstream(t, "one"))
	b.follow("Download xlb-plain.zip")
	b.downloaded(".zip")
	b.open("/")
	b.follow("Frontends")
	b.follow("plain")
	if got := b.path(); got != frontend {
		t.Errorf("the link leads to %s, want %s", got, frontend)
	}
}

// onEachDocument runs a script before those of each document.
func onEachDocument(script string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
		return err
	})
}

// A page that takes its time shows a line meanwhile, over the page that one is on.
func TestProgressShowsWhenItTakesLong(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Patient")
	b.open("/")
	slow := []*network.Conditions{{Latency: 1500, DownloadThroughput: -1, UploadThroughput: -1}}
	b.run("slow", chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := network.EmulateNetworkConditionsByRule(false, slow).Do(ctx)
		return err
	}))
	b.press("Account")
	b.holds("the line", `document.querySelector("#progress").checkVisibility() && location.pathname === "/"`)
	b.holds("the page, without the line", `location.pathname === "/account" && document.querySelector("#progress").hidden`)
}
