package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// contentsUnder is all keys with a prefix, with their values.
func contentsUnder(t testing.TB, b testEngine, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := b.View(t.Context(), func(r Reader) error {
		for item, err := range r.Scan(prefix, "", 0) {
			if err != nil {
				return err
			}
			all[item.Key] = string(item.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func contents(t testing.TB, b testEngine) map[string]string {
	t.Helper()
	return contentsUnder(t, b, "")
}

func keysUnder(t testing.TB, b testEngine, prefix string) []string {
	t.Helper()
	var keys []string
	for key := range contentsUnder(t, b, prefix) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func allKeys(t testing.TB, b testEngine) []string { t.Helper(); return keysUnder(t, b, "") }

// stock adds a client with something of every kind; the serials and hashes begin with its id.
func stock(t testing.TB, s *Store, client string) {
	t.Helper()
	addClients(t, s, client)
	addFrontends(t, s, client, "f1", "f2")
	addCertificates(t, s, client, "f1", client+"01", client+"02")
	addCertificates(t, s, client, "f2", client+"03")
	addSessions(t, s, client, client+"-h01", client+"-h02")
}

// sweepAll removes what is left of the deleted; at is before everything that expires.
func sweepAll(t testing.TB, s *Store) int {
	t.Helper()
	return found[int](t)(s.SweepExpired(t.Context(), at, 0))
}

func TestSweepOfADeletedClientLeavesNoKeyOfIt(t *testing.T) {
	s, b := openStore(t)
	stock(t, s, "other")
	before := contents(t, b)
	done(t)(s.ClaimFirst(t.Context(), Client{UUID: "gone"}))
	addFrontends(t, s, "gone", "f1", "f2", "f3")
	for i := range 2*sweepBatch + 5 {
		addCertificates(t, s, "gone", "f1", fmt.Sprintf("%03x", i))
	}
	addCertificates(t, s, "gone", "f3", "fff")
	addSessions(t, s, "gone", "h1", "h2")
	done(t)(s.DeleteFrontend(t.Context(), "gone", "f3"))
	done(t)(s.DeleteClient(t.Context(), "gone", at))
	if n := found[int](t)(s.SweepClient(t.Context(), "gone")); n == 0 {
		t.Error("got 0 records removed")
	}
	before["meta/first"] = "gone"
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := found[int](t)(s.SweepClient(t.Context(), "gone")); n != 0 {
		t.Errorf("got %d removed the second time, want 0", n)
	}
	stock(t, s, "gone") // and everything can be there again
}

func TestSweepOfADeletedFrontendTakesItsCertificatesOnly(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f1")
	before := allKeys(t, b)
	addFrontends(t, s, "c", "f")
	for i := range sweepBatch + 5 {
		addCertificates(t, s, "c", "f", fmt.Sprintf("%03x", i))
	}
	done(t)(s.DeleteFrontend(t.Context(), "c", "f"))
	if n := found[int](t)(s.SweepFrontend(t.Context(), "c", "f")); n != sweepBatch+5 {
		t.Errorf("got %d, want %d", n, sweepBatch+5)
	}
	if diff := cmp.Diff(before, allKeys(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := found[int](t)(s.SweepFrontend(t.Context(), "c", "f")); n != 0 {
		t.Errorf("got %d the second time, want 0", n)
	}
}

func TestSweepLeavesAloneWhatIsNotDeleted(t *testing.T) {
	s, b := openStore(t)
	stock(t, s, "c")
	before := contents(t, b)
	for name, sweep := range map[string]func() (int, error){
		"client":           func() (int, error) { return s.SweepClient(t.Context(), "c") },
		"frontend":         func() (int, error) { return s.SweepFrontend(t.Context(), "c", "f1") },
		"unknown client":   func() (int, error) { return s.SweepClient(t.Context(), "x") },
		"unknown frontend": func() (int, error) { return s.SweepFrontend(t.Context(), "x", "f1") },
		"no client":        func() (int, error) { return s.SweepClient(t.Context(), "") },
		"crafted frontend": func() (int, error) { return s.SweepFrontend(t.Context(), "c", "f1/c01") },
		"expired":          func() (int, error) { return s.SweepExpired(t.Context(), at, 0) },
	} {
		if n := found[int](t)(sweep()); n != 0 {
			t.Errorf("%s: got %d, want 0", name, n)
		}
	}
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSweepExpiredTakesWhatIsDueOldestFirst(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	for i := range 5 { // the session h4 is due first
		session := newSession("c", fmt.Sprintf("h%d", i))
		session.ExpiresAt = at.Add(-time.Duration(i) * time.Minute)
		done(t)(s.PutSession(t.Context(), session))
	}
	addSessions(t, s, "c", "later")
	expired, kept := newCertificate("c", "f", "01"), newCertificate("c", "f", "02")
	expired.NotAfter = at.Add(-KeepExpired - time.Hour)
	kept.NotAfter = at.Add(-KeepExpired + time.Second)
	done(t)(s.PutCertificate(t.Context(), expired))
	done(t)(s.PutCertificate(t.Context(), kept))
	for _, step := range []struct {
		limit, removed   int
		sessions, serial string
	}{
		{1, 1, "h0 h1 h2 h3 h4 later", "02"},
		{2, 2, "h0 h1 h2 later", "02"},
		{2, 2, "h0 later", "02"},
		{2, 1, "later", "02"},
		{0, 0, "later", "02"},
	} {
		if n := found[int](t)(s.SweepExpired(t.Context(), at, step.limit)); n != step.removed {
			t.Errorf("limit %d: got %d, want %d", step.limit, n, step.removed)
		}
		certificates := found[[]Certificate](t)(s.Certificates(t.Context(), "c", "", "", 0))
		if got := sessionHashes(t, s, "c"); got != step.sessions || serials(certificates) != step.serial {
			t.Errorf("left %q and %q, want %q and %q", got, serials(certificates), step.sessions, step.serial)
		}
	}
}

func TestSweepExpiredFinishesDeletionsUpToItsLimit(t *testing.T) {
	s, b := openStore(t)
	before := contents(t, b)
	for _, id := range []string{"a", "b", "c"} {
		stock(t, s, id)
		done(t)(s.DeleteClient(t.Context(), id, at))
	}
	for left := 2; left >= 0; left-- {
		found[int](t)(s.SweepExpired(t.Context(), at, 1))
		if marks := keysUnder(t, b, "sweep/"); len(marks) != left {
			t.Errorf("got %q, want %d deletions left", marks, left)
		}
	}
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fuse is a context that ends when it was asked a number of times.
type fuse struct {
	context.Context
	left *int
}

func (f fuse) Err() error {
	if *f.left--; *f.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestSweepThatWasStoppedAnywhereGoesOn(t *testing.T) {
	s, b := openStore(t)
	before := contents(t, b)
	stock(t, s, "c")
	for i := range 2 * sweepBatch {
		addCertificates(t, s, "c", "f1", fmt.Sprintf("%03x", i))
	}
	done(t)(s.DeleteFrontend(t.Context(), "c", "f2"))
	done(t)(s.DeleteClient(t.Context(), "c", at))
	stops := 0
	for left := 1; ; left += 3 {
		budget := left
		_, err := s.SweepExpired(fuse{t.Context(), &budget}, at, 0)
		if err == nil {
			break
		}
		if stops++; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := s.Client(t.Context(), "c"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("got %v, want %v", err, ErrNotFound)
		}
	}
	if stops < 10 {
		t.Errorf("got %d stops, want more", stops)
	}
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever is being created while a client is deleted and swept is refused or swept too.
func TestCreationThatRacesADeletionLeavesNothingBehind(t *testing.T) {
	s, b := openStore(t)
	ctx := t.Context()
	before := contents(t, b)
	for round := range 5 {
		stock(t, s, "gone")
		errs := together(20, func(i int) (err error) {
			id := fmt.Sprintf("x%d", i)
			switch i % 5 {
			case 0:
				_, err = s.CreateFrontend(ctx, newFrontend("gone", id), 0)
			case 1:
				_, err = s.PutCertificate(ctx, newCertificate("gone", "f1", id))
			case 2:
				_, err = s.PutSession(ctx, newSession("gone", id))
			case 3:
				_, err = s.DeleteFrontend(ctx, "gone", fmt.Sprintf("f%d", 1+i%2))
			case 4:
				if i == 4 {
					_, err = s.DeleteClient(ctx, "gone", at)
				} else {
					_, err = s.SweepExpired(ctx, at, 0)
				}
			}
			return err
		})
		succeeded(t, errs, ErrNotFound)
		if errs[4] != nil {
			t.Fatalf("delete: %v", errs[4])
		}
		sweepAll(t, s)
		if diff := cmp.Diff(before, contents(t, b)); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
	}
}

func TestTakingAwayNeedsLessRoomOnTheDisk(t *testing.T) {
	b := openBadger(t, BadgerConfig{})
	s := found[*Store](t)(New(b))
	ctx := t.Context()
	stock(t, s, "c")
	t.Cleanup(func() { b.free = freeSpace }) // so that Close has room
	b.free = func(string) (int64, error) { return defaultMinFree * 3 / 4, nil }
	refused(t, ErrReadOnly)(s.PutSession(ctx, newSession("c", "h9")))
	done(t)(s.UpdateCertificate(ctx, "ca", "c01", func(c *Certificate) error { c.RevokedAt = &at; return nil }))
	done(t)(s.DeleteSession(ctx, "c-h01"))
	done(t)(s.DeleteSessionsOf(ctx, "c"))
	done(t)(s.DeleteFrontend(ctx, "c", "f1"))
	done(t)(s.DeleteClient(ctx, "c", at))
	sweepAll(t, s)
	if keys := allKeys(t, b); !slices.Equal(keys, ownKeys) {
		t.Errorf("got %q, want everything swept", keys)
	}
}

// A client that was never used goes when its time is over; one that has had a frontend, or that has no such time, stays.
func TestUnusedClientsGo(t *testing.T) {
	s, b := openStore(t)
	until := at.Add(time.Hour)
	for _, id := range []string{"idle", "used", "left", "invited"} {
		c := Client{UUID: id, Name: id, CreatedAt: at, UnusedUntil: until}
		if id == "invited" {
			c.UnusedUntil = time.Time{}
		}
		if _, err := s.CreateClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	addSessions(t, s, "idle", "idle-h01")
	addFrontends(t, s, "used", "f1")
	addFrontends(t, s, "left", "f1")
	if _, err := s.DeleteFrontend(t.Context(), "left", "f1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateClient(t.Context(), "idle", func(c *Client) error { c.Name = "renamed"; c.UnusedUntil = time.Time{}; return nil }); err != nil {
		t.Fatal(err)
	}
	names := func() (all []string) {
		clients, err := s.Clients(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			all = append(all, c.UUID)
		}
		return all
	}
	sweep := func(now time.Time) {
		if _, err := s.SweepExpired(t.Context(), now, 0); err != nil {
			t.Fatal(err)
		}
	}
	sweep(until.Add(-time.Second))
	if got, want := names(), []string{"idle", "invited", "left", "used"}; !slices.Equal(got, want) {
		t.Errorf("before: got %v, want %v", got, want)
	}
	sweep(until.Add(time.Second))
	if got, want := names(), []string{"invited", "left", "used"}; !slices.Equal(got, want) {
		t.Errorf("after: got %v, want %v", got, want)
	}
	sweep(until.Add(2 * time.Second))
	for _, k := range allKeys(t, b) {
		if strings.Contains(k, "idle") {
			t.Errorf("%s is left of the unused client", k)
		}
	}
}
