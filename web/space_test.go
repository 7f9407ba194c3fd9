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

// While the disk is nearly full nothing can be added, and all that takes away can be done, with the log-in for it.
func TestTakingAwayWorksOnAFullDisk(t *testing.T) {
	ca, err := authority()
	must(t, err)
	dir := filepath.Join(t.TempDir(), "store")
	// open is a server over the store; close ends it.
	open := func(minFree int64) (c *control.Control, records *store.Store, close func()) {
		engine, err := store.OpenBadger(dir, store.BadgerConfig{MinFree: minFree})
		must(t, err)
		records, err = store.New(engine)
		must(t, err)
		c, err = control.New(t.Context(), control.Config{
			Store: records, Authority: ca, MasterKey: masterKey, Local: true, DataPort: 9090, SignupRate: -1, AuthRate: -1,
			SetupCode: "code", Signup: "open", Busy: func() bool { return true },
		})
		must(t, err)
		var tasks sync.WaitGroup
		ctx, stop := context.WithCancel(context.Background())
		for _, task := range c.Tasks() {
			tasks.Go(func() { task.Run(ctx) })
		}
		return c, records, func() { stop(); tasks.Wait(); engine.Close() }
	}
	as := func(id string, admin bool) context.Context {
		return control.WithActor(t.Context(), control.Actor{ClientID: id, Admin: admin, Via: "api"})
	}
	c, records, end := open(0)
	root, err := c.CreateClient(t.Context(), "root", "code")
	must(t, err)
	client, err := c.CreateClient(t.Context(), "client", "")
	must(t, err)
	frontend, err := c.CreateFrontend(as(client.ID, false), control.FrontendSpec{
		Name: "f", Active: true, RouteTimeoutSec: 5, Routes: []control.Route{{Dest: "10.0.0.1:80"}}, Options: control.DefaultOptions(),
	})
	must(t, err)
	free := records.Health().Free
	end()
	c, _, end = open(free / 2 * 3) // two thirds of what writes need: more than the half that is kept for these
	defer end()
	server, err := New(Config{Control: c})
	must(t, err)
	answer := httptest.NewRecorder()
	server.OpsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "http://localhost/readyz", nil))
	if text := answer.Body.String(); answer.Code != 200 || !strings.HasPrefix(text, "degraded: ") || !strings.Contains(text, "make room") {
		t.Errorf("readyz: %d %s", answer.Code, text)
	}
	if _, err := c.CreateClient(t.Context(), "another", ""); control.KindOf(err) != control.KindUnavailable {
		t.Errorf("a sign-up: %v", err)
	}
	if _, err := c.StartSession(t.Context(), client.ID, "test"); err != nil {
		t.Errorf("a log-in: %v", err)
	}
	edit := func(change func(*control.FrontendSpec)) error {
		_, err := c.UpdateFrontend(as(client.ID, false), frontend.ID, control.Update{Edit: func(s *control.FrontendSpec) error { change(s); return nil }})
		return err
	}
	if err := edit(func(s *control.FrontendSpec) { s.Name = "other" }); control.KindOf(err) != control.KindUnavailable {
		t.Errorf("another name: %v", err)
	}
	if err := edit(func(s *control.FrontendSpec) { s.Active = false }); err != nil {
		t.Errorf("switching off: %v", err)
	}
	if err := edit(func(s *control.FrontendSpec) { s.Active = true }); control.KindOf(err) != control.KindUnavailable {
		t.Errorf("switching on: %v", err)
	}
	if _, err := c.SetDisabled(as(root.ID, true), client.ID, true); err != nil {
		t.Errorf("disabling a client: %v", err)
	}
}
