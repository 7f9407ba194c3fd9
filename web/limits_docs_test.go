package web

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// The limits that the documents tell are those that a client gets, as far as one can see them from outside.
func TestDocumentedLimitsAreTheRealOnes(t *testing.T) {
	text, err := os.ReadFile("../docs/operating.md")
	must(t, err)
	documented := map[string]string{}
	_, table, _ := strings.Cut(string(text), "## Limits")
	for line := range strings.Lines(table[:strings.Index(table, "###")]) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			documented[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[2])
		}
	}
	c := start(t).signUp("testuser")
	limits := map[string]int{}
	for _, one := range c.call("GET", "/api/v1/client/limits", "").object(t)["items"].([]any) {
		item := one.(map[string]any)
		limits[item["name"].(string)] = int(item["max"].(float64))
	}
	path := "/api/v1/client/frontend/" + c.frontend("10.0.0.1:80")
	fresh := c.call("GET", path, "").object(t)
	var claims struct{ Iat, Exp int64 }
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(c.token, ".")[1])
	must(t, err)
	must(t, json.Unmarshal(payload, &claims))
	hours := func(d time.Duration) string { return fmt.Sprintf("%d h", int(d.Hours())) }
	for row, want := range map[string]string{
		"connections at once, per client":                             grouped(limits["connections"]),
		"frontends per client, routes per frontend":                   fmt.Sprintf("%d, %d", limits["frontends"], limits["routesPerFrontend"]),
		"certificates in force, per client":                           grouped(limits["certificates"]),
		"requests per client, API and pages":                          fmt.Sprintf("%d a second", limits["requestsPerSec"]),
		"waiting connections of a frontend whose routes are all full": grouped(int(fresh["queueLimit"].(float64))),
		"idle connection, half-closed connection":                     fmt.Sprintf("%s, %v s", hours(time.Duration(fresh["idleTimeoutSec"].(float64))*time.Second), fresh["halfCloseTimeoutSec"]),
		"`routeTimeoutSec`, the budget for waiting and all dials":     fmt.Sprintf("%v (1 to 300)", fresh["routeTimeoutSec"]),
		"bearer token, browser session":                               hours(time.Duration(claims.Exp-claims.Iat)*time.Second) + ", " + hours(control.SessionLife),
		"client certificate":                                          fmt.Sprintf("%d days", control.CertificateDays),
		"request body, headers":                                       fmt.Sprintf("1 MB, %d KB", maxHeaderBytes>>10),
	} {
		if got, there := documented[row]; !there || !strings.HasPrefix(got, want) {
			t.Errorf("%s: the document says %q, want %q", row, got, want)
		}
	}
	for body, ok := range map[string]bool{
		`{"routeTimeoutSec":0}`: false, `{"routeTimeoutSec":1}`: true, `{"routeTimeoutSec":300}`: true, `{"routeTimeoutSec":301}`: false,
		`{"name":"` + strings.Repeat("x", 64) + `"}`: true, `{"name":"` + strings.Repeat("x", 65) + `"}`: false,
		`{"routes":[{"dest":"10.0.0.1:80","capacity":1000000}]}`: true, `{"routes":[{"dest":"10.0.0.1:80","capacity":1000001}]}`: false,
	} {
		if a := c.call("PATCH", path, body); (a.status == 200) != ok {
			t.Errorf("%.60s: %d", body, a.status)
		}
	}
}

// grouped sets the thousands apart, as the documents do.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
