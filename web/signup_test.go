package web

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
)

// join signs a client up, with a code when there is one.
func (f *fixture) join(name, code string) answer {
	f.Helper()
	return f.do("POST", "/api/v1/client", strings.NewReader(fmt.Sprintf(`{"name":%q,"code":%q}`, name, code)), "Content-Type", "application/json")
}

// There is a bound on clients, and its last tenth is for those with an invite.
func TestClientsAreBounded(t *testing.T) {
	f := start(t, func(c *control.Config) {
		c.SetupCode, c.Signup, c.MaxClients, c.SignupTotalRate = "let-me-in", "open", 20, -1
	})
	root := f.administrator()
	statuses := make(chan int, 30)
	for i := range cap(statuses) {
		go func() { statuses <- f.join(fmt.Sprintf("stranger %d", i), "").status }()
	}
	in := 0
	for range cap(statuses) {
		if status := <-statuses; status == 201 {
			in++
		} else if status != 403 {
			t.Errorf("a sign-up too many: %d, want 403", status)
		}
	}
	if in > 17 || in < 14 { // the administrator is one of 18; those that are being made at once may count twice
		t.Errorf("%d strangers got in, want 17", in)
	}
	for f.join("late stranger", "").status == 201 {
		in++
	}
	if in != 17 {
		t.Errorf("%d strangers got in, want 17", in)
	}
	if a := f.join("stranger", ""); !strings.Contains(a.body, "takes no more clients") {
		t.Errorf("it says %s", a.body)
	}
	for i, want := range []int{201, 201, 403} {
		code := root.call("POST", "/api/v1/admin/invites", "").object(t)["code"].(string)
		if a := f.join("guest", code); a.status != want {
			t.Errorf("guest %d: %d %s, want %d", i, a.status, a.body, want)
		}
	}
	if a := f.postForm("/signup", "name=page"); a.status != 422 || !strings.Contains(a.body, "takes no more clients") {
		t.Errorf("the page: %d", a.status)
	}
}

// Strangers from everywhere together have a rate, and those with an invite do not wait for it.
func TestSignUpsHaveARateInTotal(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup, c.SignupTotalRate = "let-me-in", "open", 3 })
	root := f.administrator()
	for i, want := range []int{201, 201, 201, 429} {
		if a := f.join("stranger", ""); a.status != want || (want == 429) != (a.header.Get("Retry-After") != "") {
			t.Errorf("sign-up %d: %d %s, want %d", i, a.status, a.body, want)
		}
	}
	code := root.call("POST", "/api/v1/admin/invites", "").object(t)["code"].(string)
	if a := f.join("guest", code); a.status != 201 {
		t.Errorf("with an invite: %d %s, want 201", a.status, a.body)
	}
}

// A client that came uninvited and never had a frontend goes after a week; others stay.
func TestUnusedClientsGoAfterAWeek(t *testing.T) {
	var ahead atomic.Int64
	f := start(t, func(c *control.Config) {
		c.SetupCode, c.Signup = "let-me-in", "open"
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	root := f.administrator()
	idle, used := f.signUp("idle"), f.signUp("used")
	used.frontend("10.0.0.1:80")
	code := root.call("POST", "/api/v1/admin/invites", "").object(t)["code"].(string)
	f.join("guest", code)
	names := func() string {
		clients, err := f.store.Clients(t.Context(), "", 0)
		must(t, err)
		var all []string
		for _, c := range clients {
			all = append(all, c.Name)
		}
		return strings.Join(all, ", ")
	}
	ahead.Store(int64(control.UnusedLife + time.Minute))
	if _, err := f.store.SweepExpired(t.Context(), f.config.Now(), 0); err != nil {
		t.Fatal(err)
	}
	if got, want := names(), "root, used, guest"; got != want {
		t.Errorf("after a week: got %s, want %s", got, want)
	}
	a := f.tokenFor(idle.uuid, idle.key)
	for deadline := time.Now().Add(5 * time.Second); a.status != 401 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		a = f.tokenFor(idle.uuid, idle.key) // the sweep does not wait until it is in force
	}
	if a.status != 401 {
		t.Errorf("its key still logs in: %d, want 401", a.status)
	}
}
