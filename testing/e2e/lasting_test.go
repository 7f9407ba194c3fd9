package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"
)

// What takes minutes, or needs a machine that does nothing else: `make check` runs these, each alone.

// lasting is a tab for a test that takes long; skipped where nobody asked for it.
func lasting(t *testing.T, actions ...chromedp.Action) *tab {
	t.Helper()
	if os.Getenv("XLB_LASTING") == "" {
		t.Skip("takes minutes: make check runs it, or XLB_LASTING=1")
	}
	return newTabFor(t, 8*time.Minute, actions...)
}

// held is what a page holds on to once everything that can go has gone.
type held struct {
	heap             float64 // bytes
	nodes, listeners int64
}

func (h held) String() string {
	return fmt.Sprintf("%.2f MB, %d nodes, %d listeners", h.heap/1e6, h.nodes, h.listeners)
}

func (b *tab) holding() (h held) {
	b.t.Helper()
	b.run("what the page holds", chromedp.ActionFunc(func(ctx context.Context) error {
		for range 3 { // what an observer or a finalizer still had goes with the next one
			if err := heapprofiler.CollectGarbage().Do(ctx); err != nil {
				return err
			}
		}
		var err error
		if h.heap, _, _, _, err = runtime.GetHeapUsage().Do(ctx); err != nil {
			return err
		}
		_, h.nodes, h.listeners, err = memory.GetDOMCounters().Do(ctx)
		return err
	}))
	return h
}

// grown fails the test when a page holds more than before. One that loses what it does not need would be as it was: the bound
// is for caches of the browser.
func (b *tab) grown(what string, before, after held) {
	b.t.Helper()
	b.t.Logf("%s: before %v, after %v", what, before, after)
	if after.heap > before.heap*1.1+500_000 || after.nodes > before.nodes+before.nodes/10+50 || after.listeners > before.listeners+before.listeners/10+10 {
		b.t.Errorf("%s: the page grew from %v to %v", what, before, after)
	}
}

// keepUpdates keeps what the server sends, and replays it. Each one goes the way of one that comes from the server.
const keepUpdates = `window.kept = [];
document.addEventListener("xlb:morph", ({ detail }) => { if (!window.replays && detail.id !== "side") window.kept.push(detail); });
window.replay = async (times) => {
	window.replays = true;
	for (let i = 0; i < times; i++) {
		document.dispatchEvent(new CustomEvent("xlb:morph", { detail: window.kept[i % window.kept.length] }));
		if (i % 10 === 0) await new Promise(requestAnimationFrame);
	}
	window.replays = false;
	return times;
};`

// An hour of updates, one each second: 30 seconds of them come from the server, with traffic, and again and again then.
func TestLastingUpdatesDoNotGrowThePage(t *testing.T) {
	b := lasting(t, onEachDocument(keepUpdates))
	b.signUp("Patient")
	frontend := b.newFrontend("orders-db", upstream(t, "one"), upstream(t, "two"))
	b.follow("Download xlb-orders-db.zip")
	got := unzip(t, b.downloaded("orders-db.zip"))
	b.open(frontend)
	for range 60 {
		got.get(t)
		time.Sleep(500 * time.Millisecond)
	}
	b.holds("there are updates", `window.kept.length >= 30`)
	replay := func(times int) {
		b.run("replay", chromedp.Evaluate(fmt.Sprintf(`window.replay(%d)`, times), nil, awaits))
	}
	replay(20)
	before := b.holding()
	for range 36 { // in parts: one step has 30 s
		replay(100)
	}
	b.grown("3,600 updates", before, b.holding())
	b.holds("the charts are still drawn", `document.querySelectorAll("[data-plot] canvas").length === 6`)
}

func TestLastingNavigationDoesNotGrowThePage(t *testing.T) {
	b := lasting(t)
	b.signUp("Walker")
	frontend := b.newFrontend("orders-db", upstream(t, "one"), upstream(t, "two"))
	b.follow("Download xlb-orders-db.zip")
	unzip(t, b.downloaded("orders-db.zip")).get(t)
	b.open("/")
	walk := func(times int) {
		for i := range times {
			path := []string{"/frontends", frontend, frontend + "/settings", frontend + "/connections", frontend + "/refused", "/certificates", "/activity", "/account", frontend + "/connect", "/"}[i%10]
			b.leave(path, func() { b.run(path, chromedp.Evaluate(fmt.Sprintf(`location.assign(%q)`, path), nil)) })
		}
	}
	walk(60) // by then the library for the charts is there, and one page that was left is kept for the next swap
	before := b.holding()
	walk(200)
	b.holds("it is one document", `performance.getEntriesByType("navigation").length === 1`)
	b.grown("200 navigations", before, b.holding())
}

// flapping listens on a port for a while, and then does not, until the test ends.
func flapping(t *testing.T, up, down time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	end := make(chan struct{})
	var ended sync.WaitGroup
	t.Cleanup(func() { close(end); ended.Wait() })
	ended.Go(func() {
		for {
			select {
			case <-end:
				l.Close()
				return
			case <-time.After(up):
			}
			l.Close()
			select {
			case <-end:
				return
			case <-time.After(down):
			}
			if l, err = net.Listen("tcp", address); err != nil {
				t.Errorf("listen again: %v", err)
				return
			}
		}
	})
	return address
}

// browserTime is the processor time of the whole browser.
func (b *tab) browserTime() (sum time.Duration) {
	b.t.Helper()
	err := chromedp.Run(chromium, chromedp.ActionFunc(func(ctx context.Context) error {
		c := chromedp.FromContext(ctx)
		all, err := systeminfo.GetProcessInfo().Do(cdp.WithExecutor(ctx, c.Browser))
		for _, p := range all {
			sum += time.Duration(p.CPUTime * float64(time.Second))
		}
		return err
	}))
	if err != nil {
		b.t.Fatalf("processor time of the browser: %v", err)
	}
	return sum
}

// makeFlapping makes a frontend with checks each second, from the page and as its forms do.
const makeFlapping = `(async (name, route) => {
	const send = (path, fields) => fetch(path, { method: "POST", body: new URLSearchParams(fields) });
	const made = await send("/frontends/new", { name, route, strategy: 0 });
	const path = new URL(made.url).pathname.split("/").slice(0, 3).join("/");
	const set = await send(path + "/settings", { name, route, strategy: 0, active: "on", options: 1, "check.kind": "tcp", "check.intervalSec": 1, "check.timeoutSec": 1, "check.fall": 1, "check.rise": 1 });
	return set.ok && set.redirected;
})`

// A hundred frontends whose routes come and go: the page is drawn once a second at most, and costs next to nothing.
func TestLastingHundredFrontendsFlap(t *testing.T) {
	b := lasting(t, onEachDocument(`window.drawn = 0; document.addEventListener("xlb:morph", ({ detail }) => { if (detail.id === "frontend-table") window.drawn++; });`))
	b.signUp("Flapper")
	var routes []string
	for i := range 10 {
		routes = append(routes, flapping(t, 2*time.Second+time.Duration(i)*150*time.Millisecond, 2*time.Second))
	}
	for i := range 100 {
		var done bool
		b.run("make a frontend", chromedp.Evaluate(fmt.Sprintf(`%s("flapping-%d", %q)`, makeFlapping, i, routes[i%10]), &done, awaits))
		if !done {
			t.Fatalf("frontend %d was not made", i)
		}
		time.Sleep(50 * time.Millisecond) // four requests each, and a client has 100 in a second
	}
	b.open("/")
	b.see("No route answers")
	time.Sleep(5 * time.Second)
	const watched = 30 * time.Second
	count := func() (n int) {
		b.until("count", `window.drawn`, &n)
		return n
	}
	began := time.Now()
	drawn := count()
	spent := b.browserTime()
	time.Sleep(watched)
	drawn = count() - drawn
	spent = b.browserTime() - spent
	took := time.Since(began)
	share := float64(spent) / float64(took)
	t.Logf("in %.1f s: %d times drawn, browser %.1f %% of a core", took.Seconds(), drawn, share*100)
	if drawn < 5 || float64(drawn) > took.Seconds()+1 {
		t.Errorf("the table was drawn %d times in %.1f s, want 5 at least and one a second at most", drawn, took.Seconds())
	}
	if share > 0.05 {
		t.Errorf("the browser used %.1f %% of a core, want at most 5", share*100)
	}
}

// watchPaint keeps when the largest thing of the page was painted, as the browser counts it.
const watchPaint = `window.painted = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) window.painted = e.startTime; }).observe({ type: "largest-contentful-paint", buffered: true });`

// From nothing to the first byte in a minute, and each page is there in a second.
func TestLastingFirstMinute(t *testing.T) {
	b := lasting(t, onEachDocument(watchPaint))
	began := time.Now()
	b.open("/")
	b.press("Create client")
	b.see("Save your client key now")
	b.press("Copy both")
	b.fill(rowInput(1), upstream(t, "one"))
	b.press("Create frontend")
	b.see("Whoever holds it reaches")
	b.press("Download xlb-")
	got := unzip(t, b.downloaded(".zip"))
	if text := got.get(t); text != "upstream one" {
		t.Errorf("the first bytes are %q, want %q", text, "upstream one")
	}
	b.see("Connected")
	took := time.Since(began)
	t.Logf("from sign-up to the first byte, shown: %.1f s", took.Seconds())
	if took > time.Minute {
		t.Errorf("from sign-up to the first byte: %.1f s, want less than 60", took.Seconds())
	}
	frontend := strings.TrimSuffix(b.path(), "/connect")
	for _, path := range []string{"/", "/frontends", frontend, frontend + "/settings", frontend + "/connections", frontend + "/connect", "/certificates", "/activity", "/account"} {
		b.open(path)
		var painted float64
		b.until("paint", `window.painted || null`, &painted)
		t.Logf("%s: largest paint after %.0f ms", path, painted)
		if painted > 1000 {
			t.Errorf("%s: the largest paint came after %.0f ms, want less than 1,000", path, painted)
		}
	}
}
