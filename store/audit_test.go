package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// by is an operation of a client, for the chains of some.
func by(t *testing.T, actor, action string, chains ...string) context.Context {
	t.Helper()
	var entries []Audit
	for _, chain := range chains {
		entries = append(entries, Audit{At: at, ClientID: chain, ActorID: actor, Action: action, Outcome: AuditDone})
	}
	return WithAudit(t.Context(), entries...)
}

func audits(t *testing.T, s *Store, client string) []Audit {
	t.Helper()
	all, last, err := s.Audits(t.Context(), client, 0, 0, 0, nil)
	if err != nil || last != 0 {
		t.Fatalf("got %d records, last %d, %v", len(all), last, err)
	}
	return all
}

// Every change writes what is different to the chains that the operation names, in the same transaction; secrets are not
// told, and what changes nothing writes nothing.
func TestChangesWriteAuditRecords(t *testing.T) {
	s, b := openStore(t)
	addClients(t, s, "c1", "root")
	rev, err := s.CreateFrontend(by(t, "c1", "frontend.create", "c1"), Frontend{
		ClientID: "c1", UUID: "f1", AccessKey: "k1", Name: "shop", Routes: []Route{{Dest: "10.0.0.1:80"}},
		Options: &Options{QueueLimit: 7, RouteTLS: RouteTLS{Key: []byte("sealed")}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := audits(t, s, "c1")
	if len(all) != 1 || all[0].Revision != rev || all[0].Seq != 1 || all[0].Action != "frontend.create" || len(all[0].Changes) != 1 {
		t.Fatalf("got %+v, want one record of revision %d", all, rev)
	}
	created := all[0].Changes[0]
	if created.Kind != "frontend" || created.ID != "f1" || string(created.After["name"]) != `"shop"` || string(created.After["options.queuelimit"]) != "7" ||
		string(created.After["options.routetls.key"]) != `"changed"` || len(created.Before) != 0 {
		t.Errorf("got %+v", created)
	}
	rename := func(f *Frontend) error { f.Name = "store"; return nil }
	if _, err := s.UpdateFrontend(by(t, "root", "frontend.update", "root", "c1"), "c1", "f1", rename); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateFrontend(by(t, "c1", "frontend.update", "c1"), "c1", "f1", rename); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpdateFrontend(by(t, "c1", "frontend.update", "c1"), "c1", "f1", func(*Frontend) error { return errors.New("refused") }); err == nil {
		t.Fatal("it was changed")
	}
	all = audits(t, s, "c1")
	if len(all) != 2 || all[0].ActorID != "root" || string(all[0].Changes[0].Before["name"]) != `"shop"` || string(all[0].Changes[0].After["name"]) != `"store"` || len(all[0].Changes[0].After) != 2 {
		t.Errorf("got %+v, want the change of the name and the revision's number alone", all)
	}
	if of := audits(t, s, "root"); len(of) != 1 || of[0].Changes[0].ID != "f1" {
		t.Errorf("the administrator's chain has %+v", of)
	}
	if _, err := s.DeleteFrontend(by(t, "c1", "frontend.delete", "c1"), "c1", "f1"); err != nil {
		t.Fatal(err)
	}
	if all := audits(t, s, "c1"); len(all) != 3 || string(all[0].Changes[len(all[0].Changes)-1].Before["name"]) != `"store"` {
		t.Errorf("after the deletion: %+v", all)
	}
	for _, value := range contentsUnder(t, b, "audit/") {
		if strings.Contains(value, "c2VhbGVk") { // sealed, in base64
			t.Error("a record tells a secret")
		}
	}
}

// chained has n records of a client.
func chained(t *testing.T, n int) (*Store, testEngine) {
	t.Helper()
	s, b := openStore(t)
	addClients(t, s, "c1")
	for i := range n {
		entry := Audit{At: at.Add(time.Duration(i) * time.Hour), ClientID: "c1", ActorID: "c1", Action: fmt.Sprintf("act-%d", i), Outcome: AuditRefused, Reason: "no"}
		if err := s.PutAudit(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	return s, b
}

func (s *Store) mustCheck(t *testing.T) AuditCheck {
	t.Helper()
	check, err := s.CheckAudit(t.Context(), "c1")
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// A bit that is another one is found, in whatever record and wherever in it, and so is a record that is missing.
func TestBrokenChainsAreFound(t *testing.T) {
	s, b := chained(t, 5)
	if got, want := s.mustCheck(t), (AuditCheck{Records: 5, First: 1, Last: 5}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	write := func(key string, value []byte) {
		if _, err := b.Update(t.Context(), func(tx Txn) error {
			if value == nil {
				tx.Delete(key)
			} else {
				tx.Set(key, value)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for seq := uint64(1); seq <= 5; seq++ {
		at := auditRecordKey("c1", seq)
		good := []byte(contents(t, b)[at])
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			write(at, bad)
			if got := s.mustCheck(t); got.Broken != seq {
				t.Fatalf("byte %d of record %d: got %+v", i, seq, got)
			}
		}
		write(at, nil)
		if got := s.mustCheck(t); got.Broken != seq {
			t.Errorf("without record %d: got %+v", seq, got)
		}
		write(at, good)
	}
	head := []byte(contents(t, b)["audithead/c1"])
	write("audithead/c1", nil)
	if got := s.mustCheck(t); got.Broken != 6 {
		t.Errorf("without its end: got %+v, want 6 to be missing", got)
	}
	write("audithead/c1", head)
	if got := s.mustCheck(t); got.Broken != 0 {
		t.Errorf("mended: got %+v", got)
	}
}

// Records that are too old go, and the rest is checked from where the chain was cut.
func TestChainsAreCut(t *testing.T) {
	s, _ := chained(t, 50)
	n, err := s.SweepAudit(t.Context(), at.Add(30*time.Hour), 0)
	if err != nil || n != 30 {
		t.Fatalf("%d were removed, %v, want 30", n, err)
	}
	if got, want := s.mustCheck(t), (AuditCheck{Records: 20, First: 31, Last: 50}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if all := audits(t, s, "c1"); len(all) != 20 || all[19].Seq != 31 {
		t.Errorf("%d are left, the oldest is %d", len(all), all[len(all)-1].Seq)
	}
	if n, err := s.SweepAudit(t.Context(), at.Add(100*time.Hour), 0); err != nil || n != 20 {
		t.Errorf("%d were removed, %v, want 20", n, err)
	}
	if err := s.PutAudit(t.Context(), Audit{At: at, ClientID: "c1", ActorID: "c1", Action: "later", Outcome: AuditDone}); err != nil {
		t.Fatal(err)
	}
	if got, want := s.mustCheck(t), (AuditCheck{Records: 1, First: 51, Last: 51}); got != want {
		t.Errorf("after all have gone: got %+v, want %+v", got, want)
	}
}

// A list goes on where the page before ended, and a filter that fits little looks at so many records at a time.
func TestAuditPages(t *testing.T) {
	s, _ := chained(t, 30)
	var seen []uint64
	before := uint64(0)
	for {
		page, last, err := s.Audits(t.Context(), "c1", before, 7, 0, func(a Audit) bool { return a.Seq%2 == 0 })
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			seen = append(seen, a.Seq)
		}
		if before = last; last == 0 {
			break
		}
	}
	if len(seen) != 15 || seen[0] != 30 || seen[14] != 2 || !slices.IsSortedFunc(seen, func(a, b uint64) int { return int(b) - int(a) }) {
		t.Errorf("got %v", seen)
	}
	if page, last, err := s.Audits(t.Context(), "c1", 0, 7, 10, func(Audit) bool { return false }); err != nil || len(page) != 0 || last != 21 {
		t.Errorf("of ten that fit nothing: %d records, last %d, %v, want to go on before 21", len(page), last, err)
	}
	if page, last, err := s.Audits(t.Context(), "nobody", 0, 7, 0, nil); err != nil || len(page) != 0 || last != 0 {
		t.Errorf("of nobody: %d records, last %d, %v", len(page), last, err)
	}
}
