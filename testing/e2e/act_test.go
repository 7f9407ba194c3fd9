package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What a person does with a page. Pages are replaced, and change by themselves, while a test looks at
// them. So every look is one expression that is evaluated at one moment, and again until it says yes;
// a step that leaves the page waits for the next document; and a click counts once the page has had it.

const (
	tabPatience = 3 * time.Minute  // for all that one tab does
	patience    = 30 * time.Second // for one step; it passes only when something hangs
	poll        = 25 * time.Millisecond
)

// run does what the browser does without looking at the page.
func (b *tab) run(what string, actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.fail(what, err)
	}
}

func (b *tab) fail(what string, err error) {
	b.t.Helper()
	var page string
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	chromedp.Run(ctx, chromedp.Evaluate(`location.href + "\n" + document.body?.innerText`, &page))
	b.t.Fatalf("%s: %v\nat %s", what, err, page)
}

// look evaluates an expression once, and returns false when it is null, or there is no page to ask: one
// is just being replaced by the next.
func (b *tab) look(expression string, out any) (bool, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	var raw json.RawMessage
	if err := chromedp.Run(ctx, chromedp.Evaluate(expression, &raw)); err != nil {
		return false, err
	}
	if len(raw) == 0 || string(raw) == "null" {
		return false, fmt.Errorf("it never came")
	}
	return true, json.Unmarshal(raw, out)
}

// until evaluates an expression until it is something else than null.
func (b *tab) until(what, expression string, out any) {
	b.t.Helper()
	var last error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(poll) {
		ok, err := b.look(expression, out)
		if ok && err == nil {
			return
		}
		last = err
	}
	b.fail(what, last)
}

// holds waits until an expression is true.
func (b *tab) holds(what, expression string) {
	b.t.Helper()
	var yes bool
	b.until(what, "("+expression+") || null", &yes)
}

const isLoaded = `document.readyState === "complete" && document.querySelector("h1") !== null`

// loaded waits until the page is there, its scripts included.
func (b *tab) loaded() {
	b.t.Helper()
	b.holds("load", isLoaded)
}

// open loads an address. A secret on the page is put away first: the browser would ask.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run("put away", chromedp.Evaluate(`document.querySelector("[data-unsaved] [data-saved]")?.click()`, nil))
	b.leave("open "+path, func() { b.run("open "+path, chromedp.Navigate("https://"+xlb.http+path)) })
}

// leave waits until the step has led to another page: another document, or other content with a heading of its own.
func (b *tab) leave(what string, step func()) {
	b.t.Helper()
	var marked bool
	b.until(what, `(document.querySelector("h1") ?? window).beforeTheStep = true`, &marked)
	step()
	b.holds(what+" leads to another page", `window.beforeTheStep === undefined && `+isLoaded+` && document.querySelector("h1").beforeTheStep === undefined`)
}

// follow clicks a button or link that leads to another page, and waits for that.
func (b *tab) follow(words string) {
	b.t.Helper()
	b.leave("follow "+words, func() { b.press(words) })
}

// press clicks the button or link with these words. The page stays; follow is for one that does not.
func (b *tab) press(words string) {
	b.t.Helper()
	b.click("press "+words, fmt.Sprintf(
		`[...document.querySelectorAll(document.querySelectorAll("dialog[open]").length ? "dialog[open] button, dialog[open] a, dialog[open] summary, dialog[open] label" : "button, a, summary, label")].filter(e => e.checkVisibility() && %s(e).includes(%q))[0]`, normalized, words))
}

// menu opens the first menu with this label.
func (b *tab) menu(label string) {
	b.t.Helper()
	b.click("the menu "+label, fmt.Sprintf(`[...document.querySelectorAll("summary")].filter(e => e.checkVisibility() && e.getAttribute("aria-label")?.includes(%q))[0]`, label))
}

const normalized = `(e => e.textContent.replace(/\s+/g, " ").trim())`

// spot is where an element is, if a click there hits it.
type spot struct{ X, Y float64 }

const findSpot = `(() => {
	if (!(%s)) return null;
	const element = %s;
	if (!element) return null;
	element.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
	const box = element.getClientRects()[0];
	if (!box || box.width === 0) return null;
	const x = box.x + box.width / 2, y = box.y + box.height / 2;
	if (!element.contains(document.elementFromPoint(x, y))) return null;
	window.wasHit = false;
	document.addEventListener("click", (event) => { window.wasHit ||= element.contains(event.target); }, { capture: true, once: true });
	return { X: x, Y: y };
})()`

// click clicks the element that the expression finds, as a mouse does: where it is once it stands still.
// When the page changed under the mouse, it is clicked again.
func (b *tab) click(what, element string) {
	b.t.Helper()
	find := fmt.Sprintf(findSpot, isLoaded, element)
	var at, before spot
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		b.until(what, find, &at)
		if at != before {
			before = at
			time.Sleep(poll)
			continue
		}
		b.run(what, chromedp.MouseClickXY(at.X, at.Y))
		if !b.scripted { // listeners do not run, but nothing moves either
			return
		}
		var missed bool
		if ok, _ := b.look(`window.wasHit === false || null`, &missed); !ok {
			return
		}
	}
	b.fail(what, fmt.Errorf("no click has hit it"))
}

// hover moves the pointer over an element.
func (b *tab) hover(what, element string) {
	b.t.Helper()
	var at spot
	b.until(what, fmt.Sprintf(`(() => {
		const element = %s;
		if (!element) return null;
		element.scrollIntoView({ block: "center" });
		const box = element.getBoundingClientRect();
		return { X: box.right - 4, Y: box.top + box.height / 2 };
	})()`, element), &at)
	b.run(what, chromedp.MouseEvent(input.MouseMoved, at.X-20, at.Y), chromedp.MouseEvent(input.MouseMoved, at.X, at.Y))
}

// fill types text into a field, in place of what is there.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	what := "fill " + selector
	field := fmt.Sprintf("document.querySelector(%q)", selector)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		b.click(what, field)
		b.run(what, chromedp.KeyEvent("a", chromedp.KeyModifiers(input.ModifierCtrl)), chromedp.KeyEvent(kb.Delete), chromedp.KeyEvent(text))
		var typed string
		if ok, _ := b.look(field+"?.value ?? null", &typed); ok && typed == text {
			return
		}
	}
	b.fail(what, fmt.Errorf("the text never stayed"))
}

// see waits until the page shows the words.
func (b *tab) see(words string) {
	b.t.Helper()
	b.holds("see "+words, fmt.Sprintf(`(() => {
		const has = (e) => %s(e).includes(%q);
		const inner = (e) => [...e.children].filter(has);
		const shows = (e) => { const parts = inner(e); return parts.length > 0 ? parts.some(shows) : e.checkVisibility({ visibilityProperty: true }); };
		return document.body !== null && has(document.body) && shows(document.body);
	})()`, normalized, words))
}

// text waits for the element and returns its text.
func (b *tab) text(selector string) (text string) {
	b.t.Helper()
	b.until("read "+selector, fmt.Sprintf(`document.querySelector(%q)?.textContent ?? null`, selector), &text)
	return strings.TrimSpace(text)
}
