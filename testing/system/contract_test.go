package system

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The calls that scripts rely on, as curl lines. %s is the server; the variables are what earlier
// answers gave. A type is what encoding/json makes of the field.
func TestContractCurlLines(t *testing.T) {
	s := start(t, dataDir(t))
	ca := filepath.Join(s.dir, "cacert.pem")
	vars := map[string]string{}
	curl := func(want int, line string) map[string]any {
		t.Helper()
		for name, value := range vars {
			line = strings.ReplaceAll(line, "$"+name, value)
		}
		script := `curl -sS --cacert ` + ca + ` -w '\n%{http_code} %{content_type}' ` + strings.ReplaceAll(line, "URL", "https://"+s.http)
		out, err := runIn(t, s.dir, "sh", "-c", script)
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		body, status, _ := cutLast(out, "\n")
		if !strings.HasPrefix(status, itoa(want)+" ") {
			t.Fatalf("%s: status %s, want %d\n%s", line, status, want, body)
		}
		var v map[string]any
		if strings.HasPrefix(strings.TrimSpace(body), "{") {
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, body)
			}
		}
		return v
	}

	client := curl(201, `-X POST URL/api/v1/client -H 'Content-Type: application/json' -d '{"name":"testuser"}'`)
	wantTypes(t, client, map[string]string{"uuid": "string", "key": "string", "name": "string", "createdAt.seconds": "number", "createdAt.nanos": "number"})
	wantMatch(t, client["key"], `^[0-9a-f]{64}$`)
	vars["UUID"], vars["KEY"] = client["uuid"].(string), client["key"].(string)

	token := curl(200, `-X POST URL/api/v1/client/auth -u $UUID:$KEY`)
	wantMatch(t, token["Token"], `^[\w-]+\.[\w-]+\.[\w-]+$`)
	vars["TOKEN"] = token["Token"].(string)

	frontend := curl(201, `-X POST URL/api/v1/client/frontend -H 'Authorization: Bearer $TOKEN' -H 'Content-Type: application/json' `+
		`-d '{"active":true,"strategy":0,"routeTimeoutSec":30,"routes":[{"dest":"142.250.189.174:80","capacity":10}]}'`)
	wantTypes(t, frontend, map[string]string{
		"uuid": "string", "active": "bool", "strategy": "number", "routeTimeoutSec": "number", "clientId": "string", "accessKey": "string", "routes": "list",
	})
	wantMatch(t, frontend["accessKey"], `^[0-9a-f]{64}$`)
	route := frontend["routes"].([]any)[0].(map[string]any)
	if route["dest"] != "142.250.189.174:80" || route["capacity"] != 10.0 || frontend["clientId"] != vars["UUID"] || frontend["strategy"] != 0.0 {
		t.Errorf("frontend is %v", frontend)
	}
	vars["FRONTEND"] = frontend["uuid"].(string)

	for _, path := range []string{"/api/v1/client/frontend/list", "/api/v1/client/frontend"} {
		list := curl(200, `URL`+path+` -H 'Authorization: Bearer $TOKEN'`)
		items := list["items"].([]any)
		if next, present := list["next"]; len(items) != 1 || !present || next != nil {
			t.Errorf("%s answered %v", path, list)
		}
	}
	curl(200, `URL/api/v1/client/frontend/$FRONTEND -H 'Authorization: Bearer $TOKEN'`)
	for _, contentType := range []string{"application/merge-patch+json", "application/json"} {
		patched := curl(200, `-X PATCH URL/api/v1/client/frontend/$FRONTEND -H 'Authorization: Bearer $TOKEN' -H 'Content-Type: `+contentType+`' -d '{"routeTimeoutSec":7}'`)
		if patched["routeTimeoutSec"] != 7.0 || patched["accessKey"] != frontend["accessKey"] {
			t.Errorf("patched to %v", patched)
		}
	}
	named := curl(200, `-X PATCH URL/api/v1/client/frontend/$FRONTEND -H 'Authorization: Bearer $TOKEN' -H 'Content-Type: application/json' -d '{"strategy":"least-connections"}'`)
	if named["strategy"] != 1.0 {
		t.Errorf("a strategy given by name is %v, want 1", named["strategy"])
	}

	first := curl(200, `URL/api/v1/client/frontend/$FRONTEND/tls -H 'Authorization: Bearer $TOKEN'`)
	second := curl(200, `URL/api/v1/client/frontend/$FRONTEND/tls -H 'Authorization: Bearer $TOKEN'`)
	wantTypes(t, first, map[string]string{"key": "string", "certificate": "string", "ca": "string"})
	if first["key"] == second["key"] || first["certificate"] == second["certificate"] {
		t.Error("two calls gave the same pair")
	}
	out, err := runIn(t, s.dir, "sh", "-c", `curl -sS --cacert `+ca+` https://`+s.http+`/api/v1/ca.pem | openssl x509 -noout -subject -nameopt RFC2253`)
	if err != nil || strings.TrimSpace(out) != "subject=CN=ca_xlb" {
		t.Errorf("ca.pem: %v %s", err, out)
	}
	curl(204, `-X DELETE URL/api/v1/client/frontend/$FRONTEND -H 'Authorization: Bearer $TOKEN'`)
	gone := curl(404, `URL/api/v1/client/frontend/$FRONTEND -H 'Authorization: Bearer $TOKEN'`)
	wantTypes(t, gone, map[string]string{"status": "number", "title": "string"})
	curl(401, `URL/api/v1/client/frontend`)
	curl(401, `-X POST URL/api/v1/client/auth -u $UUID:wrong`)
	curl(405, `-X PUT URL/api/v1/client`)
	curl(200, `URL/api/v1/openapi.json`)

	if info, err := os.Stat(filepath.Join(s.dir, "cakey.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("cakey.pem: %v %v, want mode 0600", info, err)
	}
	if strings.Contains(s.log.String(), vars["KEY"]) || strings.Contains(s.log.String(), vars["TOKEN"]) {
		t.Error("a secret is in the log")
	}
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func wantMatch(t *testing.T, value any, pattern string) {
	t.Helper()
	text, _ := value.(string)
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%v does not match %s", value, pattern)
	}
}

func wantTypes(t *testing.T, object map[string]any, fields map[string]string) {
	t.Helper()
	for path, want := range fields {
		var value any = object
		for _, step := range strings.Split(path, ".") {
			inner, _ := value.(map[string]any)
			value = inner[step]
		}
		got := "nothing"
		switch value.(type) {
		case string:
			got = "string"
		case float64:
			got = "number"
		case bool:
			got = "bool"
		case []any:
			got = "list"
		case map[string]any:
			got = "object"
		}
		if got != want {
			t.Errorf("%s is %s, want %s: %v", path, got, want, object)
		}
	}
}
