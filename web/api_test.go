package web

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/xdire/xlb/control"
)

func TestContract(t *testing.T) {
	f := start(t)
	client := f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"testuser"}`), "Content-Type", "application/json")
	v := client.object(t)
	created, _ := v["createdAt"].(map[string]any)
	if client.status != 201 || client.header.Get("Location") != "/api/v1/client" || !isHex64(v["key"]) || created["seconds"] == nil || created["nanos"] == nil {
		t.Fatalf("sign-up: %d %v %s", client.status, client.header, client.body)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(v["uuid"].(string)+":"+v["key"].(string)))
	auth := f.do("POST", "/api/v1/client/auth", nil, "Authorization", basic)
	token, _ := auth.object(t)["Token"].(string)
	if auth.status != 200 || token == "" || auth.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("auth: %d %v %s", auth.status, auth.header, auth.body)
	}
	c := &tenant{fixture: f, uuid: v["uuid"].(string), token: token}

	made := c.call("POST", "/api/v1/client/frontend", `{"active":true,"strategy":0,"routeTimeoutSec":30,"routes":[{"dest":"142.250.189.174:80","capacity":10}]}`)
	frontend := made.object(t)
	id, _ := frontend["uuid"].(string)
	path := "/api/v1/client/frontend/" + id
	if made.status != 201 || made.header.Get("Location") != path || !isHex64(frontend["accessKey"]) || frontend["clientId"] != c.uuid || frontend["$schema"] != nil || made.header.Get("Link") != "" {
		t.Fatalf("create: %d %v %s", made.status, made.header, made.body)
	}
	if got := fmt.Sprint(frontend["active"], frontend["strategy"], frontend["routeTimeoutSec"], frontend["routes"]); got != "true 0 30 [map[backup:false capacity:10 dest:142.250.189.174:80 state:ready weight:1]]" {
		t.Errorf("the frontend is %s", got)
	}
	for _, list := range []string{"/api/v1/client/frontend/list", "/api/v1/client/frontend"} {
		a := c.call("GET", list, "")
		if a.status != 200 || !strings.HasSuffix(strings.TrimSpace(a.body), `],"next":null}`) || len(a.object(t)["items"].([]any)) != 1 {
			t.Errorf("%s: %d %s", list, a.status, a.body)
		}
	}
	bundle := c.call("GET", path+"/tls", "")
	for field, begins := range map[string]string{"key": "-----BEGIN RSA PRIVATE KEY", "certificate": "-----BEGIN CERTIFICATE", "ca": "-----BEGIN CERTIFICATE"} {
		text, _ := bundle.object(t)[field].(string)
		pem, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !strings.HasPrefix(string(pem), begins) || bundle.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s is %.40q: %v", field, pem, err)
		}
	}
	certs := c.call("GET", path+"/certificates", "")
	if certs.status != 200 || len(certs.object(t)["items"].([]any)) != 1 || strings.Contains(certs.body, "KEY") {
		t.Errorf("certificates: %d %s", certs.status, certs.body)
	}
	ca := f.do("GET", "/api/v1/ca.pem", nil)
	if ca.status != 200 || ca.header.Get("Content-Type") != "application/x-pem-file" || ca.body != string(f.control.AuthorityPEM()) {
		t.Errorf("ca.pem: %d %v", ca.status, ca.header)
	}
	if a := c.call("DELETE", path, ""); a.status != 204 || a.body != "" {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := c.call("GET", path, ""); a.status != 404 {
		t.Errorf("after the delete: %d %s, want 404", a.status, a.body)
	}
	for what, secret := range map[string]string{"key": v["key"].(string), "token": token} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
}

func isHex64(v any) bool {
	text, _ := v.(string)
	return regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(text)
}

func TestPatchMerges(t *testing.T) {
	c := start(t).signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:6379")
	steps := []struct{ patch, field, want string }{
		{`{}`, "active", "true"},
		{`{"active":false}`, "active", "false"},
		{`{"routeTimeoutSec":7}`, "active", "false"},
		{`{"active":null}`, "active", "true"},
		{`{"routeTimeoutSec":null}`, "routeTimeoutSec", "30"},
		{`{"strategy":"least-connections"}`, "strategy", "1"},
		{`{"strategy":0}`, "strategy", "0"},
		{`{"strategy":1}`, "strategy", "1"},
		{`{"strategy":null}`, "strategy", "0"},
		{`{"name":"other"}`, "name", "other"},
		{`{"routes":[{"dest":"10.0.0.2:1"},{"dest":"10.0.0.3:1","capacity":3}]}`, "routes", "[map[backup:false capacity:0 dest:10.0.0.2:1 state:ready weight:1] map[backup:false capacity:3 dest:10.0.0.3:1 state:ready weight:1]]"},
	}
	for _, contentType := range []string{"application/merge-patch+json", "application/json", "application/json; charset=utf-8"} {
		for _, step := range steps {
			a := c.call("PATCH", path, step.patch, "Content-Type", contentType)
			if got := fmt.Sprint(a.object(t)[step.field]); a.status != 200 || got != step.want {
				t.Errorf("%s as %s: %d, %s is %s, want %s", step.patch, contentType, a.status, step.field, got, step.want)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("answered as %q, want %q", got, "application/json")
			}
		}
	}
}

func TestIfMatchGuardsChanges(t *testing.T) {
	c := start(t).signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:6379")
	first := c.call("GET", path, "").header.Get("ETag")
	if !regexp.MustCompile(`^"\d+"$`).MatchString(first) {
		t.Fatalf("ETag is %q", first)
	}
	second := c.call("PATCH", path, `{"active":false}`, "If-Match", first)
	if second.status != 200 || second.header.Get("ETag") == first || second.header.Get("ETag") != c.call("GET", path, "").header.Get("ETag") {
		t.Fatalf("with the ETag that was read: %d %v", second.status, second.header)
	}
	current := second.header.Get("ETag")
	for _, stale := range []string{first, "W/" + current, "nonsense", `"0"`} {
		for _, method := range []string{"PATCH", "DELETE"} {
			if a := c.call(method, path, `{"active":true}`, "If-Match", stale); a.status != 412 {
				t.Errorf("%s with If-Match %s: %d %s, want 412", method, stale, a.status, a.body)
			}
		}
	}
	for _, good := range []string{"*", `CURRENT, "0"`} {
		good = strings.Replace(good, "CURRENT", current, 1)
		a := c.call("PATCH", path, `{}`, "If-Match", good)
		if a.status != 200 {
			t.Errorf("with If-Match %s: %d %s, want 200", good, a.status, a.body)
		}
		current = a.header.Get("ETag")
	}
	if a := c.call("DELETE", path, "", "If-Match", current); a.status != 204 {
		t.Errorf("delete with the current ETag: %d %s, want 204", a.status, a.body)
	}
}

func TestCertificateAsChosen(t *testing.T) {
	c := start(t).signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	for _, tc := range []struct{ body, block, keyType string }{
		{``, "RSA PRIVATE KEY", "rsa-3072"},
		{`{}`, "RSA PRIVATE KEY", "rsa-3072"},
		{`{"keyType":"rsa-2048"}`, "RSA PRIVATE KEY", "rsa-2048"},
		{`{"keyType":"ecdsa-p256","lifetimeSec":3600,"name":"ci"}`, "PRIVATE KEY", "ecdsa-p256"},
		{`{"keyType":"ed25519"}`, "PRIVATE KEY", "ed25519"},
	} {
		a := c.call("POST", path+"/tls", tc.body)
		if a.status != 200 {
			t.Fatalf("%s: %d %s, want 200", tc.body, a.status, a.body)
		}
		v := a.object(t)
		key, err := base64.StdEncoding.DecodeString(v["key"].(string))
		must(t, err)
		cert, err := base64.StdEncoding.DecodeString(v["certificate"].(string))
		must(t, err)
		pair, err := tls.X509KeyPair(cert, key)
		must(t, err)
		if block, _ := pem.Decode(key); block.Type != tc.block {
			t.Errorf("%s: key is %q, want %q", tc.body, block.Type, tc.block)
		}
		records := c.call("GET", path+"/certificates", "").object(t)["items"].([]any)
		var found map[string]any
		for _, r := range records {
			if one := r.(map[string]any); one["serial"] == pair.Leaf.SerialNumber.Text(16) {
				found = one
			}
		}
		if found["keyType"] != tc.keyType {
			t.Errorf("%s: recorded as %v", tc.body, found)
		}
		if life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore); tc.keyType == "ecdsa-p256" && (found["name"] != "ci" || life > 2*time.Hour) {
			t.Errorf("%s: %v, lives %v", tc.body, found, life)
		}
	}
	for body, location := range map[string]string{
		`{"keyType":"dsa-1024"}`: "body.keyType", `{"lifetimeSec":59}`: "body.lifetimeSec", `{"lifetimeSec":0}`: "body.lifetimeSec",
		`{"lifetimeSec":34300801}`: "body.lifetimeSec", `{"lifetimeSec":"1h"}`: "body.lifetimeSec",
		`{"name":"a\nb"}`: "body.name", `{"keytype":"ed25519"}`: "body.keytype",
	} {
		wantProblem(t, c.call("POST", path+"/tls", body), 422, location)
	}
}

func TestOptionsAreKeptAndChecked(t *testing.T) {
	c := start(t).signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	plain := c.call("GET", path, "").object(t)
	for field, want := range map[string]any{
		"maxConnections": 0.0, "idleTimeoutSec": 3600.0, "halfCloseTimeoutSec": 60.0, "keepAliveSec": 60.0, "queueLimit": 1024.0,
		"drainTimeoutSec": 300.0, "ejectAfter": 5.0, "ejectOn": "connect", "panicPercent": 50.0, "proxyProtocol": 0.0, "closeOnDown": false,
	} {
		if plain[field] != want {
			t.Errorf("%s is %v in a new frontend, want %v", field, plain[field], want)
		}
	}
	const all = `{"maxConnections":7,"connectionsPerSec":8,"bytesPerSec":900000,"idleTimeoutSec":10,"halfCloseTimeoutSec":11,
		"maxLifetimeSec":12,"keepAliveSec":13,"tcpUserTimeoutSec":21,"queueLimit":14,"drainTimeoutSec":15,"ejectAfter":16,"ejectOn":"early-close","panicPercent":17,"slowStartSec":18,
		"closeOnDown":true,"proxyProtocol":2,"routeTls":{"mode":"verify","serverName":"db.internal"},
		"check":{"kind":"http","intervalSec":9,"path":"/healthz","statusHigh":204},
		"routes":[{"dest":"10.0.0.1:80","weight":3,"backup":true,"state":"drain"}]}`
	if a := c.call("PATCH", path, all); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	c.call("PATCH", path, `{"check":{"fall":5},"keepAliveSec":null}`) // merges into what is there
	got := c.call("GET", path, "").object(t)
	check, over := got["check"].(map[string]any), got["routeTls"].(map[string]any)
	route := got["routes"].([]any)[0].(map[string]any)
	if got["bytesPerSec"] != 900000.0 || got["keepAliveSec"] != 60.0 || got["tcpUserTimeoutSec"] != 21.0 || got["closeOnDown"] != true || got["ejectOn"] != "early-close" || over["mode"] != "verify" ||
		check["kind"] != "http" || check["fall"] != 5.0 || check["rise"] != 2.0 || check["path"] != "/healthz" ||
		route["weight"] != 3.0 || route["backup"] != true || route["state"] != "drain" {
		t.Errorf("got %v", got)
	}
	for body, location := range map[string]string{
		`{"maxConnections":-1}`: "body.maxConnections", `{"idleTimeoutSec":0}`: "body.idleTimeoutSec", `{"proxyProtocol":3}`: "body.proxyProtocol",
		`{"check":{"kind":"ping"}}`: "body.check.kind", `{"check":{"kind":""}}`: "body.check.kind", `{"check":{"timeoutSec":30}}`: "body.check.timeoutSec",
		`{"check":{"path":"no slash"}}`: "body.check.path", `{"check":{"statusLow":99}}`: "body.check.statusLow", `{"check":{"colour":1}}`: "body.check.colour",
		`{"routeTls":{"mode":"maybe"}}`: "body.routeTls.mode", `{"routeTls":{"ca":"nonsense"}}`: "body.routeTls.ca", `{"panicPercent":101}`: "body.panicPercent",
		`{"ejectOn":"never"}`:                              "body.ejectOn",
		`{"routes":[{"dest":"10.0.0.1:80","weight":257}]}`: "body.routes[0].weight", `{"routes":[{"dest":"10.0.0.1:80","state":"sleep"}]}`: "body.routes[0].state",
	} {
		wantProblem(t, c.call("PATCH", path, body), 422, location)
	}
}

func TestListsPage(t *testing.T) {
	c := start(t).signUp("testuser")
	var made, seen []string
	for i := range 5 {
		made = append(made, c.frontend(fmt.Sprintf("10.0.0.%d:80", i+1)))
	}
	next, pages := "", 0
	for ; pages == 0 || next != ""; pages++ {
		path := "/api/v1/client/frontend?limit=2"
		if next != "" {
			path += "&after=" + next
		}
		v := c.call("GET", path, "").object(t)
		for _, item := range v["items"].([]any) {
			seen = append(seen, item.(map[string]any)["uuid"].(string))
		}
		next, _ = v["next"].(string)
	}
	if pages != 3 || !slices.Equal(seen, made) {
		t.Errorf("%d pages with %v, want 3 with %v", pages, seen, made)
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=x", "after=%2F", "limits=2"} {
		if a := c.call("GET", "/api/v1/client/frontend?"+query, ""); a.status != 422 {
			t.Errorf("?%s: %d %s, want 422", query, a.status, a.body)
		}
	}
}

// openToAll lists the operations that need no token.
var openToAll = []string{"POST /api/v1/client", "GET /api/v1/ca.pem", "GET /api/v1/crl", "GET /api/v1/crl/{id}", "GET /api/v1/openapi.json"}

// byCertificate needs one instead of a token. There is no challenge to answer 401 with.
const byCertificate = "POST /api/v1/renew"

func TestEveryAPIRouteIsDocumentedAndClosed(t *testing.T) {
	f := start(t)
	document := f.do("GET", "/api/v1/openapi.json", nil).object(t)
	if document["openapi"] != "3.1.0" {
		t.Errorf("openapi is %v, want 3.1.0", document["openapi"])
	}
	paths, walked := document["paths"].(map[string]any), 0
	err := chi.Walk(f.server.Handler().(chi.Routes), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !strings.HasPrefix(route, "/api") {
			return nil
		}
		walked++
		methods, _ := paths[route].(map[string]any)
		op, _ := methods[strings.ToLower(method)].(map[string]any)
		if op == nil {
			t.Errorf("%s %s is not in the document", method, route)
			return nil
		}
		if security, _ := op["security"].([]any); len(security) == 0 {
			t.Errorf("%s %s lists no security", method, route)
		}
		path := strings.ReplaceAll(route, "{uuid}", "0198a1f2-0000-7000-8000-000000000000")
		a := f.do(method, path, strings.NewReader("nonsense"), "Content-Type", "text/plain")
		if method+" "+route == byCertificate {
			if a.status != 415 && a.status != 403 {
				t.Errorf("%s answers %d to a stranger", route, a.status)
			}
			return nil
		}
		open := slices.Contains(openToAll, method+" "+route)
		if (a.status != 401) != open || !open && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s answers %d %v to a stranger", method, route, a.status, a.header)
		}
		if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s answers %s as %q", method, route, a.body, a.header.Get("Content-Type"))
		}
		return nil
	})
	if err != nil || walked != 66 {
		t.Errorf("walked %d routes, want 66: %v", walked, err)
	}
}

// Without If-Match the last one wins, and nobody is turned away; with the same one exactly one gets through.
func TestParallelChanges(t *testing.T) {
	c := start(t, func(c *control.Config) { c.Limits.RequestsPerSecond = -1 }).signUp("testuser")
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	fields := []string{`"name":"x"`, `"active":true`, `"strategy":1`, `"routeTimeoutSec":7`, `"maxConnections":7`, `"connectionsPerSec":7`, `"queueLimit":7`,
		`"idleTimeoutSec":7`, `"halfCloseTimeoutSec":7`, `"maxLifetimeSec":7`, `"keepAliveSec":7`, `"drainTimeoutSec":7`, `"ejectAfter":7`}
	all := func(headers ...string) map[int]int {
		var mu sync.Mutex
		var asking sync.WaitGroup
		statuses := map[int]int{}
		for _, field := range fields {
			asking.Go(func() {
				headers := append([]string{"Authorization", "Bearer " + c.token, "Content-Type", "application/json"}, headers...)
				a, err := c.try("PATCH", path, strings.NewReader("{"+field+"}"), headers...)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[a.status]++
			})
		}
		asking.Wait()
		return statuses
	}
	for range 20 {
		if got := all(); got[200] != len(fields) {
			t.Fatalf("statuses %v", got)
		}
	}
	got := c.call("GET", path, "")
	if v := got.object(t); v["name"] != "x" || v["ejectAfter"] != 7.0 || v["maxConnections"] != 7.0 {
		t.Errorf("a change was lost: %v", v)
	}
	if got := all("If-Match", got.header.Get("ETag")); got[200] != 1 || got[412] != len(fields)-1 {
		t.Errorf("with the same If-Match: %v", got)
	}
}
