package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newFrontend(client, id string) Frontend {
	return Frontend{
		UUID: id, ClientID: client, Name: "name of " + id, Active: true, Strategy: 1, RouteTimeoutSec: 30,
		AccessKey: "key-" + client + "-" + id, CreatedAt: at, UpdatedAt: at,
		Routes: []Route{{Dest: "10.0.0.1:80", Capacity: 9}, {Dest: "10.0.0.2:80"}},
	}
}

func addFrontends(t testing.TB, s *Store, client string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		done(t)(s.CreateFrontend(t.Context(), newFrontend(client, id), 0))
	}
}

// countOf is the number of frontends that a client's record has.
func countOf(t testing.TB, s *Store, client string) int {
	t.Helper()
	return found[Client](t)(s.Client(t.Context(), client)).Frontends
}

func frontendIDs(frontends []Frontend) string {
	ids := make([]string, len(frontends))
	for i, f := range frontends {
		ids[i] = f.UUID
	}
	return strings.Join(ids, " ")
}

func TestFrontendIsStoredAsItIs(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	want := newFrontend("c", "f")
	want.FirstByteAt = at.Add(time.Minute)
	want.Number = 7 // is the store's to give
	want.Revision = done(t)(s.CreateFrontend(t.Context(), want, 0))
	want.Number = 1
	if diff := cmp.Diff(want, found[Frontend](t)(s.Frontend(t.Context(), "c", "f"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFrontendThatIsRefusedIsNotCounted(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c", "d")
	addFrontends(t, s, "c", "f")
	before := contents(t, b)
	for _, c := range []struct {
		name            string
		client, id, key string
		limit           int
		want            error
	}{
		{"no client", "x", "f2", "k2", 0, ErrNotFound},
		{"same id", "c", "f", "k2", 0, ErrExists},
		{"same access key", "c", "f2", "key-c-f", 0, ErrExists},
		{"access key of another client's", "d", "f2", "key-c-f", 0, ErrExists},
		{"limit", "c", "f2", "k2", 1, ErrLimit},
		{"id with a slash", "c", "f/2", "k2", 0, ErrInvalid},
		{"client with a slash", "c/f", "f2", "k2", 0, ErrInvalid},
		{"no access key", "c", "f2", "", 0, ErrInvalid},
		{"long access key", "c", "f2", strings.Repeat("k", 201), 0, ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, c.want)(s.CreateFrontend(t.Context(), Frontend{ClientID: c.client, UUID: c.id, AccessKey: c.key}, c.limit))
			if diff := cmp.Diff(before, contents(t, b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	addFrontends(t, s, "d", "f") // an id is unique within its client only
}

func TestLimitOfFrontendsIsExactUnderConcurrency(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	errs := together(20, func(i int) error {
		_, err := s.CreateFrontend(t.Context(), newFrontend("c", fmt.Sprintf("f%02d", i)), 5)
		return err
	})
	if n := succeeded(t, errs, ErrLimit); n != 5 {
		t.Errorf("got %d, want 5", n)
	}
	all := found[[]Frontend](t)(s.Frontends(t.Context(), "c", "", 0))
	if len(all) != 5 || countOf(t, s, "c") != 5 {
		t.Fatalf("got %d frontends and a count of %d, want 5", len(all), countOf(t, s, "c"))
	}
	done(t)(s.DeleteFrontend(t.Context(), "c", all[0].UUID))
	done(t)(s.CreateFrontend(t.Context(), newFrontend("c", "more"), 5))
	refused(t, ErrLimit)(s.CreateFrontend(t.Context(), newFrontend("c", "most"), 5))
	addFrontends(t, s, "c", "zero-is-no-bound")
}

func TestAccessKeyGoesToOne(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c0", "c1", "c2", "c3", "c4")
	errs := together(20, func(i int) error {
		f := newFrontend(fmt.Sprintf("c%d", i%5), fmt.Sprintf("f%d", i))
		f.AccessKey = "shared"
		_, err := s.CreateFrontend(t.Context(), f, 0)
		return err
	})
	if n := succeeded(t, errs, ErrExists); n != 1 {
		t.Errorf("got %d, want 1", n)
	}
	sum := 0
	for i := range 5 {
		sum += countOf(t, s, fmt.Sprintf("c%d", i))
	}
	if sum != 1 {
		t.Errorf("got %d counted, want 1", sum)
	}
}

func TestChangeOfTheAccessKeyFreesTheOldOne(t *testing.T) {
	s, b := openStore(t)
	ctx := t.Context()
	addClients(t, s, "c", "d")
	addFrontends(t, s, "c", "f")
	addFrontends(t, s, "d", "g")
	to := func(accessKey string) func(*Frontend) error {
		return func(f *Frontend) error { f.AccessKey = accessKey; return nil }
	}
	refused(t, ErrExists)(s.UpdateFrontend(ctx, "c", "f", to("key-d-g")))
	refused(t, ErrInvalid)(s.UpdateFrontend(ctx, "c", "f", to("a/b")))
	done(t)(s.UpdateFrontend(ctx, "c", "f", to("key-c-f"))) // its own is no other's
	done(t)(s.UpdateFrontend(ctx, "c", "f", to("fresh")))
	done(t)(s.UpdateFrontend(ctx, "d", "g", to("key-c-f")))
	refused(t, ErrExists)(s.UpdateFrontend(ctx, "d", "g", to("fresh")))
	if got := found[Frontend](t)(s.Frontend(ctx, "c", "f")).AccessKey; got != "fresh" {
		t.Errorf("got %q, want %q", got, "fresh")
	}
	done(t)(s.DeleteFrontend(ctx, "c", "f"))
	done(t)(s.UpdateFrontend(ctx, "d", "g", to("fresh")))
	want := map[string]string{"accesskeyid/fresh": "frontend/d/g"}
	if diff := cmp.Diff(want, contentsUnder(t, b, "accesskeyid/")); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
}

func TestUpdateFrontendKeepsItsIDs(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c", "d")
	addFrontends(t, s, "c", "f")
	want := newFrontend("c", "f")
	want.Name, want.Routes, want.Number = "new", nil, 2
	want.Revision = done(t)(s.UpdateFrontend(t.Context(), "c", "f", func(f *Frontend) error {
		f.UUID, f.ClientID, f.Name, f.Routes = "g", "d", "new", nil
		return nil
	}))
	if diff := cmp.Diff([]Frontend{want}, found[[]Frontend](t)(s.Frontends(t.Context(), "c", "", 0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if all := found[[]Frontend](t)(s.Frontends(t.Context(), "d", "", 0)); len(all) > 0 {
		t.Errorf("got %+v, want none", all)
	}
}

// A change may run more than once; what it did to the routes the first time must not show the second.
func TestRepeatedChangeBeginsWithWhatIsStored(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	var kept []Route
	calls := 0
	done(t)(s.UpdateFrontend(t.Context(), "c", "f", func(f *Frontend) error {
		if calls++; calls == 1 { // another writer comes between, so that this one starts over
			done(t)(s.UpdateFrontend(t.Context(), "c", "f", func(f *Frontend) error { f.Name = "theirs"; return nil }))
		}
		if want := "10.0.0.1:80"; f.Routes[0].Dest != want {
			t.Errorf("call %d: got %q, want %q", calls, f.Routes[0].Dest, want)
		}
		f.Routes[0].Dest = "ours:1"
		kept = f.Routes
		return nil
	}))
	kept[0].Dest = "late:1"
	got := found[Frontend](t)(s.Frontend(t.Context(), "c", "f"))
	if calls != 2 || got.Name != "theirs" || got.Routes[0].Dest != "ours:1" {
		t.Errorf("got %+v after %d calls, want both changes after 2", got, calls)
	}
}

func TestFrontendsComeInPages(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c", "c2", "empty")
	addFrontends(t, s, "c", "f3", "f1", "f2")
	addFrontends(t, s, "c2", "f0") // an id that begins like the other's
	for _, c := range []struct {
		client, after string
		limit         int
		want          string
	}{
		{"c", "", 0, "f1 f2 f3"},
		{"c", "", 2, "f1 f2"},
		{"c", "f1", 1, "f2"},
		{"c", "f2x", 0, "f3"},
		{"c", "f3", 0, ""},
		{"c2", "", 0, "f0"},
		{"empty", "", 0, ""},
	} {
		if got := frontendIDs(found[[]Frontend](t)(s.Frontends(t.Context(), c.client, c.after, c.limit))); got != c.want {
			t.Errorf("%s after %q limit %d: got %q, want %q", c.client, c.after, c.limit, got, c.want)
		}
	}
	if all, err := s.Frontends(t.Context(), "nobody", "", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, %v; want %v", all, err, ErrNotFound)
	}
}

func TestFrontendIDComesBackWithoutItsOldCertificates(t *testing.T) {
	s, _ := openStore(t)
	ctx := t.Context()
	stock(t, s, "c")
	done(t)(s.DeleteFrontend(ctx, "c", "f1"))
	if f, err := s.Frontend(ctx, "c", "f1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %+v, %v; want %v", f, err, ErrNotFound)
	}
	if n := countOf(t, s, "c"); n != 1 {
		t.Errorf("got a count of %d, want 1", n)
	}
	refused(t, ErrNotFound)(s.DeleteFrontend(ctx, "c", "f1"))
	refused(t, ErrNotFound)(s.PutCertificate(ctx, newCertificate("c", "f1", "99")))
	refused(t, ErrExists)(s.CreateFrontend(ctx, newFrontend("c", "f1"), 0))
	if n := found[int](t)(s.SweepFrontend(ctx, "c", "f1")); n != 2 {
		t.Errorf("got %d, want both certificates", n)
	}
	addFrontends(t, s, "c", "f1")
	if all := found[[]Certificate](t)(s.Certificates(ctx, "c", "f1", "", 0)); len(all) > 0 {
		t.Errorf("got %+v, want none", all)
	}
}
