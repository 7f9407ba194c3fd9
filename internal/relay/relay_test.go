package relay

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/store"
)

// source is a store whose changes are served on a socket.
type source struct {
	*store.Store
	hub    *Hub
	socket string
	ended  chan error // of each Serve
}

func newSource(t *testing.T, cfg store.BadgerConfig) *source {
	t.Helper()
	engine, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	records, err := store.New(engine)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{Store: records, hub: NewHub(), socket: filepath.Join(t.TempDir(), "s"), ended: make(chan error, 8)}
	l, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, from, err := Accept(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer conn.Close()
		s.ended <- s.hub.Serve(ctx, conn, records.WatchRecords(from), from)
	})}
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(l) }()
	t.Cleanup(func() { cancel(); srv.Close(); <-served })
	return s
}

func (s *source) revision(t *testing.T) uint64 {
	t.Helper()
	snapshot, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Revision
}

func (s *source) addClient(t *testing.T, id string) uint64 {
	t.Helper()
	rev, err := s.CreateClient(t.Context(), store.Client{UUID: id, Name: id, CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// follow follows the source until the test ends, and tells how that ended.
func (s *source) follow(t *testing.T, from uint64, apply func(store.Record)) <-chan error {
	t.Helper()
	conn, err := Dial(t.Context(), s.socket, from)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- Follow(t.Context(), conn, from, func(c store.Change) uint64 {
			record := store.RecordOf(c)
			apply(record)
			return record.Revision
		})
	}()
	return done
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// What Wait has seen is applied at the other end, and nothing that is nobody's to watch gets there.
func TestFollowerHasWhatWaitHasSeen(t *testing.T) {
	s := newSource(t, store.BadgerConfig{})
	s.addClient(t, "before")
	from := s.revision(t)
	missedOne := s.addClient(t, "between")
	var names atomic.Pointer[[]string]
	names.Store(&[]string{})
	ended := s.follow(t, from, func(r store.Record) {
		if r.Client != nil {
			all := append(*names.Load(), r.Client.Name)
			names.Store(&all)
		}
	})
	s.hub.Joined(soon(t))
	s.hub.Wait(soon(t), missedOne)
	if _, err := s.PutSecret(t.Context(), store.Secret{Name: "n", Value: []byte("s")}); err != nil {
		t.Fatal(err)
	}
	s.hub.Wait(soon(t), s.addClient(t, "after"))
	if got := *names.Load(); len(got) != 2 || got[0] != "between" || got[1] != "after" {
		t.Errorf("the other end has %v, want between and after", got)
	}
	s.addClient(t, "last")
	s.hub.Finish(soon(t), s.revision(t))
	if err := <-ended; err != nil {
		t.Errorf("the end: %v", err)
	}
	if got := *names.Load(); len(got) != 3 {
		t.Errorf("the other end has %v, want all", got)
	}
}

func TestFollowerThatIsTooFarBehindIsTold(t *testing.T) {
	s := newSource(t, store.BadgerConfig{WatchLog: 2})
	from := s.revision(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		s.addClient(t, id)
	}
	if err := <-s.follow(t, from, func(store.Record) {}); !errors.Is(err, ErrMissed) {
		t.Errorf("it ended with %v, want %v", err, ErrMissed)
	}
}

// One that hangs holds nobody up for longer than it is given time.
func TestFollowerThatHangsIsLeft(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := newSource(t, store.BadgerConfig{})
	from := s.revision(t)
	conn, err := Dial(t.Context(), s.socket, from)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.hub.Joined(soon(t))
	began := time.Now()
	s.hub.Wait(soon(t), s.addClient(t, "a"))
	if took := time.Since(began); took < patience/2 || took > patience+3*time.Second {
		t.Errorf("it was waited for %v, want about %v", took, patience)
	}
	if err := <-s.ended; err == nil {
		t.Error("serving it ended without an error")
	}
}

// A source that says nothing is one that cannot be gone by.
func TestSilenceIsAnError(t *testing.T) {
	t.Parallel() // it waits most of the time
	here, there := net.Pipe()
	defer there.Close()
	began := time.Now()
	if err := Follow(t.Context(), here, 1, func(store.Change) uint64 { return 1 }); err == nil {
		t.Error("no error")
	}
	if took := time.Since(began); took < patience/2 || took > patience+3*time.Second {
		t.Errorf("after %v, want about %v", took, patience)
	}
}

func TestOthersAreNotServed(t *testing.T) {
	s := newSource(t, store.BadgerConfig{})
	over := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
	}}}
	for _, path := range []string{Path, Path + "?from=1", Path + "?from=x"} {
		resp, err := over.Get("http://xlb" + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("GET %s: %s, want 400", path, resp.Status)
		}
	}
}
