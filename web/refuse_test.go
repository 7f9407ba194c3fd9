package web

import (
	"io"
	"strings"
	"testing"
)

func TestBadInputIsRefusedWithTheField(t *testing.T) {
	f := start(t)
	c, other := f.signUp("testuser"), f.signUp("other")
	id, foreign := c.frontend("10.0.0.1:80"), other.frontend("10.0.0.2:80")
	const create = "POST /api/v1/client/frontend"
	patch := "PATCH /api/v1/client/frontend/" + id
	one := func(dest string) string { return `{"routes":[{"dest":"` + dest + `"}]}` }
	cases := []struct {
		name, call, body string
		status           int
		location         string
	}{
		{"broken JSON", create, `{"routes":[`, 400, "body"},
		{"two values", create, `{} {}`, 400, "body"},
		{"no JSON at all", create, marker, 400, "body"},
		{"empty body", create, ``, 400, ""},
		{"empty body", patch, ``, 400, ""},
		{"null", create, `null`, 422, "body"},
		{"list", create, `[]`, 422, "body"},
		{"text", patch, `"` + marker + `"`, 422, "body"},
		{"duplicate key", create, `{"active":true,"active":false}`, 400, "body"},
		{"duplicate key, escaped", patch, `{"active":true,"\u0061ctive":false}`, 400, "body"},
		{"duplicate key, nested", create, `{"routes":[{"dest":"10.0.0.1:1","dest":"10.0.0.2:1"}]}`, 400, "body"},
		{"very deep", create, `{"routes":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400, "body"},
		{"unknown field", create, `{"` + "colour" + `":"` + marker + `"}`, 422, "body.colour"},
		{"unknown field", patch, `{"colour":"` + marker + `"}`, 422, "body.colour"},
		{"read-only field", patch, `{"accessKey":"` + marker + `"}`, 422, "body.accessKey"},
		{"wrong case", create, `{"Active":true}`, 422, "body.Active"},
		{"unknown field of a route", create, `{"routes":[{"dest":"10.0.0.1:1","colour":1}]}`, 422, "body.routes[0].colour"},
		{"active is text", create, `{"active":"` + marker + `"}`, 422, "body.active"},
		{"timeout is text", patch, `{"routeTimeoutSec":"` + marker + `"}`, 422, "body.routeTimeoutSec"},
		{"timeout is a fraction", patch, `{"routeTimeoutSec":1.5}`, 422, "body.routeTimeoutSec"},
		{"timeout 0", patch, `{"routeTimeoutSec":0}`, 422, "body.routeTimeoutSec"},
		{"timeout 301", patch, `{"routeTimeoutSec":301}`, 422, "body.routeTimeoutSec"},
		{"timeout beyond int", patch, `{"routeTimeoutSec":1e30}`, 422, "body"},
		{"strategy unknown", patch, `{"strategy":7}`, 422, "body.strategy"},
		{"strategy negative", patch, `{"strategy":-1}`, 422, "body.strategy"},
		{"strategy unknown name", patch, `{"strategy":"` + marker + `"}`, 422, "body.strategy"},
		{"strategy is a list", patch, `{"strategy":[1]}`, 422, "body.strategy"},
		{"routes is a text", create, `{"routes":"` + marker + `"}`, 422, "body.routes"},
		{"no routes", create, `{}`, 422, "body.routes"},
		{"no routes", create, `{"routes":[]}`, 422, "body.routes"},
		{"routes null", patch, `{"routes":null}`, 422, "body.routes"},
		{"a route is null", create, `{"routes":[null]}`, 422, "body.routes[0]"},
		{"a route without dest", create, `{"routes":[{"capacity":1}]}`, 422, "body.routes[0].dest"},
		{"no port", create, one("10.0.0.1"), 422, "body.routes[0].dest"},
		{"port 0", create, one("10.0.0.1:0"), 422, "body.routes[0].dest"},
		{"port 70000", create, one("10.0.0.1:70000"), 422, "body.routes[0].dest"},
		{"port as a name", create, one("10.0.0.1:" + marker), 422, "body.routes[0].dest"},
		{"HTML host", create, one("<b>" + marker + "</b>:80"), 422, "body.routes[0].dest"},
		{"link-local", create, one("169.254.169.254:80"), 422, "body.routes[0].dest"},
		{"link-local v6", create, one("[fe80::1]:80"), 422, "body.routes[0].dest"},
		{"link-local mapped", create, one("[::ffff:169.254.169.254]:80"), 422, "body.routes[0].dest"},
		{"multicast", create, one("224.0.0.1:80"), 422, "body.routes[0].dest"},
		{"multicast v6", create, one("[ff02::1]:80"), 422, "body.routes[0].dest"},
		{"unspecified", create, one("0.0.0.0:80"), 422, "body.routes[0].dest"},
		{"unspecified v6", create, one("[::]:80"), 422, "body.routes[0].dest"},
		{"the same twice", create, `{"routes":[{"dest":"10.0.0.1:1"},{"dest":"10.0.0.1:1"}]}`, 422, "body.routes[1].dest"},
		{"negative capacity", create, `{"routes":[{"dest":"10.0.0.1:1","capacity":-1}]}`, 422, "body.routes[0].capacity"},
		{"300 routes", create, manyRoutes(300), 422, "body.routes"},
		{"name with a control character", patch, `{"name":"` + marker + `\u0007"}`, 422, "body.name"},
		{"name with a line break", patch, `{"name":"a\nb"}`, 422, "body.name"},
		{"name is HTML", patch, `{"name":"<script>` + marker + `</script>"}`, 422, "body.name"},
		{"name too long", patch, `{"name":"` + strings.Repeat("a", 65) + `"}`, 422, "body.name"},
		{"name is no UTF-8", patch, "{\"name\":\"\xff\xfe\"}", 422, "body.name"},
		{"another client's", "GET /api/v1/client/frontend/" + foreign, ``, 404, ""},
		{"another client's", "PATCH /api/v1/client/frontend/" + foreign, `{"active":false}`, 404, ""},
		{"another client's", "DELETE /api/v1/client/frontend/" + foreign, ``, 404, ""},
		{"another client's", "GET /api/v1/client/frontend/" + foreign + "/tls", ``, 404, ""},
		{"another client's", "GET /api/v1/client/frontend/" + foreign + "/certificates", ``, 404, ""},
		{"not a uuid", "GET /api/v1/client/frontend/" + marker, ``, 404, ""},
		{"not a uuid", "DELETE /api/v1/client/frontend/%2e%2e%2f" + marker, ``, 404, ""},
		{"no such path", "GET /api/v1/" + marker, ``, 404, ""},
		{"no such path", "GET /api", ``, 404, ""},
		{"wrong method", "PUT /api/v1/client/frontend/" + id, `{}`, 405, ""},
		{"wrong method", "PUT /api/v1/client", ``, 405, ""},
		{"sign-up without a name", "POST /api/v1/client", `{}`, 422, "body.name"},
		{"sign-up with an empty name", "POST /api/v1/client", `{"name":""}`, 422, "body.name"},
		{"sign-up with a wrong code", "POST /api/v1/client", `{"name":"x","code":"` + marker + `"}`, 403, "body.code"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tc.call, " ")
			a := c.call(method, path, tc.body)
			wantProblem(t, a, tc.status, tc.location)
			if a.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	if a := c.call("GET", "/api/v1/client/frontend/"+id, ""); !strings.Contains(a.body, `"routeTimeoutSec":30`) {
		t.Errorf("a refused change was made: %s", a.body)
	}
}

func TestAnothersFrontendCannotBeToldFromAMissingOne(t *testing.T) {
	f := start(t)
	c, other := f.signUp("testuser"), f.signUp("other")
	foreign := c.call("GET", "/api/v1/client/frontend/"+other.frontend("10.0.0.1:80"), "", "X-Request-Id", "r")
	missing := c.call("GET", "/api/v1/client/frontend/0198a1f2-0000-7000-8000-000000000000", "", "X-Request-Id", "r")
	if foreign.body != missing.body || foreign.status != missing.status {
		t.Errorf("another's: %d %s\nmissing: %d %s", foreign.status, foreign.body, missing.status, missing.body)
	}
}

func TestWrongContentTypes(t *testing.T) {
	c := start(t).signUp("testuser")
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "a/b/c", "application/merge-patch+json"} {
		a := c.call("POST", "/api/v1/client/frontend", `{}`, "Content-Type", contentType)
		wantProblem(t, a, 415, "")
	}
}

// endless is a body of a length that is not known before.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	e.left -= n
	return n, nil
}

func TestLargeRequests(t *testing.T) {
	c := start(t).signUp("testuser")
	t.Run("HTTP/2", func(t *testing.T) { largeRequests(t, c) })
	one := *c
	one.fixture = c.overHTTP1()
	t.Run("HTTP/1.1", func(t *testing.T) { largeRequests(t, &one) })
}

func largeRequests(t *testing.T, c *tenant) {
	for _, size := range []int{1<<20 + 1, 10 << 20} {
		for name, body := range map[string]io.Reader{"known": strings.NewReader(strings.Repeat(" ", size)), "unknown": &endless{size}} {
			a, err := c.try("POST", "/api/v1/client/frontend", body, "Authorization", "Bearer "+c.token, "Content-Type", "application/json")
			if err != nil {
				t.Errorf("%d bytes, length %s: %v", size, name, err)
				continue
			}
			wantProblem(t, a, 413, "")
		}
	}
	a, err := c.try("GET", "/api/v1/client", nil, "Authorization", "Bearer "+c.token, "X-Large", strings.Repeat("a", 70<<10))
	if err == nil && a.status != 431 {
		t.Errorf("a header of 70 KB: %d %s", a.status, a.body)
	}
	if a := c.call("GET", "/api/v1/client", ""); a.status != 200 {
		t.Errorf("afterwards: %d %s, want 200", a.status, a.body)
	}
}
