package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// done passes on the revision of a write that must succeed: done(t)(s.CreateClient(ctx, c)).
func done(t testing.TB) func(uint64, error) uint64 {
	return func(rev uint64, err error) uint64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
}

// found passes on what a read that must succeed has returned.
func found[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// refused makes sure that a write fails with an error.
func refused(t testing.TB, want error) func(uint64, error) {
	return func(rev uint64, err error) {
		t.Helper()
		if !errors.Is(err, want) || rev != 0 {
			t.Errorf("got %d, %v; want %v", rev, err, want)
		}
	}
}

// together calls fn n times at the same time and returns the errors.
func together(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-begin
			errs[i] = fn(i)
		})
	}
	close(begin)
	all.Wait()
	return errs
}

// succeeded counts the errors that are nil; all others must be want.
func succeeded(t testing.TB, errs []error, want error) (n int) {
	t.Helper()
	for _, err := range errs {
		if err == nil {
			n++
		} else if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	return n
}

func addClients(t testing.TB, s *Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		done(t)(s.CreateClient(t.Context(), Client{UUID: id, Name: "name of " + id, CreatedAt: at}))
	}
}

func clientIDs(clients []Client) string {
	ids := make([]string, len(clients))
	for i, c := range clients {
		ids[i] = c.UUID
	}
	return strings.Join(ids, " ")
}

func TestClientIsStoredAsItIsButTheStoreCountsAndDeletes(t *testing.T) {
	s, _ := openStore(t)
	want := Client{UUID: "c", Name: "shop", KeyHash: []byte{1, 2}, Admin: true, Disabled: true, CreatedAt: at}
	given := want
	given.Frontends, given.DeletedAt = 7, &at
	want.Revision = done(t)(s.CreateClient(t.Context(), given))
	if diff := cmp.Diff(want, found[Client](t)(s.Client(t.Context(), "c"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	refused(t, ErrExists)(s.CreateClient(t.Context(), Client{UUID: "c", Name: "other"}))
	if got := found[Client](t)(s.Client(t.Context(), "c")); got.Name != "shop" {
		t.Errorf("got %q, want the first one's name", got.Name)
	}
}

func TestClientWithAnIDThatNoKeyCanHoldIsRefused(t *testing.T) {
	s, b := openStore(t)
	for _, id := range []string{"", "a/b", "/", "a b", "a\n", "\x00", "a\x7f", "ä", "\xff", strings.Repeat("x", 201)} {
		refused(t, ErrInvalid)(s.CreateClient(t.Context(), Client{UUID: id}))
		refused(t, ErrInvalid)(s.ClaimFirst(t.Context(), Client{UUID: id}))
	}
	if keys := allKeys(t, b); !slices.Equal(keys, ownKeys) {
		t.Errorf("got %q, want nothing written", keys)
	}
	addClients(t, s, strings.Repeat("x", 200), ".", "a-B_0~!")
}

func TestFirstAdministratorIsClaimedOnce(t *testing.T) {
	s, _ := openStore(t)
	if id, err := s.First(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %q, %v; want %v before the claim", id, err, ErrNotFound)
	}
	errs := together(20, func(i int) error {
		_, err := s.ClaimFirst(t.Context(), Client{UUID: fmt.Sprintf("c%02d", i)})
		return err
	})
	if n := succeeded(t, errs, ErrExists); n != 1 {
		t.Errorf("got %d winners, want 1", n)
	}
	winner := fmt.Sprintf("c%02d", slices.Index(errs, nil))
	all := found[[]Client](t)(s.Clients(t.Context(), "", 0))
	if len(all) != 1 || all[0].UUID != winner || !all[0].Admin {
		t.Errorf("got %+v, want the administrator %s only", all, winner)
	}
	done(t)(s.DeleteClient(t.Context(), winner, at))
	sweepAll(t, s)
	if id := found[string](t)(s.First(t.Context())); id != winner {
		t.Errorf("got %q, want %q also when it is deleted", id, winner)
	}
	refused(t, ErrExists)(s.ClaimFirst(t.Context(), Client{UUID: "late"}))
}

func TestClaimWithATakenIDClaimsNothing(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	refused(t, ErrExists)(s.ClaimFirst(t.Context(), Client{UUID: "c"}))
	if id, err := s.First(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %q, %v; want %v", id, err, ErrNotFound)
	}
	done(t)(s.ClaimFirst(t.Context(), Client{UUID: "d"}))
}

func TestClientsComeInPagesWithoutTheDeleted(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "d", "b", "e", "a", "c", "b0")
	done(t)(s.DeleteClient(t.Context(), "b", at))
	for _, c := range []struct {
		after string
		limit int
		want  string
	}{
		{"", 0, "a b0 c d e"},
		{"", 2, "a b0"},
		{"a", 2, "b0 c"},
		{"b", 1, "b0"}, // after one that is deleted
		{"bb", 2, "c d"},
		{"d", 9, "e"},
		{"e", 1, ""},
		{"zz", 0, ""},
	} {
		if got := clientIDs(found[[]Client](t)(s.Clients(t.Context(), c.after, c.limit))); got != c.want {
			t.Errorf("after %q limit %d: got %q, want %q", c.after, c.limit, got, c.want)
		}
	}
}

func TestUpdateClientKeepsWhatIsTheStores(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f1", "f2")
	rev := done(t)(s.UpdateClient(t.Context(), "c", func(c *Client) error {
		if c.Frontends != 2 || c.Name != "name of c" {
			t.Errorf("got %+v, want what is stored", c)
		}
		c.UUID, c.Frontends, c.DeletedAt = "x", 0, &at
		c.Name, c.Disabled, c.KeyHash = "new", true, []byte("hash")
		return nil
	}))
	want := Client{UUID: "c", Name: "new", Disabled: true, KeyHash: []byte("hash"), CreatedAt: at, Frontends: 2, Revision: rev}
	if diff := cmp.Diff([]Client{want}, found[[]Client](t)(s.Clients(t.Context(), "", 0))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConcurrentUpdatesOfAClientLoseNothing(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	errs := together(20, func(int) error {
		_, err := s.UpdateClient(t.Context(), "c", func(c *Client) error { c.Name += "+"; return nil })
		return err
	})
	if n := succeeded(t, errs, nil); n != 20 {
		t.Fatalf("got %d, want 20", n)
	}
	if got := found[Client](t)(s.Client(t.Context(), "c")).Name; strings.Count(got, "+") != 20 {
		t.Errorf("got %q, want all 20 changes", got)
	}
}

// An error from change stops an update of every kind, and leaves no trace.
func TestErrorFromAChangeStopsTheUpdate(t *testing.T) {
	s, b := openStore(t)
	stock(t, s, "c")
	before := contents(t, b)
	no := errors.New("no")
	refused(t, no)(s.UpdateClient(t.Context(), "c", func(c *Client) error { c.Name = "x"; return no }))
	refused(t, no)(s.UpdateFrontend(t.Context(), "c", "f1", func(f *Frontend) error {
		f.AccessKey, f.Routes[0].Dest = "free", "elsewhere:1"
		return no
	}))
	refused(t, no)(s.UpdateCertificate(t.Context(), "ca", "c01", func(c *Certificate) error {
		c.RevokedAt, c.NotAfter = &at, at.Add(time.Hour)
		return no
	}))
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeletedClientIsNotThereAndNothingCanBeAdded(t *testing.T) {
	s, b := openStore(t)
	ctx := t.Context()
	stock(t, s, "c")
	done(t)(s.DeleteClient(ctx, "c", at))
	before := contents(t, b)
	if c, err := s.Client(ctx, "c"); !errors.Is(err, ErrNotFound) || c.UUID != "" {
		t.Errorf("client: got %+v, %v; want %v", c, err, ErrNotFound)
	}
	if all, err := s.Frontends(ctx, "c", "", 0); !errors.Is(err, ErrNotFound) || all != nil {
		t.Errorf("frontends: got %+v, %v; want %v", all, err, ErrNotFound)
	}
	if f, err := s.Frontend(ctx, "c", "f1"); !errors.Is(err, ErrNotFound) || f.UUID != "" {
		t.Errorf("frontend: got %+v, %v; want %v", f, err, ErrNotFound)
	}
	if session, err := s.Session(ctx, "c-h01"); !errors.Is(err, ErrNotFound) {
		t.Errorf("session: got %+v, %v; want %v", session, err, ErrNotFound)
	}
	refused(t, ErrNotFound)(s.CreateFrontend(ctx, newFrontend("c", "f9"), 0))
	refused(t, ErrNotFound)(s.UpdateFrontend(ctx, "c", "f1", func(*Frontend) error { return nil }))
	refused(t, ErrNotFound)(s.DeleteFrontend(ctx, "c", "f1"))
	refused(t, ErrNotFound)(s.PutCertificate(ctx, newCertificate("c", "f1", "99")))
	refused(t, ErrNotFound)(s.PutSession(ctx, newSession("c", "h9")))
	refused(t, ErrNotFound)(s.UpdateClient(ctx, "c", func(*Client) error { return nil }))
	refused(t, ErrNotFound)(s.DeleteClient(ctx, "c", at))
	refused(t, ErrExists)(s.CreateClient(ctx, Client{UUID: "c"})) // or it would inherit what is left
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
