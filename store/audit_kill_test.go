package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// childChange is a writer that creates frontends and changes them, each with a record of who did it.
func childChange(b *Badger, writer int, out *sync.Mutex) {
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	s, err := New(b)
	if err != nil {
		say("error %v", err)
		return
	}
	client := fmt.Sprintf("client-%d", writer%2) // two write to the same chain
	ctx := context.Background()
	if _, err := s.CreateClient(ctx, Client{UUID: client, Name: "x"}); err != nil && !errors.Is(err, ErrExists) {
		say("error %v", err)
		return
	}
	audited := func(action, object string) context.Context {
		return WithAudit(ctx, Audit{ClientID: client, ActorID: client, Action: action, Object: object, Outcome: AuditDone})
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("f%d-%d-%d", writer, os.Getpid(), i)
		_, err := s.CreateFrontend(audited("frontend.create", id), Frontend{UUID: id, ClientID: client, AccessKey: "key-" + id, Name: id}, 0)
		if err != nil {
			say("error %v", err)
			return
		}
		for n := range 5 {
			rev, err := s.UpdateFrontend(audited("frontend.update", id), client, id, func(f *Frontend) error {
				f.Name = fmt.Sprintf("%s, %d", id, n)
				f.UpdatedAt = time.Now()
				return nil
			})
			if err != nil {
				say("error %v", err)
				return
			}
			say("ok %s %d", client+"/"+id, rev)
		}
	}
}

// A process that is killed leaves no change without its record, and no record without its change.
func TestKillLeavesNoChangeWithoutItsRecord(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	acked := map[string]uint64{}
	for round := range 6 {
		writeAndKill(t, dir, time.Duration(100+round*70)*time.Millisecond, acked, childAudited+"=1")
		b, err := OpenBadger(dir, BadgerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, client := range []string{"client-0", "client-1"} {
			compareWithChain(t, s, client, acked)
		}
		b.Close()
	}
	t.Logf("%d answered changes", len(acked))
}

// compareWithChain looks whether the frontends of a client and its chain tell the same story.
func compareWithChain(t *testing.T, s *Store, client string, acked map[string]uint64) {
	t.Helper()
	check, err := s.CheckAudit(t.Context(), client)
	if err != nil || check.Broken != 0 {
		t.Fatalf("%s: the chain is %+v, %v; want one that is whole", client, check, err)
	}
	records, _, err := s.Audits(t.Context(), client, 0, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	newest := map[string]uint64{} // revision of the newest record about each frontend
	count := map[string]uint64{}
	for _, r := range records {
		newest[r.Object] = max(newest[r.Object], r.Revision)
		count[r.Object]++
	}
	frontends, err := s.Frontends(t.Context(), client, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(frontends) != len(count) || len(frontends) == 0 {
		t.Errorf("%s: %d frontends, records about %d", client, len(frontends), len(count))
	}
	for _, f := range frontends {
		if f.Revision != newest[f.UUID] || f.Number != count[f.UUID] {
			t.Errorf("%s was changed %d times, at last in revision %d; the records say %d times and %d", f.UUID, f.Number, f.Revision, count[f.UUID], newest[f.UUID])
		}
		if rev := acked[client+"/"+f.UUID]; rev > f.Revision { // several were answered for each; the newest is noted
			t.Errorf("%s: revision %d was answered, %d is there", f.UUID, rev, f.Revision)
		}
	}
}
