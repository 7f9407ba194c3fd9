package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Settings that were typed stay in the browser until they are saved or discarded, but for keys; leaving asks.
func TestDraftsStayUntilTheyAreSaved(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Drafter")
	frontend := b.newFrontend("orders-db", upstream(t, "one"))
	settings := frontend + "/settings"
	b.open(settings)
	b.holds("no bar without a change", `document.querySelector(".savebar").hidden`)
	b.fill("#idleTimeoutSec", "90")
	b.see("1 unsaved change")
	b.fill("#name", "orders")
	b.see("2 unsaved changes")
	b.shoot("settings-draft")
	b.holds("what has the focus is not below the bar", `(() => {
		const field = document.querySelector("#drainTimeoutSec");
		field.focus();
		return field.getBoundingClientRect().bottom <= document.querySelector(".savebar").getBoundingClientRect().top;
	})()`)
	b.fill("#queueLimit", "100001")
	b.holds("a number out of its bounds is marked", `document.querySelector("#queueLimit").matches(":out-of-range")`)
	b.fill("#queueLimit", "1024")
	b.open(settings)
	b.see("2 unsaved changes")
	b.holds("the draft is typed in again", `document.querySelector("#idleTimeoutSec").value === "90" && document.querySelector("#name").value === "orders"`)

	// Leaving asks, and No stays.
	asked := make(chan string, 4)
	answer := make(chan bool, 4)
	chromedp.ListenTarget(b.ctx, func(event any) {
		if e, is := event.(*page.EventJavascriptDialogOpening); is {
			asked <- e.Message
			yes := <-answer
			go chromedp.Run(b.ctx, page.HandleJavaScriptDialog(yes))
		}
	})
	answer <- false
	b.press("Activity")
	if message := <-asked; !strings.HasPrefix(message, "Leave without saving?") {
		t.Errorf("leaving asks %q", message)
	}
	if b.path() != settings {
		t.Errorf("after No the page is %s, want %s", b.path(), settings)
	}
	answer <- true
	b.follow("Activity")
	<-asked

	b.open(settings)
	b.see("2 unsaved changes")
	b.follow("Discard")
	b.holds("it is as it was saved", `document.querySelector("#name").value === "orders-db" && document.querySelector(".savebar").hidden && Object.keys(localStorage).length === 0`)
	b.fill("#idleTimeoutSec", "95")
	b.see("1 unsaved change")
	b.follow("Save changes")
	b.see("Saved. Live now")
	b.holds("nothing is left to save", `document.querySelector(".savebar").hidden && Object.keys(localStorage).length === 0`)
	b.fill("#idleTimeoutSec", "96")
	b.see("1 unsaved change")
	b.follow("Save changes")
	b.see("Saved. Live now")
}

// Somebody else saves while a draft waits: the old state is what it was made on, so saving has its user choose.
func TestConflictIsChosenFieldByField(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.allow("409")
	b.signUp("Colleague")
	to := upstream(t, "one")
	settings := b.newFrontend("orders-db", to) + "/settings"
	b.open(settings)
	b.fill("#name", "orders-mine")
	b.fill("#idleTimeoutSec", "90")
	b.see("2 unsaved changes")
	b.run("somebody else saves", chromedp.Evaluate(`fetch(location.pathname, {method: "POST", redirect: "manual", body: new URLSearchParams(
		{name: "orders-theirs", strategy: 1, routeTimeoutSec: 31, active: "on", route: "`+to+`"})}).then(() => true)`, nil, awaits))
	b.press("Save changes")
	b.see("choose for each setting")
	b.shoot("settings-conflict")
	b.holds("both have another name, so mine is kept unless I say so", `document.querySelector("[name=take-name]:checked").value === "mine"`)
	b.holds("only they have touched the time-out", `document.querySelector("[name=take-routeTimeoutSec]:checked").value === "saved"`)
	b.holds("what only I have touched asks nothing", `!document.querySelector("[name=take-idleTimeoutSec]")`)
	b.holds("it is not saved", `!document.querySelector(".savebar").hidden && document.querySelector("[data-dirty]") !== null`)
	b.follow("Save changes")
	b.see("Saved. Live now")
	b.holds("mine, theirs, and mine", `["name", "timeout", "idleTimeoutSec", "strategy"].map((id) => document.getElementById(id).value).join() === "orders-mine,31,90,1"`)
	b.holds("nothing is left to save", `document.querySelector(".savebar").hidden && Object.keys(localStorage).length === 0`)
}

func TestDraftsHaveNoKeys(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Sealed")
	frontend := b.newFrontend("orders-db", upstream(t, "one"))
	b.open(frontend + "/settings")
	b.run("type", chromedp.Evaluate(`(() => {
		const form = document.querySelector("form[data-draft]");
		form.elements["routeTls.key"].value = "-----BEGIN PRIVATE KEY----- secret";
		form.elements["routeTls.certificate"].value = "a certificate";
		form.elements["routeTls.key"].dispatchEvent(new Event("input", { bubbles: true }));
	})()`, nil))
	b.see("1 unsaved change")
	b.holds("the draft has the certificate and not the key", `JSON.stringify(localStorage).includes("a certificate") && !JSON.stringify(localStorage).includes("PRIVATE KEY")`)
}
