package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// All that is done with a frontend, with scripts switched off: what is a dialog with them is a page.
func TestFrontendWithoutScript(t *testing.T) {
	t.Parallel()
	b := newTabWithoutScript(t)
	b.signUpForKey("Plain")
	to := upstream(t, "one")
	frontend := b.newFrontend("orders-db", to, upstream(t, "two"))
	b.press("Download ")
	got := unzip(t, b.downloaded(".zip"))
	for range 8 {
		got.hold(t)
	}
	b.open(frontend)
	b.menu("Actions for route")
	b.follow("Drain")
	b.see("connections left.")
	b.follow("Undo")
	b.see("Undone. It is as it was before.")
	b.menu("Actions for route " + to)
	b.follow("Maintenance")
	b.see("The programs see a reset")
	b.shoot("noscript-maintenance")
	b.follow("Keep them")
	b.menu("Actions for route " + to)
	b.follow("Weight and capacity")
	b.fill("#weight", "2")
	b.follow("Save")
	b.see("Weight and capacity of")
	b.follow("1 h")
	b.follow("Show as tables")
	b.see("Time to connect to a route")
	b.shoot("noscript-tables")

	b.open(frontend + "/connections")
	b.see("8 connections, newest first.")
	b.shoot("noscript-connections")
	b.click("a box", `document.querySelectorAll("[data-select]")[1]`)
	b.click("another box", `document.querySelectorAll("[data-select]")[3]`)
	b.follow("Close the selected")
	b.see("Closed 2 connections.")
	b.follow("Test")
	b.follow("Run the test")
	b.see("First byte back")

	b.open(frontend + "/settings")
	b.fill("#name", "orders-mine")
	b.run("somebody else saves", chromedp.Evaluate(`fetch(location.pathname, {method: "POST", redirect: "manual", body: new URLSearchParams(
		{name: "orders-theirs", strategy: 1, routeTimeoutSec: 31, active: "on", route: "`+to+`"})}).then(() => true)`, nil, awaits))
	b.allow("409")
	b.follow("Save changes")
	b.see("choose for each setting")
	b.shoot("noscript-conflict")
	b.click("theirs", `document.querySelector("[name=take-name][value=saved]")`)
	b.follow("Save changes")
	b.see("Saved. Live now")
	b.holds("theirs is the name", `document.querySelector("#name").value === "orders-theirs"`)

	b.open(frontend + "/certificates")
	b.menu("Actions for")
	b.follow("Renew")
	b.see("Makes a new key pair")
	b.shoot("noscript-certificate")
	b.follow("Revoke")
	b.see("Close all ")
	b.follow("Revoke")
	b.see("Revoked. ")
	got.refused(t)
	b.open(frontend + "/refused")
	b.see("Certificate revoked")

	b.open("/frontends")
	b.menu("More actions for orders-theirs")
	b.follow("Switch off")
	b.see("Switch orders-theirs off?")
	b.follow("Switch off")
	b.see("This frontend is switched off.")
	b.follow("Switch on")
	b.see("Switched on.")
}
