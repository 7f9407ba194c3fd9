package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// nextRecord waits for one record, at most ten seconds.
func nextRecord(t testing.TB, w *RecordWatcher) Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return found[Record](t)(w.Next(ctx))
}

// mirror is what a reader of WatchRecords keeps: it begins with a snapshot and applies what comes.
type mirror struct {
	store   *Store
	watcher *RecordWatcher
	rev     uint64
	data    map[string]any
	resyncs int
}

func newMirror(t testing.TB, s *Store) *mirror {
	m := &mirror{store: s}
	m.load(t)
	m.watcher = s.WatchRecords(m.rev)
	t.Cleanup(m.watcher.Stop)
	return m
}

func (m *mirror) load(t testing.TB) {
	t.Helper()
	snap := found[Snapshot](t)(m.store.Snapshot(t.Context()))
	m.rev, m.data = max(m.rev, snap.Revision), snapshotMap(snap)
}

func snapshotMap(snap Snapshot) map[string]any {
	all := map[string]any{}
	for _, c := range snap.Clients {
		all[key(kindClient, c.UUID)] = c
	}
	for _, f := range snap.Frontends {
		all[key(kindFrontend, f.ClientID, f.UUID)] = f
	}
	for _, c := range snap.Certificates {
		all[c.key()] = c
	}
	return all
}

// follow applies records until everything up to a revision is known.
func (m *mirror) follow(t testing.TB, rev uint64) {
	t.Helper()
	for m.rev < rev {
		record := nextRecord(t, m.watcher)
		if record.Revision < m.rev {
			t.Fatalf("revision %d came after %d", record.Revision, m.rev)
		}
		m.rev = record.Revision
		m.apply(t, record)
	}
}

func (m *mirror) apply(t testing.TB, record Record) {
	t.Helper()
	gone := record.Deleted
	switch {
	case record.Resync:
		m.resyncs++
		m.load(t)
	case record.Client != nil:
		m.data[key(kindClient, record.Client.UUID)] = *record.Client
	case record.Frontend != nil:
		m.data[key(kindFrontend, record.Frontend.ClientID, record.Frontend.UUID)] = *record.Frontend
	case record.Certificate != nil:
		m.data[record.Certificate.key()] = *record.Certificate
	case gone.Kind == KindClient:
		delete(m.data, key(kindClient, gone.Client))
		for k, v := range m.data { // a snapshot leaves them out too
			if f, ok := v.(Frontend); ok && f.ClientID == gone.Client {
				delete(m.data, k)
			}
		}
	case gone.Kind == KindFrontend:
		delete(m.data, key(kindFrontend, gone.Client, gone.Frontend))
	case gone.Kind == KindCertificate:
		delete(m.data, key(kindCertificate, gone.Client, gone.Serial, gone.Authority))
	}
}

// operation does something at random to few enough records that they meet often.
func operation(ctx context.Context, s *Store, r *rand.Rand, now time.Time) (err error) {
	client, id := fmt.Sprintf("c%d", r.IntN(4)), fmt.Sprintf("f%d", r.IntN(3))
	serial := fmt.Sprintf("%02x", r.IntN(12))
	switch r.IntN(14) {
	case 0, 1:
		_, err = s.CreateClient(ctx, Client{UUID: client, CreatedAt: now})
	case 2:
		_, err = s.UpdateClient(ctx, client, func(c *Client) error { c.Name += "+"; return nil })
	case 3:
		_, err = s.DeleteClient(ctx, client, now)
	case 4:
		_, err = s.SweepClient(ctx, client)
	case 5, 6:
		_, err = s.CreateFrontend(ctx, newFrontend(client, id), 2)
	case 7:
		_, err = s.UpdateFrontend(ctx, client, id, func(f *Frontend) error { f.Name += "+"; return nil })
	case 8:
		_, err = s.DeleteFrontend(ctx, client, id)
	case 9, 10:
		c := newCertificate(client, id, serial)
		c.NotAfter = now.Add(time.Minute)
		_, err = s.PutCertificate(ctx, c)
	case 11:
		_, err = s.UpdateCertificate(ctx, "ca", serial, func(c *Certificate) error { c.RevokedAt = &now; return nil })
	case 12:
		_, err = s.SweepExpired(ctx, now.Add(KeepExpired), 2)
	case 13: // what nobody watches must not disturb
		_, err = s.PutSession(ctx, newSession(client, client+serial))
	}
	for _, expected := range []error{ErrNotFound, ErrExists, ErrLimit} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}

func TestReplayOfRecordsEqualsAFreshSnapshot(t *testing.T) {
	for _, c := range []struct {
		name     string
		watchLog int
		every    int // operations between two looks
		resync   bool
	}{
		{"in step", 0, 1, false},
		{"behind", 0, 40, false},
		{"too far behind", 8, 40, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			const seed = 20261123
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			s := found[*Store](t)(New(openEngine(t, c.watchLog)))
			mirrors := []*mirror{newMirror(t, s)}
			for i := range 300 {
				if err := operation(t.Context(), s, r, at.Add(time.Duration(i)*time.Second)); err != nil {
					t.Fatalf("operation %d: %v", i, err)
				}
				if i%c.every == 0 {
					compareMirrors(t, s, mirrors)
				}
				if i%100 == 50 { // one that begins late has to get there too
					mirrors = append(mirrors, newMirror(t, s))
				}
			}
			compareMirrors(t, s, mirrors)
			if resynced := mirrors[0].resyncs > 0; resynced != c.resync {
				t.Errorf("got %d resyncs, want any: %v", mirrors[0].resyncs, c.resync)
			}
		})
	}
}

func compareMirrors(t *testing.T, s *Store, mirrors []*mirror) {
	t.Helper()
	snap := found[Snapshot](t)(s.Snapshot(t.Context()))
	for i, m := range mirrors {
		m.follow(t, snap.Revision)
		if diff := cmp.Diff(snapshotMap(snap), m.data); diff != "" {
			t.Fatalf("mirror %d at revision %d (-want +got):\n%s", i, snap.Revision, diff)
		}
	}
}

func TestSnapshotLeavesOutDeletedClientsWithTheirFrontends(t *testing.T) {
	s, _ := openStore(t)
	stock(t, s, "a")
	stock(t, s, "b")
	stock(t, s, "c")
	rev := done(t)(s.DeleteClient(t.Context(), "b", at))
	snap := found[Snapshot](t)(s.Snapshot(t.Context()))
	if got := clientIDs(snap.Clients); got != "a c" || snap.Revision != rev {
		t.Errorf("got %q at %d, want %q at %d", got, snap.Revision, "a c", rev)
	}
	for _, f := range snap.Frontends {
		if f.ClientID == "b" {
			t.Errorf("got %+v, want none of a deleted client", f)
		}
	}
	if len(snap.Frontends) != 4 {
		t.Errorf("got %d frontends, want 4", len(snap.Frontends))
	}
}

func TestDeletionsArriveWithTheirIDs(t *testing.T) {
	s, _ := openStore(t)
	ctx := t.Context()
	stock(t, s, "c")
	w := s.WatchRecords(done(t)(s.DeleteFrontend(ctx, "c", "f2")) - 1)
	defer w.Stop()
	found[int](t)(s.SweepFrontend(ctx, "c", "f2"))
	done(t)(s.DeleteClient(ctx, "c", at))
	last := done(t)(s.CreateClient(ctx, Client{UUID: "last"}))
	want := []Deleted{
		{Kind: KindFrontend, Client: "c", Frontend: "f2"},
		{Kind: KindCertificate, Client: "c", Authority: "ca", Serial: "c03"},
		{Kind: KindClient, Client: "c"}, // when it is marked, before anything is swept
	}
	var got []Deleted
	for record := nextRecord(t, w); record.Revision < last; record = nextRecord(t, w) {
		if record.Deleted.Kind != "" {
			got = append(got, record.Deleted)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A reader waits for its own revision, so one that changed nothing to watch must arrive as well, and
// a revision must not be said to be complete before its last record.
func TestEveryRevisionIsToldWhenItIsComplete(t *testing.T) {
	s, _ := openStore(t)
	addClients(t, s, "c")
	secret := done(t)(s.PutSecret(t.Context(), Secret{Name: "n"}))
	w := s.WatchRecords(secret - 1)
	defer w.Stop()
	if diff := cmp.Diff(Record{Revision: secret}, nextRecord(t, w)); diff != "" {
		t.Errorf("secret (-want +got):\n%s", diff)
	}
	raw := s.WatchRecords(secret - 1)
	defer raw.Stop()
	if change, err := raw.NextChange(t.Context()); err != nil || change.Key != "" || change.Value != nil || change.Revision != secret {
		t.Errorf("a change with a secret, for another process: %+v, %v, want its revision alone", change, err)
	}
	rev := done(t)(s.CreateFrontend(t.Context(), newFrontend("c", "f"), 0))
	client, frontend, rest := nextRecord(t, w), nextRecord(t, w), nextRecord(t, w) // its revision is written after it
	if client.Client == nil || client.Client.Frontends != 1 || client.Client.Revision != rev || client.Revision != rev-1 {
		t.Errorf("got %+v, want the client of revision %d, not yet complete", client, rev)
	}
	if frontend.Frontend == nil || frontend.Frontend.UUID != "f" || frontend.Frontend.Revision != rev || frontend.Revision != rev-1 {
		t.Errorf("got %+v, want the frontend of revision %d, not yet complete", frontend, rev)
	}
	if diff := cmp.Diff(Record{Revision: rev}, rest); diff != "" {
		t.Errorf("the end of the revision (-want +got):\n%s", diff)
	}
}

func TestRecordWatcherThatFellBehindIsToldOnce(t *testing.T) {
	s := found[*Store](t)(New(openEngine(t, 3)))
	w := s.WatchRecords(found[Snapshot](t)(s.Snapshot(t.Context())).Revision)
	addClients(t, s, "a", "b", "c", "d", "e")
	newest := found[Snapshot](t)(s.Snapshot(t.Context())).Revision
	if diff := cmp.Diff(Record{Revision: newest, Resync: true}, nextRecord(t, w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	addClients(t, s, "f")
	if got := nextRecord(t, w); got.Client == nil || got.Client.UUID != "f" {
		t.Errorf("got %+v, want what came after", got)
	}
	w.Stop()
	if got, err := w.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %+v, %v; want %v", got, err, ErrClosed)
	}
}

// A record that cannot be decoded is left out of lists and snapshots, which name it, and is gone to a watcher until it is
// written again.
func TestUnreadableRecordCostsItselfAlone(t *testing.T) {
	engine := openEngine(t)
	s := found[*Store](t)(New(engine))
	for i := range 3 {
		f := Frontend{ClientID: "c", UUID: fmt.Sprintf("f%d", i), AccessKey: fmt.Sprintf("k%d", i), Name: "orders"}
		if _, err := engine.Update(t.Context(), func(tx Txn) error { return set(tx, key(kindFrontend, "c", f.UUID), f) }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := engine.Update(t.Context(), func(tx Txn) error { return set(tx, key(kindClient, "c"), Client{UUID: "c"}) }); err != nil {
		t.Fatal(err)
	}
	before := found[Snapshot](t)(s.Snapshot(t.Context()))
	w := s.WatchRecords(before.Revision)
	defer w.Stop()
	damaged := key(kindFrontend, "c", "f1")
	if _, err := engine.Update(t.Context(), func(tx Txn) error { tx.Set(damaged, []byte(`{"name":7}`)); return nil }); err != nil {
		t.Fatal(err)
	}
	if r := nextRecord(t, w); !r.Unreadable || r.Key != damaged || r.Deleted != (Deleted{Kind: KindFrontend, Client: "c", Frontend: "f1"}) || r.Revision <= before.Revision {
		t.Errorf("the watcher got %+v, want that f1 is gone because it cannot be read", r)
	}
	after := found[Snapshot](t)(s.Snapshot(t.Context()))
	if len(after.Frontends) != 2 || len(after.Unreadable) != 1 || after.Unreadable[0] != damaged {
		t.Errorf("the snapshot has %d frontends and names %v, want 2 and %s", len(after.Frontends), after.Unreadable, damaged)
	}
	page := found[[]Frontend](t)(s.Frontends(t.Context(), "c", "", 2))
	if len(page) != 2 || page[1].UUID != "f2" {
		t.Errorf("a page of two has %v, want f0 and f2", page)
	}
	if _, err := s.Frontend(t.Context(), "c", "f1"); !errors.Is(err, ErrUnreadable) {
		t.Errorf("reading it alone: %v, want ErrUnreadable", err)
	}
	mended := Frontend{ClientID: "c", UUID: "f1", AccessKey: "k1"}
	if _, err := engine.Update(t.Context(), func(tx Txn) error { return set(tx, damaged, mended) }); err != nil {
		t.Fatal(err)
	}
	if r := nextRecord(t, w); r.Unreadable || r.Frontend == nil || r.Key != damaged {
		t.Errorf("the watcher got %+v, want f1 again", r)
	}
}
