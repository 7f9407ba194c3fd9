package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIDsThatCouldReachIntoOtherKeysAreInvalid(t *testing.T) {
	for _, id := range []string{"a", "0", "~", "!", "..", "a-b_c.d:e", strings.Repeat("x", 200)} {
		if err := checkIDs("ok", id); err != nil {
			t.Errorf("%q: got %v, want nil", id, err)
		}
	}
	for _, id := range []string{
		"", " ", "a b", "a/b", "/a", "a/", "\t", "a\n", "\x00", "\x1f", "\x7f", "\u0080", "é", "\u2028", "\xff",
		strings.Repeat("x", 201),
	} {
		err := checkIDs("ok", id)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, want %v", id, err, ErrInvalid)
			continue
		}
		// The message goes to logs and pages: it must stay short and on one line.
		if text := err.Error(); len(text) > 300 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: got message %q, want it short and printable", id, text)
		}
	}
}

func TestLongestIDsFitIntoEveryKey(t *testing.T) {
	s, b := openStore(t)
	ctx := t.Context()
	before := allKeys(t, b)
	long := strings.Repeat("x", 200)
	addClients(t, s, long)
	f := newFrontend(long, long)
	f.AccessKey = long
	done(t)(s.CreateFrontend(ctx, f, 0))
	c := newCertificate(long, long, long)
	c.Authority = long
	done(t)(s.PutCertificate(ctx, c))
	addSessions(t, s, long, long)
	found[Certificate](t)(s.Certificate(ctx, long, long))
	found[Session](t)(s.Session(ctx, long))
	done(t)(s.DeleteFrontend(ctx, long, long))
	done(t)(s.DeleteClient(ctx, long, at))
	sweepAll(t, s)
	if diff := cmp.Diff(before, allKeys(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExpiryKeysSortByTimeAndAreNeverEarly(t *testing.T) {
	times := []time.Time{
		time.Unix(0, 0), time.Unix(1, 0), time.Unix(9, 0), time.Unix(10, 0), time.Unix(255, 0), time.Unix(256, 0),
		at, at.Add(time.Second), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	var keys []string
	for _, at := range times {
		keys = append(keys, expiryKey(at, "r"))
	}
	if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
		t.Errorf("got %q, want them in the order of their times", keys)
	}
	for _, c := range []struct{ at, as time.Time }{
		{at.Add(1), at.Add(time.Second)},
		{at.Add(time.Second - 1), at.Add(time.Second)},
		{time.Time{}, time.Unix(0, 0)},
		{time.Unix(-5, 0), time.Unix(0, 0)},
		{at.In(time.FixedZone("", 3600)), at},
	} {
		if got, want := expiryKey(c.at, "r"), expiryKey(c.as, "r"); got != want {
			t.Errorf("%v: got %q, want %q", c.at, got, want)
		}
	}
}

func TestKindsOfKeysAreToldApart(t *testing.T) {
	for _, c := range []struct {
		key  string
		kind Kind
		ids  []string
	}{
		{"client/c", KindClient, []string{"c"}},
		{"frontend/c/f", KindFrontend, []string{"c", "f"}},
		{"certificate/c/01/ca", KindCertificate, []string{"c", "01", "ca"}},
		{"certificateof/c/f/01/ca", "", nil},
		{"certificateid/ca/01", "", nil},
		{"accesskeyid/k", "", nil},
		{"session/c/h", "", nil},
		{"sweep/client/c", "", nil},
		{"expiry/0000000000000000/certificate/c/01/ca", "", nil},
		{"meta/first", "", nil},
		{"client", "", nil},
		{"client/c/x", "", nil},
		{"", "", nil},
	} {
		if kind, ids := kindOf(c.key); kind != c.kind || !slices.Equal(ids, c.ids) {
			t.Errorf("%q: got %q %q, want %q %q", c.key, kind, ids, c.kind, c.ids)
		}
	}
}

// foreign is one way to name a record of client a, which has f1, f2, a01 and a-h01, that must not work.
type foreign struct{ client, frontend, authority, serial, hash string }

func TestIDsOfOthersFindNothing(t *testing.T) {
	s, b := openStore(t)
	stock(t, s, "a")
	addClients(t, s, "b")
	before := contents(t, b)
	for name, ids := range map[string]foreign{
		"another client":      {"b", "f1", "cb", "a01", "b-h01"},
		"no client":           {"x", "f1", "", "a01", ""},
		"empty client":        {"", "f1", "ca", "", "a"},
		"prefix of the id":    {"b", "f", "c", "a0", "a-h0"},
		"slash in the client": {"a/f1", "f1", "ca/a01", "a01", "a/a-h01"},
		"slash in the id":     {"b", "../a/f1", "ca", "a01/", "a-h01/"},
		"frontend not there":  {"b", "f9", "ca", "a09", "a-h09"},
		"upper case":          {"A", "F1", "CA", "A01", "A-H01"},
	} {
		t.Run(name, func(t *testing.T) {
			ids.findNothing(t, s)
			if diff := cmp.Diff(before, contents(t, b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// findNothing calls every method that takes ids.
func (ids foreign) findNothing(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	if f, err := s.Frontend(ctx, ids.client, ids.frontend); !errors.Is(err, ErrNotFound) || f.UUID != "" {
		t.Errorf("frontend: got %+v, %v; want %v", f, err, ErrNotFound)
	}
	if c, err := s.Certificate(ctx, ids.authority, ids.serial); !errors.Is(err, ErrNotFound) || c.Serial != "" {
		t.Errorf("certificate: got %+v, %v; want %v", c, err, ErrNotFound)
	}
	if got, err := s.Session(ctx, ids.hash); !errors.Is(err, ErrNotFound) || got.IDHash != "" {
		t.Errorf("session: got %+v, %v; want %v", got, err, ErrNotFound)
	}
	refused(t, ErrNotFound)(s.UpdateFrontend(ctx, ids.client, ids.frontend, func(*Frontend) error { return nil }))
	refused(t, ErrNotFound)(s.DeleteFrontend(ctx, ids.client, ids.frontend))
	refused(t, ErrNotFound)(s.UpdateCertificate(ctx, ids.authority, ids.serial, func(*Certificate) error { return nil }))
	refused(t, ErrNotFound)(s.DeleteSession(ctx, ids.hash))
	if ids.client != "b" {
		ids.clientIsUnknown(t, s)
	}
	if got := found[[]Certificate](t)(s.Certificates(ctx, ids.client, ids.frontend, "", 0)); ids.frontend != "" && len(got) > 0 {
		t.Errorf("certificates: got %+v, want none", got)
	}
	if got := found[[]Session](t)(s.SessionsOf(ctx, ids.client)); len(got) > 0 {
		t.Errorf("sessions: got %+v, want none", got)
	}
	if n := found[int](t)(s.SweepFrontend(ctx, ids.client, ids.frontend)); n > 0 {
		t.Errorf("sweep frontend: got %d, want 0", n)
	}
	if n := found[int](t)(s.SweepClient(ctx, ids.client)); n > 0 {
		t.Errorf("sweep client: got %d, want 0", n)
	}
	_, err := s.DeleteSessionsOf(ctx, ids.client)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Errorf("delete sessions: got %v, want nil or %v", err, ErrNotFound)
	}
	put := newCertificate(ids.client, ids.frontend, "99")
	if rev, err := s.PutCertificate(ctx, put); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrInvalid) {
		t.Errorf("put certificate: got %d, %v; want %v", rev, err, ErrNotFound)
	}
}

// clientIsUnknown calls the methods that need nothing but the client.
func (ids foreign) clientIsUnknown(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	if c, err := s.Client(ctx, ids.client); !errors.Is(err, ErrNotFound) || c.UUID != "" {
		t.Errorf("client: got %+v, %v; want %v", c, err, ErrNotFound)
	}
	if all, err := s.Frontends(ctx, ids.client, "", 0); !errors.Is(err, ErrNotFound) || all != nil {
		t.Errorf("frontends: got %+v, %v; want %v", all, err, ErrNotFound)
	}
	refused(t, ErrNotFound)(s.UpdateClient(ctx, ids.client, func(*Client) error { return nil }))
	refused(t, ErrNotFound)(s.DeleteClient(ctx, ids.client, at))
}
