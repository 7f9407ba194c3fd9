package e2e

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Every page that has no test of its own opens without an error and fits its window.
func TestPagesFitTheirWindows(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.open("/login")
	b.shoot("login")
	b.open("/signup")
	b.shoot("signup")
	b.signUp("Payments")
	b.open("/")
	b.shoot("overview-first")
	b.open("/frontends")
	b.shoot("frontends-empty")
	one := upstream(t, "one")
	frontend := b.newFrontend("orders-db", one, upstream(t, "two"), "127.0.0.1:9")
	b.newFrontend("sessions", upstream(t, "three"))
	b.open(frontend + "/certificate")
	b.follow("Download xlb-orders-db.zip")
	busy := unzip(t, b.downloaded("orders-db.zip"))
	for range 7 {
		busy.hold(t)
	}
	b.open("/")
	b.see("Connections now")
	b.shoot("dashboard")
	for page, path := range map[string]string{
		"overview": "/", "activity": "/activity?check=1", "activity-none": "/activity?kind=refused", "frontends": "/frontends", "frontends-none": "/frontends?q=nothing", "account": "/account", "certificates": "/certificates",
		"frontend-quiet": frontend, "settings": frontend + "/settings", "delete": frontend + "/delete",
		"connections": frontend + "/connections", "connections-none": frontend + "/connections?q=nothing",
		"revoke-page": frontend + "/certificates/revoke", "certificate-more": frontend + "/certificate", "certificate-new": "/certificates/new", "connect-first": frontend + "/connect",
	} {
		b.open(path)
		b.shoot(page)
	}
	for _, tool := range []string{"psql", "java"} {
		b.open(frontend + "/connect?tool=" + tool)
		b.shoot("connect-" + tool)
	}
	b.open(frontend + "/connections")
	b.see("7 connections, newest first.")
	b.holds("nothing is selected", `document.querySelector("[data-selection]").hidden`)
	b.follow("Close")
	b.see("Closed 1 connection.")
	b.see("6 connections, newest first.")
	b.click("a box", `document.querySelectorAll("[data-select]")[1]`)
	b.click("another box", `document.querySelectorAll("[data-select]")[3]`)
	b.see("2 connections selected. The list holds still meanwhile.")
	b.shoot("connections-selected")
	b.press("Clear")
	b.holds("nothing is selected", `document.querySelector("[data-selection]").hidden && !document.querySelector("[data-select]:checked")`)
	b.click("a box", `document.querySelectorAll("[data-select]")[1]`)
	b.follow("Close the selected")
	b.see("Closed 1 connection.")
	b.see("Closed by you, or its route was removed")
	busy.hold(t)
	b.see("6 connections, newest first.")
	b.open(frontend + "/test")
	b.shoot("test")
	b.follow("Run the test")
	b.see("First byte back")
	b.shoot("test-passed")
	b.open(frontend + "/refused")
	b.see("Nobody was turned away in this time.")
	b.shoot("refused-none")
	b.open(frontend)
	b.menu("Actions for route")
	b.shoot("frontend-menu")
	b.follow("Drain")
	b.see("connections left.")
	b.see("Draining")
	b.holds("the focus stays at the menu", `document.activeElement.id.startsWith("menu-")`)
	b.shoot("frontend-undo")
	b.follow("Undo")
	b.see("Undone. It is as it was before.")
	b.open(frontend)
	b.holds("six charts are drawn", `document.querySelectorAll("[data-plot] canvas").length === 6`)
	b.hover("a chart", `document.querySelector("[data-plot=connections] .u-over")`)
	b.holds("what is under the pointer is said", `/^\d\d:\d\d:\d\d/.test(document.querySelector("[data-plot=connections] .plot-note:not([hidden])")?.textContent)`)
	b.shoot("frontend-pointer")
	b.run("t", chromedp.KeyEvent("t"))
	b.holds("the charts are tables", `document.querySelectorAll("#frontend-charts table").length === 8 && document.querySelectorAll("[data-plot]").length === 0`)
	b.open("/activity")
	b.see("changed orders-db")
	b.see("issued a certificate for orders-db")
	b.shoot("activity-more")
	b.open("/account")
	b.press("New API key")
	b.fill("#key-name", "ci")
	b.follow("Make the key")
	b.see("The key “ci” is made")
	b.shoot("account-key")
	b.open("/account")
	b.shoot("account-keys")
	b.press("Revoke")
	b.see("Revoke “ci”?")
	b.shoot("account-key-revoke")
	b.follow("Revoke “ci”")
	b.see("Whatever used the key is refused now.")
	b.open("/account")
	b.fill("#client-name", "acme-platform")
	b.follow("Save name")
	b.see("The name is saved.")
	b.follow("Replace key")
	b.see("Your new client key")
	b.shoot("account-key-replaced")
	b.open("/account/delete")
	b.shoot("account-delete")
	b.open(frontend)
	b.menu("Actions for route " + one)
	b.press("Maintenance")
	b.see("The programs see a reset")
	b.shoot("frontend-maintenance")
	b.press("Keep them")
	b.menu("Actions for route")
	b.press("Weight and capacity")
	b.shoot("frontend-weight")
	b.fill("#weight", "0.5")
	b.press("Save")
	b.see("Use 1 to 256")
	b.allow("422")
	b.fill("#weight", "2")
	b.follow("Save")
	b.see("Weight and capacity of")
	b.open(frontend + "?tables=all")
	b.shoot("frontend-tables")
	b.open(frontend + "/certificates")
	b.shoot("frontend-certificates")
	b.menu("Actions for")
	b.shoot("certificate-menu")
	b.follow("Renew")
	b.see("6 connections open with it.")
	b.shoot("certificate")
	b.follow("Download a new certificate")
	b.see("Renewed. The old one stays valid")
	b.press("Revoke")
	b.see("Close all 6 now")
	b.shoot("revoke")
	b.press("Keep it")
	b.holds("the dialog is closed, and the focus is on its button", `document.querySelector("dialog[open]") === null && document.activeElement.textContent.includes("Revoke")`)
	b.press("Revoke")
	b.see("Close all 6 now")
	b.leave("revoke", func() { b.click("revoke", `document.querySelector("dialog[open] button[type=submit]")`) })
	b.see("Revoked. 6 connections closed in")
	busy.refused(t)
	b.open(frontend + "/refused")
	b.see("Certificate revoked")
	b.shoot("refused")
	b.open(frontend)
	b.shoot("frontend-revoked")
	b.open("/frontends/0000")
	b.see("Nothing lives here")
	b.shoot("error")
	b.allow("404")
}

// From the list of certificates: what is wrong is said in the dialog, and PKCS#12 comes with a password.
func TestIssueInADialog(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Issuer")
	b.newFrontend("orders-db", upstream(t, "one"))
	b.open("/certificates")
	b.press("Issue certificate")
	b.see("Whoever holds it reaches that frontend")
	b.holds("the focus in the dialog", `document.querySelector("dialog[open]").contains(document.activeElement)`)
	b.shoot("certificate-dialog")
	b.press("Key and lifetime")
	b.fill("#days", "400")
	b.press("Download xlb-bundle.zip")
	b.see("Use 1 to 397 days.")
	b.allow("422")
	b.holds("the dialog with the focus on what is wrong", `document.querySelector("dialog[open] #days") === document.activeElement`)
	b.shoot("certificate-dialog-error")
	b.fill("#days", "7")
	b.press("tar.gz")
	b.press("Download xlb-bundle.tar.gz")
	b.see("The certificate is issued.")
	b.downloaded(".tar.gz")
	b.press("Issue certificate")
	b.see("Whoever holds it reaches that frontend")
	b.press("PKCS#12")
	b.shoot("certificate-dialog-p12")
	b.follow("Download xlb-bundle.p12")
	b.see("Save the file and its password now")
	b.shoot("certificate-locked")
	b.press("Download xlb-")
	b.downloaded(".p12")
}

// newFrontend goes through the first step of the wizard and returns the path of the frontend's page.
func (b *tab) newFrontend(name string, routes ...string) string {
	b.t.Helper()
	b.open("/frontends/new")
	for i, route := range routes {
		b.fill(rowInput(i+1), route)
	}
	b.fill("#name", name)
	b.follow("Create frontend")
	b.see("Download the certificate")
	return strings.TrimSuffix(b.path(), "/certificate")
}

func rowInput(n int) string {
	return "#main [data-row]:nth-child(" + string(rune('0'+n)) + ") input[name=route]"
}

// What a page may load and run is fixed by its policy; the browser reports what breaks it as a problem.
func TestPolicyIsStrict(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	var policy string
	chromedp.ListenTarget(b.ctx, func(event any) {
		if e, ok := event.(*network.EventResponseReceived); ok && e.Type == network.ResourceTypeDocument {
			policy, _ = e.Response.Headers["content-security-policy"].(string)
		}
	})
	b.open("/signup")
	b.see("Create client")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	var ran bool
	b.until("inject", `(() => { const s = document.createElement("script"); s.textContent = "window.injected = true"; document.body.append(s); return Boolean(window.injected); })()`, &ran)
	if ran {
		t.Error("an inline script ran")
	}
	b.allow("Content Security Policy")
}

// The control plane knows browsers by a cipher suite that means nothing (RFC 8701).
func TestBrowserOffersGrease(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	suites := make(chan []uint16, 10)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		tls.Server(conn, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			suites <- hello.CipherSuites
			return nil, errors.New("that was all")
		}}).Handshake()
	}()
	b := newTab(t)
	b.allow("ERR_")
	go chromedp.Run(b.ctx, chromedp.Navigate("https://"+l.Addr().String())) // fails, as it should
	select {
	case offered := <-suites:
		if !slices.ContainsFunc(offered, func(s uint16) bool { return s&0x0F0F == 0x0A0A && s>>8 == s&0xFF }) {
			t.Errorf("offered %x", offered)
		}
	case <-time.After(patience):
		t.Error("the browser did not connect")
	}
}

// Switching a frontend off is in the menu of each list, asks first, and is taken back where it is told.
func TestSwitchOffFromAList(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Switcher")
	b.newFrontend("orders-db", upstream(t, "one"))
	b.newFrontend("sessions", upstream(t, "two"))
	b.open("/frontends")
	b.menu("More actions for sessions")
	b.shoot("frontends-menu")
	b.press("Switch off")
	b.see("Switch sessions off?")
	b.shoot("switch-off")
	b.press("Keep it on")
	b.holds("the dialog is closed", `document.querySelector("dialog[open]") === null`)
	b.menu("More actions for sessions")
	b.press("Switch off")
	b.see("Switch sessions off?")
	b.leave("switch off", func() { b.click("switch off", `document.querySelector("dialog[open] button[type=submit]")`) })
	b.see("This frontend is switched off.")
	b.shoot("frontend-off")
	b.follow("Switch on")
	b.see("Switched on.")
}
