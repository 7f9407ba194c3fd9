package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

// imported sends a file, and returns how many items have each action.
func (c *tenant) imported(file, query string) map[string]int {
	c.Helper()
	a := c.call("POST", "/api/v1/client/import"+query, file)
	if a.status != 200 {
		c.Fatalf("import%s: %d %s", query, a.status, a.body)
	}
	actions := map[string]int{}
	for _, item := range a.object(c.T)["items"].([]any) {
		actions[item.(map[string]any)["action"].(string)]++
	}
	return actions
}

func wantActions(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// A client of a hundred frontends with all sorts of settings goes to another server and comes back as it was.
func TestAClientMovesAndComesBack(t *testing.T) {
	t.Parallel() // it waits most of the time
	here, there := start(t), start(t)
	a, b := here.signUp("testuser"), there.signUp("testuser")
	for i := range 100 {
		var routes []string
		for j := range 1 + i%4 {
			routes = append(routes, fmt.Sprintf(`{"dest":"10.0.%d.%d:80","capacity":%d,"weight":%d,"backup":%v,"state":"%s"}`, i, j, i, i%5, j == 3, []string{"ready", "drain", "maintenance"}[i%3]))
		}
		body := fmt.Sprintf(`{"name":"frontend %03d","active":%v,"strategy":%d,"routeTimeoutSec":%d,"idleTimeoutSec":%d,"maxConnections":%d,"routes":[%s],"check":{"kind":"%s","intervalSec":%d}}`,
			i, i%2 == 0, i%7, 1+i, 60+i, i, strings.Join(routes, ","), []string{"none", "tcp", "http"}[i%3], 5+i)
		if v := a.call("POST", "/api/v1/client/frontend", body); v.status != 201 {
			t.Fatalf("got %d %s, want 201", v.status, v.body)
		}
	}
	file := a.call("GET", "/api/v1/client/export", "")
	if file.status != 200 || !strings.Contains(file.header.Get("Content-Disposition"), "xlb-frontends.json") {
		t.Fatalf("export: %d %v", file.status, file.header)
	}
	for _, secret := range []string{a.key, a.uuid, "accessKey"} {
		if strings.Contains(file.body, secret) {
			t.Errorf("the file has %q", secret)
		}
	}
	wantActions(t, "at home", a.imported(file.body, "?dryRun=true&prune=true"), map[string]int{"same": 100})
	wantActions(t, "elsewhere, dry", b.imported(file.body, "?dryRun=true"), map[string]int{"create": 100})
	if n := len(b.call("GET", "/api/v1/client/frontend", "").object(t)["items"].([]any)); n != 0 {
		t.Errorf("a dry run made %d frontends", n)
	}
	wantActions(t, "elsewhere", b.imported(file.body, ""), map[string]int{"create": 100})
	wantActions(t, "elsewhere, again", b.imported(file.body, ""), map[string]int{"same": 100})
	back := b.call("GET", "/api/v1/client/export", "").body
	if back != file.body {
		t.Errorf("the file that comes back is another one:\n%s\nwas\n%s", back[:300], file.body[:300])
	}
	wantActions(t, "back home", a.imported(back, "?prune=true"), map[string]int{"same": 100})
}

// A file changes what is different, deletes when it is told to, and is refused as a whole when something in it is wrong.
func TestImportPlansBeforeItChanges(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.Frontends = 4 })
	c := f.signUp("testuser")
	c.call("POST", "/api/v1/client/frontend", `{"name":"orders","routes":[{"dest":"10.0.0.1:80"}]}`)
	c.call("POST", "/api/v1/client/frontend", `{"name":"old","routes":[{"dest":"10.0.0.1:80"}]}`)
	const file = `{"version":1,"frontends":[{"name":"orders","queueLimit":7,"routes":[{"dest":"10.0.0.1:80","weight":1}]},{"name":"new","routes":[{"dest":"10.0.0.2:80"}]}]}`
	dry := c.call("POST", "/api/v1/client/import?dryRun=true&prune=true", file)
	wantStatus(t, dry, 200)
	a := dry.object(t)
	items := a["items"].([]any)
	if a["changes"] != 3.0 || len(items) != 3 {
		t.Fatalf("the plan: %v", a)
	}
	change := items[0].(map[string]any)
	if change["action"] != "change" || len(change["after"].(map[string]any)) != 1 || change["after"].(map[string]any)["queueLimit"] != 7.0 || change["before"].(map[string]any)["queueLimit"] != 1024.0 {
		t.Errorf("the change: %v", change)
	}
	if gone := items[2].(map[string]any); gone["action"] != "delete" || gone["name"] != "old" {
		t.Errorf("the last: %v", gone)
	}
	wantActions(t, "without prune", c.imported(file, ""), map[string]int{"change": 1, "create": 1})
	wantActions(t, "with prune", c.imported(file, "?prune=true"), map[string]int{"same": 2, "delete": 1})
	trail := c.call("GET", "/api/v1/client/audit?action=frontend.update,frontend.delete", "").object(t)["items"].([]any)
	if len(trail) != 2 {
		t.Errorf("%d records of it, want 2", len(trail))
	}

	for name, wrong := range map[string]struct {
		body     string
		status   int
		location string
	}{
		"no JSON":              {`{"frontends":[`, 400, ""},
		"no object":            {`[]`, 422, ""},
		"no list":              {`{"frontends":null}`, 422, "body.frontends"},
		"another version":      {`{"version":2,"frontends":[]}`, 422, "body.version"},
		"an unknown field":     {`{"frontends":[],"certificates":[]}`, 422, "body.certificates"},
		"an unknown option":    {`{"frontends":[{"name":"x","color":"red","routes":[{"dest":"10.0.0.1:80"}]}]}`, 422, "body.frontends[0].color"},
		"a wrong type":         {`{"frontends":[{"name":7,"routes":[{"dest":"10.0.0.1:80"}]}]}`, 422, "body.frontends[0].name"},
		"no name":              {`{"frontends":[{"routes":[{"dest":"10.0.0.1:80"}]}]}`, 422, "body.frontends[0].name"},
		"no route":             {`{"frontends":[{"name":"x"}]}`, 422, "body.frontends[0].routes"},
		"the same name twice":  {`{"frontends":[{"name":"x","routes":[{"dest":"10.0.0.1:80"}]},{"name":"x","routes":[{"dest":"10.0.0.1:80"}]}]}`, 422, "body.frontends[1].name"},
		"a forbidden route":    {`{"frontends":[{"name":"new","queueLimit":1,"routes":[{"dest":"10.0.0.1:80"}]},{"name":"y","routes":[{"dest":"169.254.169.254:80"}]}]}`, 422, "body.frontends[1].routes[0].dest"},
		"more than the limit":  {`{"frontends":[{"name":"a","routes":[{"dest":"10.0.0.1:80"}]},{"name":"b","routes":[{"dest":"10.0.0.1:80"}]},{"name":"c","routes":[{"dest":"10.0.0.1:80"}]}]}`, 403, ""},
		"the same field twice": {`{"frontends":[{"name":"x","name":"y","routes":[{"dest":"10.0.0.1:80"}]}]}`, 400, ""},
	} {
		before := c.call("GET", "/api/v1/client/export", "").body
		a := c.call("POST", "/api/v1/client/import", wrong.body)
		if a.status != wrong.status || wrong.location != "" && !strings.Contains(a.body, `"`+wrong.location+`"`) {
			t.Errorf("%s: %d %s, want %d and %s", name, a.status, a.body, wrong.status, wrong.location)
		}
		if after := c.call("GET", "/api/v1/client/export", "").body; after != before {
			t.Errorf("%s: something was changed", name)
		}
	}
	c.call("POST", "/api/v1/client/frontend", `{"name":"new","routes":[{"dest":"10.0.0.1:80"}]}`)
	if a := c.call("POST", "/api/v1/client/import", file); a.status != 422 || !strings.Contains(a.body, "body.frontends[1].name") || !strings.Contains(a.body, "2 frontends of this name") {
		t.Errorf("a name that is there twice: %d %s", a.status, a.body)
	}
	reader, writer := c.with(keyOf(c, "read")), c.with(keyOf(c, "write"))
	if a := reader.call("GET", "/api/v1/client/export", ""); a.status != 200 {
		t.Errorf("export with a read key: %d", a.status)
	}
	if a := reader.call("POST", "/api/v1/client/import?dryRun=true", file); a.status != 403 {
		t.Errorf("import with a read key: %d, want 403", a.status)
	}
	if a := writer.call("POST", "/api/v1/client/import?dryRun=true", `{"frontends":[]}`); a.status != 200 {
		t.Errorf("import with a write key: %d %s", a.status, a.body)
	}
}

func keyOf(c *tenant, scope string) string {
	c.Helper()
	_, key := c.apiKey(`{"name":"x","scope":"` + scope + `"}`)
	return key
}

// A file that is stopped in the middle goes on from there.
func TestImportGoesOnWhereItWasStopped(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.NewDestinationsPerHour = 5 })
	c := f.signUp("testuser")
	var frontends []string
	for i := range 8 {
		frontends = append(frontends, fmt.Sprintf(`{"name":"f%d","routes":[{"dest":"10.0.0.%d:80"}]}`, i, i+1))
	}
	file := `{"frontends":[` + strings.Join(frontends, ",") + `]}`
	a := c.call("POST", "/api/v1/client/import", file)
	if a.status != 429 || !strings.Contains(a.body, "5 of 8 changes are made, then f5 failed: ") || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, want 429 that says how far it came and when to go on", a.status, a.body)
	}
	wantActions(t, "what is left", c.imported(file, "?dryRun=true"), map[string]int{"same": 5, "create": 3})
}

// A file may have 16 MB, and no more.
func TestImportTakesLargeFiles(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	file := func(size int) string {
		const head, tail = `{"frontends":[{"name":"x","routes":[{"dest":"10.0.0.1:80"}]}]`, "}"
		return head + strings.Repeat(" ", size-len(head)-len(tail)) + tail
	}
	wantActions(t, "16 MB", c.imported(file(16<<20), ""), map[string]int{"create": 1})
	if a := c.call("POST", "/api/v1/client/import", file(16<<20+2048)); a.status != 413 || !strings.Contains(a.body, "16 MB") {
		t.Errorf("more: %d %s, want 413", a.status, a.body)
	}
	if a := c.call("POST", "/api/v1/client/frontend", file(2<<20)); a.status != 413 {
		t.Errorf("2 MB elsewhere: %d, want 413", a.status)
	}
}

// The private key for routes stays where it is: an exported file has none, and the same file again changes nothing.
func TestImportKeepsRouteKeys(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	certificate, key := newIssuer(t).issue(t, "program")
	tls, err := json.Marshal(map[string]string{"mode": "verify", "certificate": string(certificate), "key": string(key)})
	must(t, err)
	withKey := `{"frontends":[{"name":"x","routes":[{"dest":"10.0.0.1:443"}],"routeTls":` + string(tls) + `}]}`
	wantActions(t, "with the key", c.imported(withKey, ""), map[string]int{"create": 1})
	wantActions(t, "with the same key again", c.imported(withKey, ""), map[string]int{"same": 1})
	file := c.call("GET", "/api/v1/client/export", "").body
	if strings.Contains(file, "PRIVATE KEY") || strings.Contains(file, "hasKey") {
		t.Error("the file has the key")
	}
	wantActions(t, "without the key", c.imported(file, ""), map[string]int{"same": 1})
	other := start(t).signUp("testuser")
	if a := other.call("POST", "/api/v1/client/import", file); a.status != 422 || !strings.Contains(a.body, "body.frontends[0].routeTls.key") {
		t.Errorf("where there is no key: %d %s", a.status, a.body)
	}
}
