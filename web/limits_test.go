package web

import (
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/static"
)

// wantTooMany checks a 429: it says when to come back.
func wantTooMany(t *testing.T, a answer) {
	t.Helper()
	wantProblem(t, a, 429, "")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}

func TestSignUpsAreBoundedPerAddress(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SignupRate = 3 })
	signUp := func() answer {
		return f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"x"}`), "Content-Type", "application/json")
	}
	for i := range 3 {
		if a := signUp(); a.status != 201 {
			t.Fatalf("sign-up %d: %d %s, want 201", i, a.status, a.body)
		}
	}
	wantTooMany(t, signUp())
	if a := f.postForm("/signup", "name=x"); a.status != 429 || !strings.Contains(a.body, "Try again in") {
		t.Errorf("the page: %d %s", a.status, a.body)
	}
}

func basicOf(uuid, key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(uuid+":"+key))
}

// Guessing is slow for each source. Whoever has the right key gets in all the same, from that source too, and however
// often its id was tried.
func TestFailedLogInsAreBounded(t *testing.T) {
	wrong := strings.Repeat("0", 64)
	f := start(t, func(c *control.Config) { c.AuthRate = 5 })
	c := f.signUp("testuser")
	for i := range 5 {
		if a := f.do("POST", "/api/v1/client/auth", nil, "Authorization", basicOf(c.uuid, wrong)); a.status != 401 {
			t.Fatalf("try %d: %d %s, want 401", i, a.status, a.body)
		}
	}
	for range 30 {
		wantTooMany(t, f.do("POST", "/api/v1/client/auth", nil, "Authorization", basicOf(c.uuid, wrong)))
	}
	if a := f.do("POST", "/api/v1/client/auth", nil, "Authorization", basicOf(c.uuid, c.key)); a.status != 200 {
		t.Errorf("the right key: %d %s, want 200", a.status, a.body)
	}
	if a := c.call("GET", "/api/v1/client", ""); a.status != 200 {
		t.Errorf("its token: %d %s, want 200", a.status, a.body)
	}
}

func TestBadTokensLockNobodyOut(t *testing.T) {
	f := start(t, func(c *control.Config) { c.AuthRate = 2 })
	c := f.signUp("testuser")
	for range 30 {
		if a := f.do("GET", "/api/v1/client", nil, "Authorization", "Bearer "+c.token[:len(c.token)-3]); a.status != 401 {
			t.Fatalf("a bad token: %d, want 401", a.status)
		}
	}
	if a := f.do("POST", "/api/v1/client/auth", nil, "Authorization", basicOf(c.uuid, c.key)); a.status != 200 {
		t.Errorf("the client's own log-in: %d %s, want 200", a.status, a.body)
	}
}

func TestRequestsAreBoundedPerClient(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.RequestsPerSecond = 4 })
	c, other := f.signUp("testuser"), f.signUp("other")
	refused := 0
	for range 20 {
		if a := c.call("GET", "/api/v1/client", ""); a.status == 429 {
			wantTooMany(t, a)
			refused++
		}
	}
	if refused == 0 {
		t.Error("20 requests at once are all served, the bound is 4 a second")
	}
	if a := other.call("GET", "/api/v1/client", ""); a.status != 200 {
		t.Errorf("another client: %d %s, want 200", a.status, a.body)
	}
}

// Pages cost more than calls, so they count too; what they are made of does not.
func TestPagesCountAgainstTheRate(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits.RequestsPerSecond = 4 })
	c, other := f.signUp("testuser"), f.signUp("other")
	cookie, others := f.cookieOf(c), f.cookieOf(other)
	refused := 0
	for range 20 {
		a := f.do("GET", "/", nil, "Cookie", cookie)
		if a.status != 429 {
			continue
		}
		refused++
		if a.header.Get("Retry-After") == "" || !strings.Contains(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "Too many requests") {
			t.Fatalf("refused with %v %s", a.header, a.body)
		}
		if style := f.do("GET", static.URL("app.css"), nil, "Cookie", cookie); style.status != 200 {
			t.Fatalf("the style sheet: %d, want 200", style.status)
		}
	}
	if refused == 0 {
		t.Error("20 pages at once are all served, the bound is 4 a second")
	}
	if a := f.do("GET", "/", nil, "Cookie", others); a.status != 200 {
		t.Errorf("another client: %d, want 200", a.status)
	}
}

func TestQuotasAreRefusedInWords(t *testing.T) {
	f := start(t, func(c *control.Config) { c.Limits = control.Limits{Frontends: 2, RoutesPerFrontend: 3} })
	c := f.signUp("testuser")
	c.frontend("10.0.0.1:80")
	c.frontend("10.0.0.2:80")
	a := c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.3:80"}]}`)
	if wantProblem(t, a, 403, ""); !strings.Contains(a.body, "2") {
		t.Errorf("the bound is not named: %s", a.body)
	}
	wantProblem(t, f.signUp("third").call("POST", "/api/v1/client/frontend", manyRoutes(4)), 422, "body.routes")
}

// However many ask at once, a client gets as many certificates as it may.
func TestCertificateQuotaHoldsUnderConcurrency(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root, c := f.administrator(), f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	const most, requests = 3, 50
	wantStatus(t, root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"limits":{"certificates":3,"requestsPerSec":0}}`), 200)
	var asking sync.WaitGroup
	var issued, refused atomic.Int64
	for range requests {
		asking.Go(func() {
			a, err := c.try("POST", "/api/v1/client/frontend/"+id+"/tls", strings.NewReader(`{"keyType":"ecdsa-p256"}`), "Authorization", "Bearer "+c.token, "Content-Type", "application/json")
			switch {
			case err == nil && a.status == 200:
				issued.Add(1)
			case err == nil && a.status == 403:
				refused.Add(1)
			default:
				t.Errorf("%d %s, %v", a.status, a.body, err)
			}
		})
	}
	asking.Wait()
	if issued.Load() != most || refused.Load() != requests-most {
		t.Errorf("%d issued and %d refused, want %d", issued.Load(), refused.Load(), most)
	}
	all, err := f.store.Certificates(t.Context(), c.uuid, "", "", 0)
	must(t, err)
	if len(all) != most {
		t.Errorf("the store has %d, want %d", len(all), most)
	}
	wantStatus(t, c.call("DELETE", "/api/v1/client/frontend/"+id+"/certificates/"+all[0].Serial, ""), 200)
	wantStatus(t, c.call("POST", "/api/v1/client/frontend/"+id+"/tls", `{"keyType":"ecdsa-p256"}`), 200) // room again
}
