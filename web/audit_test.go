package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/store"
)

// trail is a client's audit records, oldest first.
func (c *tenant) trail(query string) []map[string]any {
	c.Helper()
	a := c.call("GET", "/api/v1/client/audit"+query, "")
	if a.status != 200 {
		c.Fatalf("audit: %d %s", a.status, a.body)
	}
	var all []map[string]any
	for _, one := range a.object(c.T)["items"].([]any) {
		all = append(all, one.(map[string]any))
	}
	slices.Reverse(all)
	return all
}

func (c *tenant) wantChain(records int) {
	c.Helper()
	a := c.call("GET", "/api/v1/client/audit/check", "")
	if got := a.object(c.T); got["ok"] != true || int(got["records"].(float64)) != records {
		c.Errorf("the chain: %s, want %d records that fit", a.body, records)
	}
}

// Every operation that changes something is in the trail, with who, from where, with what and what became different; no
// secret is.
func TestAuditTellsWhoDidWhat(t *testing.T) {
	f := start(t)
	address := f.balance()
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend(echoes(t))
	path := "/api/v1/client/frontend/" + id
	c.call("PATCH", path, `{"name":"orders","queueLimit":5,"check":{"kind":"tcp"}}`, "X-Request-Id", "my-request")
	c.call("PATCH", path, `{"name":"orders"}`)
	c.call("PATCH", path, `{"name":"<nothing>"}`)
	c.call("GET", path, "")
	cert, serial := c.identity(id, "program")
	w := &ways{c, address}
	w.connect(address, cert)
	c.call("DELETE", path+"/connections?all=true", "")
	f.postForm("/frontends/"+id+"/route", "dest=127.0.0.1:1&do=drain", "Cookie", cookie)
	f.postForm("/frontends/"+id+"/settings", "name=orders2&active=on&strategy=0&routeTimeoutSec=30&route=10.0.0.9:80&revision=", "Cookie", cookie)
	c.call("DELETE", path+"/certificates/"+serial, "")
	key := c.call("POST", "/api/v1/client/key", `{"graceSec":3600}`).object(t)["key"].(string)
	c.call("GET", "/api/v1/admin/clients", "")
	c.call("DELETE", path, "")

	all := c.trail("")
	var got []string
	for _, one := range all {
		got = append(got, fmt.Sprintf("%v %v %v", one["outcome"], one["action"], one["via"]))
	}
	want := []string{
		"done client.create api", "done session.create page", "done frontend.create api", "done frontend.update api", "refused frontend.update api",
		"done certificate.issue api", "done connection.close api", "refused frontend.update page", "done frontend.update page", "done certificate.revoke api", "done client.rotate-key api",
		"refused admin.read api", "done frontend.delete api",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, one := range all {
		if one["actor"] != c.uuid || one["address"] != "127.0.0.1" || len(one["hash"].(string)) != 64 {
			t.Errorf("got %v, want the client, its address and a hash", one)
		}
	}
	update := all[3]
	change := update["changes"].([]any)[0].(map[string]any)
	after, before := change["after"].(map[string]any), change["before"].(map[string]any)
	if change["id"] != id || after["name"] != "orders" || before["name"] != "frontend" || after["queueLimit"] != 5.0 || before["queueLimit"] != 1024.0 || after["check.kind"] != "tcp" ||
		update["requestId"] != "my-request" || !strings.HasPrefix(update["credential"].(string), "token ") || len(after) != 4 || after["revision"] != 2.0 {
		t.Errorf("the change is told as %v", update)
	}
	if reason := all[4]["reason"]; reason != "name: Use letters, digits, spaces, dots, dashes and underscores." {
		t.Errorf("the refusal is told as %q", reason)
	}
	if credential := all[8]["credential"].(string); !strings.HasPrefix(credential, "session ") || len(credential) != len("session ")+12 {
		t.Errorf("a page's credential is %q", credential)
	}
	text := c.call("GET", "/api/v1/client/audit", "").body
	for what, secret := range map[string]string{"the key": c.key, "the new key": key, "the token": c.token, "the cookie": cookie} {
		if strings.Contains(text, secret) {
			t.Errorf("the trail has %s", what)
		}
	}
	c.wantChain(len(want))

	for query, n := range map[string]int{
		"?action=frontend": 6, "?action=frontend.update": 4, "?outcome=refused": 3, "?object=" + serial: 2, "?from=2030-01-01T00:00:00Z": 0,
		"?until=2030-01-01T00:00:00Z": len(want), "?action=front": 0,
	} {
		if got := len(c.trail(query)); got != n {
			t.Errorf("%s: %d records, want %d", query, got, n)
		}
	}
	for _, query := range []string{"?outcome=maybe", "?limit=0", "?limit=1001", "?from=yesterday", "?before=x", "?color=red"} {
		if a := c.call("GET", "/api/v1/client/audit"+query, ""); a.status != 422 || !strings.Contains(a.body, "query.") {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	page := c.call("GET", "/api/v1/client/audit?limit=4", "").object(t)
	if rest := c.trail("?before=" + page["next"].(string)); len(rest) != len(want)-4 {
		t.Errorf("%d records on the next page, want %d", len(rest), len(want)-4)
	}
	if other := f.signUp("other").trail(""); len(other) != 1 {
		t.Errorf("another client reads %v", other)
	}
}

// What an administrator does to a client is in both trails.
func TestAuditOfTheAdministrator(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root, c := f.administrator(), f.signUp("testuser")
	root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"limits":{"frontends":7}}`)
	for _, chain := range [][]map[string]any{root.trail(""), c.trail("")} {
		last := chain[len(chain)-1]
		text, _ := json.Marshal(last["changes"])
		if last["actor"] != root.uuid || last["action"] != "admin.set-limits" || !strings.Contains(string(text), `"limits.frontends":7`) {
			t.Errorf("got %v", last)
		}
	}
	code := root.call("POST", "/api/v1/admin/invites", "").object(t)["code"].(string)
	if text := root.call("GET", "/api/v1/client/audit", "").body; strings.Contains(text, code) || !strings.Contains(text, "admin.invite") {
		t.Error("the invite's code is in the trail, or the invite is not")
	}
}

// Changes that come at once are all in the chain, in the order in which they were made.
func TestAuditOfChangesAtOnce(t *testing.T) {
	c := start(t).signUp("testuser")
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			if a := c.call("POST", "/api/v1/client/frontend", fmt.Sprintf(`{"name":"f%d","routes":[{"dest":"10.0.0.1:80"}]}`, i)); a.status != 201 {
				t.Errorf("got %d %s, want 201", a.status, a.body)
			}
		})
	}
	running.Wait()
	all := c.trail("")
	last := ""
	for i, one := range all {
		revision := fmt.Sprintf("%20s", one["revision"])
		if int(one["seq"].(float64)) != i+1 || revision <= last {
			t.Errorf("record %d is number %v of revision %v, after %s", i, one["seq"], one["revision"], last)
		}
		last = revision
	}
	c.wantChain(21)
}

// The table for spreadsheets has the same records, and nothing in it that one would run.
func TestAuditAsATable(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	c.call("POST", "/api/v1/client/frontend", `{"name":"a b","routes":[{"dest":"10.0.0.1:80"}]}`)
	c.call("DELETE", "/api/v1/client/frontend/-x/connections?all=true", "")
	a := c.call("GET", "/api/v1/client/audit.csv", "")
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	if err != nil || a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/csv") || len(rows) != 4 {
		t.Fatalf("%d %s %v\n%s", a.status, a.header.Get("Content-Type"), err, a.body)
	}
	if rows[0][0] != "seq" || rows[2][0] != "2" || rows[2][3] != "frontend.create" || !strings.Contains(rows[2][11], `"a b"`) || rows[1][4] != "'-x/connections" {
		t.Errorf("got %q", rows[:3])
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@") {
				t.Errorf("the cell %q begins a formula", cell)
			}
		}
	}
}

// The page has what happened in words, narrows it down, leads to what is older and says whether the chain fits.
func TestActivityPage(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend("10.0.0.1:80")
	c.call("PATCH", "/api/v1/client/frontend/"+id, `{"name":"orders and more"}`)
	c.identity(id, "program")
	c.call("GET", "/api/v1/admin/clients", "")
	gone := c.frontend("10.0.0.2:80")
	c.call("PATCH", "/api/v1/client/frontend/"+gone, `{"name":"gone"}`)
	c.call("DELETE", "/api/v1/client/frontend/"+gone, "")
	for _, one := range []struct {
		query    string
		has, not []string
	}{
		{"", []string{
			"<b>testuser</b> signed up", "logged in", "issued the certificate “program” for", `href="/frontends/` + id + `"`, "name: web", "name: orders", "was refused (admin.read)",
			"deleted gone", "API · 127.0.0.1", "dashboard · 127.0.0.1", "Kept for 400 days", "Today, ", `href="/activity.csv"`, `aria-current="page"`,
		}, []string{"Older", c.key, "Entries are missing"}},
		{"?kind=certificates", []string{"issued the certificate", `href="/activity.csv?kind=certificates"`}, []string{"signed up", "was refused"}},
		{"?kind=refused", []string{"was refused"}, []string{"signed up"}},
		{"?kind=access", []string{"signed up", "logged in"}, []string{"issued"}},
		{"?q=MORE", []string{"changed"}, []string{"signed up", "issued"}},
		{"?q=nothing+like+it", []string{"Nothing happened in this time."}, nil},
		{"?check=1", []string{"All 9 entries fit together"}, nil},
	} {
		a := f.do("GET", "/activity"+one.query, nil, "Cookie", cookie)
		text := strings.Join(strings.Fields(a.body), " ")
		for _, want := range one.has {
			if a.status != 200 || !strings.Contains(text, want) {
				t.Errorf("%q: %d, the page lacks %q", one.query, a.status, want)
			}
		}
		for _, not := range one.not {
			if strings.Contains(text, not) {
				t.Errorf("%q: the page has %q", one.query, not)
			}
		}
	}
	table := f.do("GET", "/activity.csv?kind=certificates", nil, "Cookie", cookie)
	if rows, err := csv.NewReader(strings.NewReader(table.body)).ReadAll(); err != nil || len(rows) != 2 || rows[1][3] != "certificate.issue" {
		t.Errorf("the table: %v %v", rows, err)
	}
	for range 35 { // a client has 100 requests a second
		c.call("PATCH", "/api/v1/client/frontend/"+id, `{"active":false}`)
		c.call("PATCH", "/api/v1/client/frontend/"+id, `{"active":true}`)
	}
	first := f.do("GET", "/activity", nil, "Cookie", cookie)
	older := regexp.MustCompile(`href="(/activity\?before=\d+)">Older`).FindStringSubmatch(first.body)
	if older == nil || len(regexp.MustCompile(`class="event"`).FindAllString(first.body, -1)) != 50 {
		t.Fatal("a long list has no second page, or another first one than of 50")
	}
	if second := f.do("GET", older[1], nil, "Cookie", cookie); len(regexp.MustCompile(`class="event"`).FindAllString(second.body, -1)) != 29 {
		t.Error("the second page has not the other 29 entries")
	}
	// A record that is another one than was written is said to be.
	_, err := f.engine.Update(t.Context(), func(tx store.Txn) error {
		tx.Delete("audit/" + c.uuid + "/0000000000000005")
		return nil
	})
	must(t, err)
	if a := f.do("GET", "/activity?check=1", nil, "Cookie", cookie); !strings.Contains(a.body, "Entries are missing or altered from number 5 on") {
		t.Error("the page does not say that a record is missing")
	}
}

// What a client may do in general and is refused in this case is in its trail too, with the reason, and within bounds.
func TestRefusalsAreInTheTrail(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.Frontends = 1 })
	c := f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	path := "/api/v1/client/frontend"
	for _, try := range []struct {
		method, path, body string
		headers            []string
		status             int
		action, reason     string
	}{
		{"POST", path, `{"routes":[{"dest":"10.0.0.1:80"}]}`, nil, 403, "frontend.create", "You use all 1 frontends."},
		{"POST", path, `{"routes":[{"dest":"169.254.169.254:80"}]}`, nil, 422, "frontend.create", "routes[0].dest: "},
		{"DELETE", path + "/0198a1f2-0000-7000-8000-000000000000", "", nil, 404, "frontend.delete", "There is no such frontend."},
		{"POST", path + "/" + id + "/revisions/9/restore", "", nil, 404, "frontend.restore", "There is no such revision."},
		{"POST", path + "/" + id + "/tls", `{"csr":"nonsense"}`, nil, 422, "certificate.issue", "csr: "},
		{"POST", "/api/v1/client/keys", `{"name":"x","scope":"everything"}`, nil, 422, "api-key.create", "scope: "},
		{"DELETE", "/api/v1/client/keys/unknown", "", nil, 404, "api-key.revoke", "There is no such API key."},
		{"DELETE", "/api/v1/client/sessions/unknown", "", nil, 404, "session.end", "There is no such session."},
	} {
		before := len(c.trail(""))
		a := c.call(try.method, try.path, try.body, try.headers...)
		if a.status != try.status {
			t.Errorf("%s %s: %d %s, want %d", try.method, try.path, a.status, a.body, try.status)
			continue
		}
		all := c.trail("")
		if len(all) != before+1 {
			t.Errorf("%s %s: %d records, want 1", try.method, try.path, len(all)-before)
			continue
		}
		last := all[before]
		if last["outcome"] != "refused" || last["action"] != try.action || !strings.Contains(last["reason"].(string), try.reason) {
			t.Errorf("%s %s is told as %v %v: %q", try.method, try.path, last["outcome"], last["action"], last["reason"])
		}
	}
	before := len(c.trail("?outcome=refused"))
	for range 60 {
		c.call("DELETE", path+"/0198a1f2-0000-7000-8000-000000000000", "")
	}
	if more := len(c.trail("?outcome=refused")) - before; more == 0 || more > 30 {
		t.Errorf("60 refusals within a few seconds left %d records, want a few", more)
	}
}
