package web

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// permissions say what each operation of the API needs: nothing (open), a key (basic), a certificate, a scope (read, write,
// issue), the client's own key (own) or the administrator (admin); and a body that it takes.
var permissions = map[string][2]string{
	"POST /api/v1/client":                                            {"open", `{"name":"x"}`},
	"POST /api/v1/client/auth":                                       {"basic"},
	"POST /api/v1/renew":                                             {"certificate"},
	"GET /api/v1/ca.pem":                                             {"open"},
	"GET /api/v1/crl":                                                {"open"},
	"GET /api/v1/crl/{id}":                                           {"open"},
	"GET /api/v1/openapi.json":                                       {"open"},
	"GET /.well-known/jwks.json":                                     {"open"},
	"GET /api/v1/client":                                             {"read"},
	"PATCH /api/v1/client":                                           {"own", `{"name":"x"}`},
	"DELETE /api/v1/client":                                          {"own"},
	"POST /api/v1/client/key":                                        {"own", `{"graceSec":604800}`},
	"DELETE /api/v1/client/tokens":                                   {"own"},
	"DELETE /api/v1/client/tokens/{id}":                              {"own"},
	"GET /api/v1/client/limits":                                      {"read"},
	"GET /api/v1/client/keys":                                        {"own"},
	"POST /api/v1/client/keys":                                       {"own", `{"name":"x","scope":"read"}`},
	"GET /api/v1/client/keys/{id}":                                   {"own"},
	"DELETE /api/v1/client/keys/{id}":                                {"own"},
	"GET /api/v1/client/sessions":                                    {"own"},
	"DELETE /api/v1/client/sessions":                                 {"own"},
	"DELETE /api/v1/client/sessions/{id}":                            {"own"},
	"GET /api/v1/client/audit":                                       {"read-all"},
	"GET /api/v1/client/audit.csv":                                   {"read-all"},
	"GET /api/v1/client/audit/check":                                 {"read-all"},
	"GET /api/v1/client/export":                                      {"read"},
	"POST /api/v1/client/import":                                     {"write-some", `{"frontends":[]}`},
	"GET /api/v1/events":                                             {"read"},
	"GET /api/v1/client/frontend":                                    {"read"},
	"GET /api/v1/client/frontend/list":                               {"read"},
	"POST /api/v1/client/frontend":                                   {"write-all", `{"routes":[{"dest":"10.0.0.1:80"}]}`},
	"GET /api/v1/client/frontend/{uuid}":                             {"read"},
	"PATCH /api/v1/client/frontend/{uuid}":                           {"write", `{"queueLimit":9}`},
	"DELETE /api/v1/client/frontend/{uuid}":                          {"write"},
	"GET /api/v1/client/frontend/{uuid}/status":                      {"read"},
	"GET /api/v1/client/frontend/{uuid}/refused":                     {"read"},
	"GET /api/v1/client/frontend/{uuid}/connections":                 {"read"},
	"POST /api/v1/client/frontend/{uuid}/test":                       {"write", "{}"},
	"GET /api/v1/client/frontend/{uuid}/connections/ended":           {"read"},
	"DELETE /api/v1/client/frontend/{uuid}/connections":              {"write"},
	"DELETE /api/v1/client/frontend/{uuid}/connections/{id}":         {"write"},
	"GET /api/v1/client/frontend/{uuid}/revisions":                   {"read"},
	"GET /api/v1/client/frontend/{uuid}/revisions/{number}":          {"read"},
	"GET /api/v1/client/frontend/{uuid}/revisions/{number}/diff":     {"read"},
	"POST /api/v1/client/frontend/{uuid}/revisions/{number}/restore": {"write"},
	"GET /api/v1/client/frontend/{uuid}/tls":                         {"issue"},
	"POST /api/v1/client/frontend/{uuid}/tls":                        {"issue", `{"keyType":"ecdsa-p256"}`},
	"GET /api/v1/client/frontend/{uuid}/certificates":                {"read"},
	"DELETE /api/v1/client/frontend/{uuid}/certificates":             {"write"},
	"GET /api/v1/client/frontend/{uuid}/certificates/{serial}":       {"read"},
	"DELETE /api/v1/client/frontend/{uuid}/certificates/{serial}":    {"write"},
	"GET /api/v1/admin/server":                                       {"admin"},
	"GET /api/v1/admin/audit":                                        {"admin"},
	"GET /api/v1/admin/clients":                                      {"admin"},
	"GET /api/v1/admin/clients/{uuid}":                               {"admin"},
	"PATCH /api/v1/admin/clients/{uuid}":                             {"admin", `{"limits":{"frontends":9}}`},
	"DELETE /api/v1/admin/clients/{uuid}":                            {"admin"},
	"POST /api/v1/admin/clients/{uuid}/key":                          {"admin"},
	"GET /api/v1/admin/clients/{uuid}/sessions":                      {"admin"},
	"DELETE /api/v1/admin/clients/{uuid}/sessions":                   {"admin"},
	"GET /api/v1/admin/invites":                                      {"admin"},
	"POST /api/v1/admin/invites":                                     {"admin"},
	"DELETE /api/v1/admin/invites/{id}":                              {"admin"},
	"GET /api/v1/admin/authorities":                                  {"admin"},
	"POST /api/v1/admin/authorities":                                 {"admin"},
	"PATCH /api/v1/admin/authorities/{id}":                           {"admin", `{"state":"retired"}`},
	"DELETE /api/v1/admin/authorities/{id}":                          {"admin"},
}

// what somebody gets: in, unknown (the object is not theirs), refused, or asked who they are.
const (
	letIn     = "let in"
	notThere  = "not there"
	turnedOff = "refused"
	askedWho  = "asked who it is"
)

// someID is an id of the form that a route takes, of nothing.
func someID(route string) string {
	if strings.Contains(route, "/authorities/") || strings.Contains(route, "/crl/") {
		return strings.Repeat("0", 16)
	}
	return strings.Repeat("0", 64)
}

func outcomeOf(status int) string {
	switch {
	case status == 401:
		return askedWho
	case status == 403:
		return turnedOff
	case status == 404:
		return notThere
	}
	return letIn
}

// wanted is what an actor has to get from an operation.
func wanted(actor, needs, route string) string {
	aboutOne := strings.Contains(route, "/frontend/{uuid}")
	scope, bound, _ := strings.Cut(needs, "-") // -all: not for bound keys; -some: for them too, though it names nothing
	switch {
	case actor == "disabled" && strings.HasPrefix(route, "/api"): // its credential is refused wherever it shows it
		return turnedOff
	case needs == "open":
		return letIn
	case needs == "basic":
		return askedWho
	case needs == "certificate":
		return turnedOff
	case actor == "nobody":
		return askedWho
	case actor == "administrator", actor == "another client":
		if needs == "admin" && actor != "administrator" {
			return turnedOff
		}
		if aboutOne {
			return notThere
		}
		return letIn
	case needs == "admin", needs == "own":
		return turnedOff
	case actor == "bound key":
		if aboutOne || bound == "all" {
			return turnedOff
		}
		return letIn
	}
	if scope == "read" || strings.Contains(actor, scope) {
		return letIn
	}
	return turnedOff
}

// Every operation that the API describes, as everybody: whoever adds one has to say here what it needs.
func TestWhoMayDoWhat(t *testing.T) {
	f := start(t, func(c *control.Config) {
		c.SetupCode, c.Signup = "let-me-in", "open"
		c.Limits.RequestsPerSecond, c.Limits.Frontends, c.Limits.NewDestinationsPerHour = -1, -1, -1
	})
	f.balance() // a test of a frontend connects to it
	root, c := f.administrator(), f.signUp("owner")
	elsewhere := c.frontend("10.0.0.9:80")
	keys := map[string]string{}
	for actor, body := range map[string]string{
		"read key": `{"name":"x","scope":"read"}`, "write key": `{"name":"x","scope":"write"}`, "issue key": `{"name":"x","scope":"issue"}`,
		"bound key": `{"name":"x","scope":"read write issue","frontends":["` + elsewhere + `"]}`,
	} {
		_, keys[actor] = c.apiKey(body)
	}
	shut := f.signUp("disabled")
	wantStatus(t, root.call("PATCH", "/api/v1/admin/clients/"+shut.uuid, `{"disabled":true}`), 200)
	document := f.do("GET", "/api/v1/openapi.json", nil).object(t)
	seen := map[string]bool{}
	for route, methods := range document["paths"].(map[string]any) {
		for method := range methods.(map[string]any) {
			operation := strings.ToUpper(method) + " " + route
			seen[operation] = true
			rule, known := permissions[operation]
			if !known {
				t.Errorf("nobody has said what %s needs", operation)
				continue
			}
			for _, actor := range []string{"nobody", "another client", "read key", "write key", "issue key", "bound key", "disabled", "administrator"} {
				token := keys[actor]
				switch actor {
				case "another client":
					token = f.signUp("another").token
				case "administrator":
					token = f.tokenFor(root.uuid, root.key).object(t)["Token"].(string)
				case "disabled":
					token = shut.token
				}
				id, serial := "", ""
				switch {
				case strings.Contains(route, "/admin/clients/"):
					id = f.signUp("target").uuid
				case strings.Contains(route, "{uuid}"):
					id = c.frontend("10.0.0.1:80")
				}
				if strings.Contains(route, "{serial}") {
					_, serial = c.identity(id, "x")
				}
				path := strings.NewReplacer("{uuid}", id, "{serial}", serial, "{number}", "1", "{id}", someID(route)).Replace(route)
				query := ""
				switch operation {
				case "DELETE /api/v1/client/frontend/{uuid}/certificates":
					query = "?issuedBefore=2020-01-01T00:00:00Z"
				case "DELETE /api/v1/client/frontend/{uuid}/connections":
					query = "?all=true"
				}
				status := f.answers(strings.ToUpper(method), path+query, token, rule[1], actor != "administrator") // it goes on being needed
				got, want := outcomeOf(status), wanted(actor, rule[0], route)
				// An id that nothing has is not found by those who may look for it.
				if strings.Contains(route, "{id}") && want == letIn && got == notThere {
					got = letIn
				}
				if got != want || status >= 500 || status == 405 || status == 422 && rule[0] != "own" {
					t.Errorf("%s as %s: %d, which is %s; want %s", operation, actor, status, got, want)
				}
			}
		}
	}
	for _, operation := range slices.Sorted(maps.Keys(permissions)) {
		if !seen[operation] {
			t.Errorf("there is no %s", operation)
		}
	}
}

// answers is the status of an answer; its body, which may have no end, is not read.
func (f *fixture) answers(method, path, token, body string, anyState bool) int {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, strings.NewReader(body))
	must(f.T, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if anyState {
		req.Header.Set("If-Match", "*")
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := f.client.Do(req)
	must(f.T, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// Every page, as everybody who has a session or an API key: another client's things are not there, the administrator's
// pages are closed, and neither a key nor a session that has ended opens any.
func TestWhoMaySeeWhichPage(t *testing.T) {
	f := start(t, func(c *control.Config) {
		c.SetupCode, c.Signup = "let-me-in", "open"
		c.Limits.RequestsPerSecond = -1
	})
	root, c, shut := f.administrator(), f.signUp("owner"), f.signUp("disabled")
	id := c.frontend("10.0.0.1:80")
	_, serial := c.identity(id, "x")
	_, key := c.apiKey(`{"name":"x","scope":"read write issue"}`)
	ended := f.cookieOf(shut)
	wantStatus(t, root.call("PATCH", "/api/v1/admin/clients/"+shut.uuid, `{"disabled":true}`), 200)
	for _, page := range f.server.pages.Routes() {
		if page.Open {
			continue
		}
		isAdmin, aboutOne := strings.HasPrefix(page.Pattern, "/admin"), strings.Contains(page.Pattern, "/frontends/{uuid}")
		for _, actor := range []string{"another client", "administrator", "disabled", "API key"} {
			about := id
			if isAdmin {
				about = f.signUp("target").uuid
			}
			path := strings.NewReplacer("{uuid}", about, "{serial}", serial, "{number}", "1", "{id}", someID(page.Pattern)).Replace(page.Pattern)
			headers := []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}
			switch actor {
			case "another client":
				headers = append(headers, "Cookie", f.cookieOf(f.signUp("another")))
			case "administrator":
				headers = append(headers, "Cookie", f.cookieOf(root))
			case "disabled":
				headers = append(headers, "Cookie", ended)
			case "API key":
				headers = append(headers, "Authorization", "Bearer "+key)
			}
			if path == "/events" && (actor == "another client" || actor == "administrator") {
				path += "?view=nothing" // an answer and not a stream
			}
			a := f.do(page.Method, path, strings.NewReader("grace=604800&revision=1&serial="+serial), headers...)
			toLogin := a.status == 303 && strings.HasPrefix(a.header.Get("Location"), "/login") || a.status == 401 ||
				path == "/" && a.header.Get("Location") == "/signup" // of a browser that was never here
			want, ok := "the page", a.status < 500 && a.status != 403 && !toLogin
			switch {
			case actor == "disabled" || actor == "API key":
				want, ok = "the log-in", toLogin
			case page.Pattern == "/logout" || page.Pattern == "/account/sessions":
				continue // ends the session, or not
			case isAdmin && actor != "administrator":
				want, ok = "403", a.status == 403
			case aboutOne:
				want, ok = "404", a.status == 404
			}
			if !ok {
				t.Errorf("%s %s as %s: %d to %q, want %s", page.Method, page.Pattern, actor, a.status, a.header.Get("Location"), want)
			}
		}
	}
}
