package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/store"
)

// failingEngine cannot be read while it fails, as one after a commit that failed.
type failingEngine struct {
	store.Engine
	fails atomic.Bool
}

func (e *failingEngine) open(t *testing.T) *store.Store {
	badger, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), store.BadgerConfig{})
	must(t, err)
	t.Cleanup(func() { badger.Close() })
	e.Engine = badger
	records, err := store.New(e)
	must(t, err)
	return records
}

func (e *failingEngine) View(ctx context.Context, fn func(store.Reader) error) error {
	if e.fails.Load() {
		return store.ErrFailed
	}
	return e.Engine.View(ctx, fn)
}

// A store that cannot be read logs nobody out: pages and the API say 503, the cookie stays, and /readyz says that
// connections are served as things were.
func TestStoreErrorLogsNobodyOut(t *testing.T) {
	t.Parallel() // it waits most of the time
	engine := &failingEngine{}
	f := start(t, func(c *control.Config) { c.Store = engine.open(t) })
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	live := f.streamOf(t, "/events?view=overview", cookie)
	live.until("overview-live")
	engine.fails.Store(true)
	a := f.do("GET", "/", nil, "Cookie", cookie)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Refresh") == "" || len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("the overview: got %d to %q, cookies %v, want 503 that comes back by itself and leaves the cookie", a.status, a.header.Get("Location"), a.header.Values("Set-Cookie"))
	}
	if a := c.call("GET", "/api/v1/client/frontend", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("the API: got %d, want 503", a.status)
	}
	own := control.WithActor(t.Context(), control.Actor{ClientID: c.uuid})
	f.control.EndSession(own, strings.Repeat("0", 64)) // nobody's: it wakes the stream, which would look after 15 s
	for live.lines.Scan() {                            // to the end of the stream
		if strings.HasPrefix(live.lines.Text(), "event: gone") {
			t.Error("the stream says that the session has ended")
		}
	}
	a = f.do("GET", "/", nil, "Cookie", cookie)
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("the overview a moment later: got %d, want 503", a.status)
	}
	if a := f.do("GET", "/events?view=overview", nil, "Cookie", cookie); a.status != http.StatusServiceUnavailable {
		t.Errorf("the stream, asked for again: got %d, want 503", a.status)
	}
	answer := httptest.NewRecorder()
	f.server.OpsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "http://localhost/readyz", nil))
	if text := answer.Body.String(); answer.Code != http.StatusOK || !strings.HasPrefix(text, "degraded: connections are served as things were ") {
		t.Errorf("readyz: got %d %q, want 200 and how old it is", answer.Code, text)
	}
	engine.fails.Store(false)
	if a := f.do("GET", "/", nil, "Cookie", cookie); a.status != http.StatusOK {
		t.Errorf("the overview, once it can be read again: got %d, want 200", a.status)
	}
}
