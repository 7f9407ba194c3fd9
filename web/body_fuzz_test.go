package web

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/store"
)

// No body makes the server fail, and what is refused is refused with a reason.
func FuzzBody(f *testing.F) {
	ca, err := authority()
	if err != nil {
		f.Fatal(err)
	}
	engine, err := store.OpenBadger(filepath.Join(f.TempDir(), "store"), store.BadgerConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { engine.Close() })
	records, err := store.New(engine)
	if err != nil {
		f.Fatal(err)
	}
	log := &logBuffer{}
	c, err := control.New(f.Context(), control.Config{
		Store: records, Authority: ca, MasterKey: masterKey, Local: true, DataPort: 9090, SignupRate: -1, SignupTotalRate: -1, AuthRate: -1, MaxClients: -1,
		Busy: func() bool { return true }, Log: log.logger(),
	})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, task := range c.Tasks() {
		tasks.Go(func() { task.Run(ctx) })
	}
	f.Cleanup(func() { stop(); tasks.Wait() })
	server, err := New(Config{Control: c, Log: log.logger()})
	if err != nil {
		f.Fatal(err)
	}
	local := control.WithActor(f.Context(), control.Actor{Local: true})
	client, err := c.CreateClient(local, "testuser", "")
	if err != nil {
		f.Fatal(err)
	}
	token, err := c.IssueToken(local, client.ID, client.Key)
	if err != nil {
		f.Fatal(err)
	}
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://localhost:8083"+path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:40000"
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.Handler().ServeHTTP(w, r)
		return w
	}
	made := ask("POST", "/api/v1/client/frontend", `{"name":"one","routes":[{"dest":"127.0.0.1:1"}]}`)
	_, after, _ := strings.Cut(made.Body.String(), `"uuid":"`)
	id, _, _ := strings.Cut(after, `"`)
	if made.Code != 201 || len(id) != 36 {
		f.Fatalf("create: %d %s", made.Code, made.Body)
	}
	routes := []struct{ method, path string }{
		{"POST", "/api/v1/client/frontend"}, {"PATCH", "/api/v1/client/frontend/" + id}, {"POST", "/api/v1/client/import?dryRun=true"}, {"PATCH", "/api/v1/client"},
		{"POST", "/api/v1/client/frontend/" + id + "/tls"}, {"POST", "/api/v1/client/keys"}, {"POST", "/api/v1/renew"}, {"POST", "/api/v1/client"},
	}
	for i, body := range []string{
		`{"name":"x","routes":[{"dest":"10.0.0.1:80","weight":3,"capacity":2}],"strategy":"least-connections"}`,
		`{"routeTls":{"mode":"verify","serverName":"x","ca":"-----BEGIN"},"healthCheck":{"kind":"http","path":"/"}}`,
		`{"version":1,"frontends":[{"name":"a","routes":[{"dest":"[::1]:80"}]}]}`, `{"name":null}`, `{"csr":"-----BEGIN CERTIFICATE REQUEST-----"}`,
		`{"name":"k","scope":"read","expiresAt":"2027-01-01T00:00:00Z"}`, `[[[[`, `{"name":"` + strings.Repeat("a", 300) + `"}`,
	} {
		f.Add(uint8(i), body)
		f.Add(uint8(0), body)
		f.Add(uint8(1), body)
	}
	f.Fuzz(func(t *testing.T, route uint8, body string) {
		to := routes[int(route)%len(routes)]
		w := ask(to.method, to.path, body)
		if w.Code >= 500 && w.Code != 503 {
			t.Fatalf("%s %s %q: %d %s\n%s", to.method, to.path, body, w.Code, w.Body, log)
		}
		if w.Code >= 400 && !strings.Contains(w.Body.String(), `"detail":`) {
			t.Fatalf("%s %s %q: %d %s, want a reason", to.method, to.path, body, w.Code, w.Body)
		}
	})
}
