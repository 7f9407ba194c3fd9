package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newCertificate(client, frontend, serial string) Certificate {
	return Certificate{
		Serial: serial, Authority: "ca", Fingerprint: "print", ClientID: client, FrontendID: frontend,
		Name: "laptop", KeyType: "ed25519", SPKI: "spki",
		NotBefore: at, NotAfter: at.Add(90 * 24 * time.Hour), IssuedAt: at,
	}
}

func addCertificates(t testing.TB, s *Store, client, frontend string, serials ...string) {
	t.Helper()
	for _, serial := range serials {
		done(t)(s.PutCertificate(t.Context(), newCertificate(client, frontend, serial)))
	}
}

func serials(certificates []Certificate) string {
	all := make([]string, len(certificates))
	for i, c := range certificates {
		all[i] = c.Serial
	}
	return strings.Join(all, " ")
}

func TestCertificateIsFoundByAuthorityAndSerial(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	one, two := newCertificate("c", "f", "01"), newCertificate("c", "f", "01")
	two.Authority = "ca2" // the same serial from another authority is another certificate
	one.Revision = done(t)(s.PutCertificate(t.Context(), one))
	two.Revision = done(t)(s.PutCertificate(t.Context(), two))
	for _, want := range []Certificate{one, two} {
		if diff := cmp.Diff(want, found[Certificate](t)(s.Certificate(t.Context(), want.Authority, want.Serial))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for _, id := range [][2]string{{"ca3", "01"}, {"ca", "02"}, {"ca", "0"}, {"", "01"}, {"ca", ""}, {"ca/01", "x"}} {
		if got, err := s.Certificate(t.Context(), id[0], id[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %+v, %v; want %v", id, got, err, ErrNotFound)
		}
	}
}

func TestCertificateThatIsRefused(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c", "d")
	addFrontends(t, s, "c", "f")
	addFrontends(t, s, "d", "g")
	addCertificates(t, s, "c", "f", "01")
	before := contents(t, b)
	for _, c := range []struct {
		name                     string
		client, frontend, serial string
		want                     error
	}{
		{"no client", "x", "f", "02", ErrNotFound},
		{"no frontend", "c", "x", "02", ErrNotFound},
		{"another client's frontend", "c", "g", "02", ErrNotFound},
		{"the same again", "c", "f", "01", ErrExists},
		{"another client's serial", "d", "g", "01", ErrExists},
		{"serial with a slash", "c", "f", "0/2", ErrInvalid},
		{"no serial", "c", "f", "", ErrInvalid},
		{"long frontend", "c", strings.Repeat("f", 201), "02", ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, c.want)(s.PutCertificate(t.Context(), newCertificate(c.client, c.frontend, c.serial)))
			if diff := cmp.Diff(before, contents(t, b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCertificatesAreListedByClientOrFrontendInPages(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c", "c2")
	addFrontends(t, s, "c", "f1", "f11", "f2")
	addFrontends(t, s, "c2", "f1")
	addCertificates(t, s, "c", "f1", "05", "01", "03")
	addCertificates(t, s, "c", "f11", "02")
	addCertificates(t, s, "c", "f2", "04")
	addCertificates(t, s, "c2", "f1", "00")
	for _, c := range []struct {
		client, frontend, after string
		limit                   int
		want                    string
	}{
		{"c", "", "", 0, "01 02 03 04 05"},
		{"c", "", "", 2, "01 02"},
		{"c", "", "02", 2, "03 04"},
		{"c", "", "025", 1, "03"},
		{"c", "", "05", 0, ""},
		{"c", "f1", "", 0, "01 03 05"},
		{"c", "f1", "", 1, "01"},
		{"c", "f1", "01", 1, "03"},
		{"c", "f1", "02", 0, "03 05"},
		{"c", "f1", "05", 0, ""},
		{"c", "f11", "", 0, "02"},
		{"c2", "", "", 0, "00"},
		{"c2", "f2", "", 0, ""},
		{"nobody", "", "", 0, ""},
		{"c/f1", "", "", 0, ""},
		{"c", "f1/01", "", 0, ""},
	} {
		if got := serials(found[[]Certificate](t)(s.Certificates(t.Context(), c.client, c.frontend, c.after, c.limit))); got != c.want {
			t.Errorf("%+v: got %q, want %q", c, got, c.want)
		}
	}
}

func TestCertificateIsRevokedAndKeepsWhatItIs(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	addCertificates(t, s, "c", "f", "01")
	want := newCertificate("c", "f", "01")
	want.RevokedAt, want.RevokedReason = &at, "lost"
	want.Revision = done(t)(s.UpdateCertificate(t.Context(), "ca", "01", func(c *Certificate) error {
		c.Serial, c.Authority, c.ClientID, c.FrontendID = "x", "x", "x", "x"
		c.RevokedAt, c.RevokedReason = &at, "lost"
		return nil
	}))
	for name, got := range map[string][]Certificate{
		"one":         {found[Certificate](t)(s.Certificate(t.Context(), "ca", "01"))},
		"of client":   found[[]Certificate](t)(s.Certificates(t.Context(), "c", "", "", 0)),
		"of frontend": found[[]Certificate](t)(s.Certificates(t.Context(), "c", "f", "", 0)),
	} {
		if diff := cmp.Diff([]Certificate{want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	refused(t, ErrNotFound)(s.UpdateCertificate(t.Context(), "ca", "02", func(*Certificate) error { return nil }))
	refused(t, ErrNotFound)(s.UpdateCertificate(t.Context(), "ca/01", "", func(*Certificate) error { return nil }))
}

// A frontend goes at once and its certificates later; meanwhile they can be listed and revoked.
func TestCertificateOfADeletedFrontendCanBeRevoked(t *testing.T) {
	s, _ := openStore(t)
	stock(t, s, "c")
	done(t)(s.DeleteFrontend(t.Context(), "c", "f1"))
	done(t)(s.UpdateCertificate(t.Context(), "ca", "c01", func(c *Certificate) error { c.RevokedAt = &at; return nil }))
	all := found[[]Certificate](t)(s.Certificates(t.Context(), "c", "f1", "", 0))
	if serials(all) != "c01 c02" || all[0].RevokedAt == nil {
		t.Errorf("got %+v, want both, the first revoked", all)
	}
}

func TestExpiredCertificateIsKeptForThirtyDays(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	before := allKeys(t, b)
	addCertificates(t, s, "c", "f", "01")
	due := newCertificate("c", "f", "01").NotAfter.Add(30 * 24 * time.Hour)
	if n := found[int](t)(s.SweepExpired(t.Context(), due.Add(-time.Second), 0)); n != 0 {
		t.Errorf("got %d removed a second early, want 0", n)
	}
	found[Certificate](t)(s.Certificate(t.Context(), "ca", "01"))
	if n := found[int](t)(s.SweepExpired(t.Context(), due, 0)); n != 1 {
		t.Errorf("got %d removed, want 1", n)
	}
	if diff := cmp.Diff(before, allKeys(t, b)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	addCertificates(t, s, "c", "f", "01") // its serial is free again
}

func TestNewExpiryOfACertificateReplacesTheOldOne(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	addCertificates(t, s, "c", "f", "01")
	old := newCertificate("c", "f", "01").NotAfter
	moved := old.Add(time.Hour)
	done(t)(s.UpdateCertificate(t.Context(), "ca", "01", func(c *Certificate) error { c.NotAfter = moved; return nil }))
	if n := found[int](t)(s.SweepExpired(t.Context(), old.Add(KeepExpired), 0)); n != 0 {
		t.Errorf("got %d removed at the old time, want 0", n)
	}
	if n := found[int](t)(s.SweepExpired(t.Context(), moved.Add(KeepExpired), 0)); n != 1 {
		t.Errorf("got %d removed at the new time, want 1", n)
	}
}

// Once a revocation is saved, no certificate follows the revoked one: otherwise a renewal that is under way
// would escape it.
func TestCertificateFollowsOnlyAGoodOne(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c", "d")
	addFrontends(t, s, "c", "f", "g")
	addFrontends(t, s, "d", "h")
	addCertificates(t, s, "c", "f", "01", "02")
	follow := func(client, frontend, serial, renews string) error {
		c := newCertificate(client, frontend, serial)
		c.Renews, c.RenewsAuthority = renews, "ca"
		_, err := s.PutCertificate(t.Context(), c)
		return err
	}
	if err := follow("c", "f", "11", "01"); err != nil {
		t.Fatal(err)
	}
	done(t)(s.UpdateCertificate(t.Context(), "ca", "01", func(c *Certificate) error { c.RevokedAt = &at; return nil }))
	for name, err := range map[string]error{
		"revoked": follow("c", "f", "12", "01"), "of another frontend": follow("c", "g", "13", "02"),
		"of another client": follow("d", "h", "14", "02"), "not there": follow("c", "f", "15", "03"),
	} {
		if !errors.Is(err, ErrRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := serials(found[[]Certificate](t)(s.Certificates(t.Context(), "c", "", "", 0))); got != "01 02 11" {
		t.Errorf("stored %s, want 01 02 11", got)
	}
}

// A certificate that was saved after others were counted waits for another count.
func TestPutCertificateAsOf(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	addFrontends(t, s, "c", "f")
	first := newCertificate("c", "f", "01")
	rev, err := s.PutCertificateAsOf(t.Context(), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	second := newCertificate("c", "f", "02")
	if newest, err := s.PutCertificateAsOf(t.Context(), second, rev-1); !errors.Is(err, ErrConflict) || newest != rev {
		t.Errorf("counted before: %d, %v; want %d", newest, err, rev)
	}
	if _, err := s.PutCertificateAsOf(t.Context(), second, rev); err != nil {
		t.Error(err)
	}
	if _, err := s.DeleteClient(t.Context(), "c", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SweepClient(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get1(t, s.engine, key(kindIssued, "c")); !errors.Is(err, ErrNotFound) {
		t.Errorf("it outlives its client: %v", err)
	}
}
