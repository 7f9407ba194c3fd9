package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newSession(client, hash string) Session {
	return Session{
		IDHash: hash, ClientID: client, CreatedAt: at, ExpiresAt: at.Add(time.Hour), LastSeenAt: at,
		UserAgent: "browser", Address: "192.0.2.1",
	}
}

func addSessions(t testing.TB, s *Store, client string, hashes ...string) {
	t.Helper()
	for _, hash := range hashes {
		done(t)(s.PutSession(t.Context(), newSession(client, hash)))
	}
}

func sessionHashes(t testing.TB, s *Store, client string) string {
	t.Helper()
	var hashes []string
	for _, session := range found[[]Session](t)(s.SessionsOf(t.Context(), client)) {
		hashes = append(hashes, session.IDHash)
	}
	slices.Sort(hashes)
	return strings.Join(hashes, " ")
}

func TestSessionIsFoundByItsHash(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	want := newSession("c", "h")
	want.Revision = done(t)(s.PutSession(t.Context(), want))
	if diff := cmp.Diff(want, found[Session](t)(s.Session(t.Context(), "h"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, hash := range []string{"H", "h2", "", "c/h", strings.Repeat("h", 201)} {
		if got, err := s.Session(t.Context(), hash); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %+v, %v; want %v", hash, got, err, ErrNotFound)
		}
	}
}

func TestSessionThatIsRefused(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c", "d")
	addSessions(t, s, "c", "h")
	before := contents(t, b)
	for _, c := range []struct {
		client, hash string
		want         error
	}{
		{"nobody", "h2", ErrNotFound},
		{"d", "h", ErrExists}, // a hash of another client's must not change hands
		{"c", "", ErrInvalid},
		{"c", "h/2", ErrInvalid},
		{"", "h2", ErrInvalid},
	} {
		refused(t, c.want)(s.PutSession(t.Context(), newSession(c.client, c.hash)))
	}
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSessionIsReplacedWithItsTime(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c")
	addSessions(t, s, "c", "h")
	later := newSession("c", "h")
	later.ExpiresAt, later.LastSeenAt = at.Add(3*time.Hour), at.Add(2*time.Hour)
	done(t)(s.PutSession(t.Context(), later))
	if keys := keysUnder(t, b, "expiry/"); len(keys) != 1 {
		t.Errorf("got %q, want only the new time", keys)
	}
	if n := found[int](t)(s.SweepExpired(t.Context(), at.Add(time.Hour), 0)); n != 0 {
		t.Errorf("got %d removed at the old time, want 0", n)
	}
	if got := found[Session](t)(s.Session(t.Context(), "h")); !got.LastSeenAt.Equal(later.LastSeenAt) {
		t.Errorf("got %v, want %v", got.LastSeenAt, later.LastSeenAt)
	}
	if n := found[int](t)(s.SweepExpired(t.Context(), later.ExpiresAt, 0)); n != 1 {
		t.Errorf("got %d removed at the new time, want 1", n)
	}
}

// Whether a session has expired is the caller's to judge, so it is there until it is swept.
func TestExpiredSessionIsThereUntilItIsSwept(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c")
	session := newSession("c", "h")
	session.ExpiresAt = at.Add(time.Nanosecond) // the store counts in seconds, and must not be early
	done(t)(s.PutSession(t.Context(), session))
	for _, early := range []time.Time{at, at.Add(time.Second - 1)} {
		if n := found[int](t)(s.SweepExpired(t.Context(), early, 0)); n != 0 {
			t.Errorf("%v: got %d removed, want 0", early, n)
		}
	}
	found[Session](t)(s.Session(t.Context(), "h"))
	if n := found[int](t)(s.SweepExpired(t.Context(), at.Add(time.Second), 0)); n != 1 {
		t.Errorf("got %d removed, want 1", n)
	}
	if got, err := s.Session(t.Context(), "h"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %+v, %v; want %v", got, err, ErrNotFound)
	}
	if keys := allKeys(t, b); !slices.Equal(keys, append([]string{"client/c"}, ownKeys...)) {
		t.Errorf("got %q, want no trace of the session", keys)
	}
}

func TestDeletedSessionLeavesNothing(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c", "d")
	before := allKeys(t, b)
	addSessions(t, s, "c", "h")
	done(t)(s.DeleteSession(t.Context(), "h"))
	refused(t, ErrNotFound)(s.DeleteSession(t.Context(), "h"))
	if diff := cmp.Diff(before, allKeys(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	addSessions(t, s, "d", "h") // its hash is free again
}

func TestSessionsOfOneClientAreDeletedButThoseToKeep(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c", "c2")
	addSessions(t, s, "c2", "other")
	for i := range 2*sweepBatch + 5 {
		addSessions(t, s, "c", fmt.Sprintf("h%02d", i))
	}
	rev := done(t)(s.DeleteSessionsOf(t.Context(), "c", "h07", "h44", "unknown", "other"))
	if got, want := sessionHashes(t, s, "c"), "h07 h44"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again := done(t)(s.DeleteSessionsOf(t.Context(), "c", "h07", "h44")); again != rev {
		t.Errorf("got revision %d, want %d when nothing had to change", again, rev)
	}
	done(t)(s.DeleteSessionsOf(t.Context(), "c"))
	if got := sessionHashes(t, s, "c"); got != "" {
		t.Errorf("got %q, want none", got)
	}
	if got, want := sessionHashes(t, s, "c2"), "other"; got != want {
		t.Errorf("other client: got %q, want %q", got, want)
	}
}

func TestSessionsGoWithTheirClient(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c", "d")
	addSessions(t, s, "c", "h1", "h2")
	addSessions(t, s, "d", "h3")
	done(t)(s.DeleteClient(t.Context(), "c", at))
	for _, hash := range []string{"h1", "h2"} {
		if got, err := s.Session(t.Context(), hash); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %+v, %v; want %v", hash, got, err, ErrNotFound)
		}
	}
	sweepAll(t, s)
	want := []string{"sessionid/h3"}
	if diff := cmp.Diff(want, keysUnder(t, b, "sessionid/")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A sweep reads what is due before it removes it, and what got more time in between must stay.
func TestSweepLeavesWhatGotMoreTimeMeanwhile(t *testing.T) {
	s, b := openStore(t)
	stock(t, s, "c")
	before := contents(t, b)
	set1(t, b, expiryKey(at.Add(-time.Hour), "session/c/c-h01"), "")
	set1(t, b, expiryKey(at.Add(-time.Hour), "certificate/c/c01/ca"), "")
	set1(t, b, expiryKey(at.Add(-time.Hour), "session/c/gone"), "")
	found[int](t)(s.SweepExpired(t.Context(), at, 0))
	if diff := cmp.Diff(before, contents(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
