package web

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/store"
)

// A request with a name is carried out once: its repetition gets the same answer, without the secrets.
func TestRequestsWithANameAreCarriedOutOnce(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root, c := f.administrator(), f.signUp("testuser")
	id := c.frontend("10.0.0.1:80")
	count := func(who *tenant, path string) int {
		return len(who.call("GET", path, "").object(t)["items"].([]any))
	}
	const frontends = "/api/v1/client/frontend"
	for _, one := range []struct {
		who              *tenant
		path, body, list string
		secret, says     string
	}{
		{c, frontends, `{"routes":[{"dest":"10.0.0.2:80"}]}`, frontends, "", "uuid"},
		{c, frontends + "/" + id + "/tls", `{"keyType":"ecdsa-p256"}`, frontends + "/" + id + "/certificates", "key", "serial"},
		{c, "/api/v1/client/keys", `{"name":"x","scope":"read"}`, "/api/v1/client/keys", "key", "id"},
		{root, "/api/v1/admin/invites", ``, "/api/v1/admin/invites", "code", "id"},
	} {
		t.Run(one.path, func(t *testing.T) {
			before := count(one.who, one.list)
			send := func(body string) answer {
				return one.who.call("POST", one.path, body, "Idempotency-Key", "my "+one.path)
			}
			first, again := send(one.body), send(one.body)
			if first.status/100 != 2 || again.status != first.status {
				t.Fatalf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
			}
			said, repeated := first.object(t), again.object(t)
			if one.secret != "" && (said[one.secret] == nil || repeated[one.secret] != nil) {
				t.Errorf("the secret: first %v, again %v", said[one.secret] != nil, repeated[one.secret] != nil)
			}
			delete(said, one.secret)
			if !slices.Equal(slices.Sorted(maps.Keys(said)), slices.Sorted(maps.Keys(repeated))) || said[one.says] == nil || said[one.says] != repeated[one.says] {
				t.Errorf("first %v, again %v", said, repeated)
			}
			if again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" ||
				again.header.Get("Location") != first.header.Get("Location") || again.header.Get("ETag") != first.header.Get("ETag") ||
				again.header.Get("Content-Type") != first.header.Get("Content-Type") || again.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers: first %v, again %v", first.header, again.header)
			}
			if n := count(one.who, one.list) - before; n != 1 {
				t.Errorf("%d were made, want 1", n)
			}
			if one.body != "" {
				wantProblem(t, send(strings.Replace(one.body, "{", "{ ", 1)), 422, "header.Idempotency-Key")
			}
		})
	}
	// The name is the credential's own, and what is refused is not remembered.
	if a := root.call("POST", frontends, `{"routes":[{"dest":"10.0.0.2:80"}]}`, "Idempotency-Key", "my "+frontends); a.status != 201 || a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another client with the same name: %d %s", a.status, a.body)
	}
	key := c.call("POST", "/api/v1/client/keys", `{"name":"y","scope":"write"}`).object(t)["key"].(string)
	if a := f.do("POST", frontends, strings.NewReader(`{"routes":[{"dest":"10.0.0.2:80"}]}`), "Authorization", "Bearer "+key, "Idempotency-Key", "my "+frontends, "Content-Type", "application/json"); a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("an API key gets the answer that was given to another credential: %s", a.body)
	}
	wantProblem(t, c.call("POST", frontends, `{"routes":[{"dest":"169.254.169.254:80"}]}`, "Idempotency-Key", "refused"), 422, "body.routes[0].dest")
	if a := c.call("POST", frontends, `{"routes":[{"dest":"10.0.0.2:80"}]}`, "Idempotency-Key", "refused"); a.status != 201 {
		t.Errorf("after a refusal: %d %s, want 201", a.status, a.body)
	}
	for _, wrong := range []string{strings.Repeat("x", 256), "ü"} {
		if a := c.call("POST", frontends, `{"routes":[{"dest":"10.0.0.2:80"}]}`, "Idempotency-Key", wrong); a.status != 422 {
			t.Errorf("the name %q: %d, want 422", wrong[:1], a.status)
		}
	}
}

// Fifty at the same time make one, and the rest hear that it is in hand or what was made.
func TestFiftyRequestsWithOneNameMakeOneFrontend(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	made := map[string]bool{}
	for range 50 {
		all.Go(func() {
			a := c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.2:80"}]}`, "Idempotency-Key", "one")
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
			if a.status == 201 {
				made[a.object(t)["uuid"].(string)] = true
			}
		})
	}
	all.Wait()
	if len(made) != 1 || statuses[201]+statuses[409] != 50 {
		t.Errorf("%d were made, answers %v", len(made), statuses)
	}
	if n := len(c.call("GET", "/api/v1/client/frontend", "").object(t)["items"].([]any)); n != 1 {
		t.Errorf("%d are there, want 1", n)
	}
	// A second process over the same store knows as well.
	second := f.another()
	ctx := control.WithActor(t.Context(), control.Actor{ClientID: c.uuid, Via: "api"})
	_, request, err := second.control.Once(ctx, "one", []byte("POST /api/v1/client/frontend\n"+`{"routes":[{"dest":"10.0.0.2:80"}]}`))
	if err != nil || request.Answer == nil || !made[objectOf(t, request.Answer.Body)["uuid"].(string)] {
		t.Errorf("a second process: %+v, %v", request, err)
	}
}

func objectOf(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	must(t, json.Unmarshal(text, &v))
	return v
}

// Two processes that carry the same request out at the same time make one; one that ended before its answer was known is
// not repeated; and after a day the name is free.
func TestNamesOfRequestsOverProcesses(t *testing.T) {
	now := time.Now()
	f := start(t, func(c *control.Config) { c.Now = func() time.Time { return now } })
	c := f.signUp("testuser")
	second := f.another()
	ctx := control.WithActor(t.Context(), control.Actor{ClientID: c.uuid, Via: "api"})
	spec := control.DefaultFrontend()
	spec.Routes = []control.Route{{Dest: "10.0.0.1:80"}}
	one, first, err := f.control.Once(ctx, "n", []byte("x"))
	must(t, err)
	two, other, err := second.control.Once(ctx, "n", []byte("x"))
	must(t, err)
	_, err = f.control.CreateFrontend(one, spec)
	must(t, err)
	if _, err := second.control.CreateFrontend(two, spec); control.KindOf(err) != control.KindConflict {
		t.Errorf("the second process: %v, want a conflict", err)
	}
	first.Done(ctx, nil) // as if the process had ended before it answered
	other.Done(ctx, nil)
	if _, _, err := f.control.Once(ctx, "n", []byte("x")); control.KindOf(err) != control.KindConflict {
		t.Errorf("a request whose answer was lost: %v, want a conflict", err)
	}
	now = now.Add(control.RepeatsFor)
	if _, err := f.store.SweepExpired(t.Context(), now.Add(time.Second), 0); err != nil {
		t.Fatal(err)
	}
	again, third, err := f.control.Once(ctx, "n", []byte("y"))
	must(t, err)
	defer third.Done(ctx, nil)
	if _, err := f.control.CreateFrontend(again, spec); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// Only so many are remembered for one client, and they go with it.
func TestNamesOfRequestsHaveABound(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	for i := range store.MaxAnswered {
		ctx := store.WithAnswered(t.Context(), store.Answered{ClientID: c.uuid, Name: strings.Repeat("x", 1+i%150) + string(rune('a'+i/150)), Attempt: "1", ExpiresAt: time.Now().Add(time.Hour)})
		_, err := f.store.UpdateClient(ctx, c.uuid, func(r *store.Client) error { r.Name += "x"; return nil })
		must(t, err)
	}
	a := c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.2:80"}]}`, "Idempotency-Key", "one-more")
	if a.status != 403 || !strings.Contains(a.body, "Idempotency-Key") {
		t.Errorf("one more: %d %s, want 403 that says why", a.status, a.body)
	}
	if a := c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.2:80"}]}`); a.status != 201 {
		t.Errorf("without a name: %d %s, want 201", a.status, a.body)
	}
}
