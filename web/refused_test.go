package web

import "testing"

// What was turned away is kept for its owner, with the reason, and for nobody else.
func TestRefusedAreListedForTheirOwner(t *testing.T) {
	f := start(t)
	c, stranger, address := f.signUp("testuser"), f.signUp("stranger"), f.balance()
	id := c.frontend("127.0.0.1:1")
	cert, serial := c.identity(id, "program")
	f.echo(address, clientOf(cert)) // let in, but nothing listens there
	c.revoke(id, serial, "")
	for range 3 {
		f.echo(address, clientOf(cert))
	}
	path := "/api/v1/client/frontend/" + id + "/refused"
	var items []any
	for range 100 { // the last one may still be on its way into the list
		if items = c.call("GET", path, "").object(t)["items"].([]any); len(items) == 2 && items[0].(map[string]any)["count"] == 3.0 {
			break
		}
	}
	if len(items) != 2 {
		t.Fatalf("%v", items)
	}
	first, second := items[0].(map[string]any), items[1].(map[string]any)
	if first["reason"] != "revoked" || first["count"] != 3.0 || first["serial"] != serial || first["source"] == "" || second["reason"] != "route-refused" || second["route"] != "127.0.0.1:1" {
		t.Errorf("%v", items)
	}
	if only := c.call("GET", path+"?reason=revoked&limit=1", "").object(t)["items"].([]any); len(only) != 1 {
		t.Errorf("%v", only)
	}
	wantProblem(t, c.call("GET", path+"?limit=0", ""), 422, "query.limit")
	if a := stranger.call("GET", path, ""); a.status != 404 {
		t.Errorf("another client's: %d", a.status)
	}
}
