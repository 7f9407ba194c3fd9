package e2e

import (
	"os/exec"
	"testing"
)

// The administrator's pages, as a client sees them that the operator has made one with xlb admin.
func TestAdministratorInABrowser(t *testing.T) {
	t.Parallel()
	other := newTab(t)
	otherID := other.signUp("data-science")
	b := newTab(t)
	id := b.signUp("acme-platform")
	if out, err := exec.Command(xlb.binary, "admin", "-data-dir", xlb.dir, "make-admin", id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.newFrontend("orders-db", "127.0.0.1:9")
	b.open("/admin")
	b.see("data-science")
	b.see("ca_xlb")
	b.shoot("admin")
	b.follow("New invite")
	b.see("Whoever opens it signs up.")
	b.shoot("admin-invite")
	b.open("/admin")
	b.follow("Take back")
	b.see("The invite is taken back.")
	b.follow("Authorities") // every test is on this server, whose certificate the browser knows: none other may issue
	b.see("It signs every certificate that is issued.")
	b.follow("New authority")
	b.see("The next authority is there.")
	b.shoot("authorities")
	b.open("/admin/clients/" + otherID)
	b.shoot("admin-client")
	b.fill("#limit-frontends", "7")
	b.follow("Save limits")
	b.see("0 used of 7 now.")
	b.follow("Disable")
	b.see("The client is disabled, and its connections are closed.")
	b.shoot("admin-client-disabled")
	b.follow("Enable")
	b.follow("Reset key")
	b.see("hand it over on a safe way")
	b.shoot("admin-client-key")
	b.open("/admin/clients/" + otherID + "/delete")
	b.shoot("admin-client-delete")
	b.fill("#name", "data-science")
	b.follow("Delete client")
	b.see("The client and everything it had are deleted.")
}

// After a failed log-in the focus is where the page says why; a page that shows a secret takes the place of the one before
// it, so that loading it again makes no second one.
func TestWhereAPageLeavesTheReader(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	id := b.signUp("acme-platform")
	b.open("/account")
	b.press("New API key")
	b.fill("#key-name", "ci")
	b.follow("Make the key")
	b.see("The key “ci” is made")
	if got := b.path(); got != "/account" {
		t.Errorf("after a key was made the address is %s, want /account", got)
	}
	b.open("/account")
	b.follow("Log out")
	b.see("You are logged out.")
	b.fill("#uuid", id)
	b.fill("#key", "0000")
	b.follow("Log in")
	b.see("do not match")
	b.holds("the focus is on the error", `document.activeElement?.matches("[data-error], [aria-invalid=true]") === true`)
	b.allow("401")
}
