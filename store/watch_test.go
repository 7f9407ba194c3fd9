package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWatchDeliversSetsAndDeletesInOrder(t *testing.T) {
	b := openEngine(t)
	from := b.Revision()
	first := set1(t, b, "before", "x")
	w := b.Watch("", from)
	defer w.Stop()
	second, err := b.Update(t.Context(), func(tx Txn) error {
		tx.Set("b", []byte("2"))
		tx.Set("a", []byte("1"))
		tx.Delete("before")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	third := set1(t, b, "a", "3")
	want := []Change{
		{Revision: first, Key: "before", Value: []byte("x"), Last: true},
		{Revision: second, Key: "a", Value: []byte("1")},
		{Revision: second, Key: "b", Value: []byte("2")},
		{Revision: second, Key: "before", Deleted: true, Last: true},
		{Revision: third, Key: "a", Value: []byte("3"), Last: true},
	}
	for i, c := range want {
		if diff := cmp.Diff(c, next(t, w)); diff != "" {
			t.Errorf("change %d (-want +got):\n%s", i, diff)
		}
	}
	quiet(t, w)
}

func TestWatchBeginsAfterItsRevision(t *testing.T) {
	b := openEngine(t)
	revs := []uint64{b.Revision()}
	for i := range 5 {
		revs = append(revs, set1(t, b, fmt.Sprintf("k%d", i), ""))
	}
	for i, from := range revs[:5] {
		w := b.Watch("", from)
		if c := next(t, w); c.Revision != revs[i+1] || c.Resync {
			t.Errorf("from %d: %+v", from, c)
		}
		w.Stop()
	}
	ahead := b.Watch("", revs[5]+1) // a revision that is not there yet
	defer ahead.Stop()
	quiet(t, ahead)
	for b.Revision() <= revs[5]+1 {
		quiet(t, ahead)
		set1(t, b, fmt.Sprint("at ", b.Revision()), "")
	}
	if c := next(t, ahead); c.Revision != b.Revision() {
		t.Errorf("got %+v", c)
	}
}

func TestWatchWithAPrefix(t *testing.T) {
	b := openEngine(t)
	w := b.Watch("a/", b.Revision())
	defer w.Stop()
	set1(t, b, "b/1", "")
	rev := set1(t, b, "a/1", "")
	set1(t, b, "a", "")
	if c := next(t, w); c.Key != "a/1" || c.Revision != rev {
		t.Errorf("got %+v", c)
	}
	quiet(t, w)
}

func TestWatchResyncsAfterARestart(t *testing.T) {
	dir := t.TempDir()
	b := reopen(t, dir, BadgerConfig{})
	set1(t, b, "a", "")
	set1(t, b, "b", "")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = reopen(t, dir, BadgerConfig{})
	behind, uptodate := b.Watch("", 1), b.Watch("", 2)
	defer behind.Stop()
	defer uptodate.Stop()
	if diff := cmp.Diff(Change{Revision: 2, Resync: true}, next(t, behind)); diff != "" {
		t.Errorf("resync (-want +got):\n%s", diff)
	}
	if rev := set1(t, b, "c", ""); rev != 3 {
		t.Errorf("revision %d after the restart, want 3", rev)
	}
	for _, w := range []*Watcher{behind, uptodate} {
		if c := next(t, w); c.Revision != 3 || c.Resync {
			t.Errorf("after the restart: %+v", c)
		}
	}
}

func TestSlowWatcherGetsOneResyncAndHoldsNobodyUp(t *testing.T) {
	b := openEngine(t, 8)
	slow, fast := b.Watch("", b.Revision()), b.Watch("", b.Revision())
	defer slow.Stop()
	defer fast.Stop()
	for i := range 20 {
		rev := set1(t, b, "k", fmt.Sprint(i))
		if c := next(t, fast); c.Resync || c.Revision != rev {
			t.Fatalf("fast: %+v", c)
		}
	}
	if c := next(t, slow); !c.Resync || c.Revision != b.Revision() {
		t.Errorf("slow: %+v", c)
	}
	quiet(t, slow)
	rev := set1(t, b, "k", "")
	if c := next(t, slow); c.Resync || c.Revision != rev {
		t.Errorf("after the resync: %+v", c)
	}
}

// A revision is in the log whole or not at all, or a watcher would see half an update.
func TestWatchLogDropsWholeRevisions(t *testing.T) {
	l := newChangeLog(0, 4, 1<<20)
	for rev := uint64(1); rev <= 3; rev++ {
		l.publish([]Change{{Revision: rev, Key: "a"}, {Revision: rev, Key: "b"}, {Revision: rev, Key: "c", Last: true}}, rev)
	}
	if len(l.entries) != 3 || l.floor != 2 || l.entries[0].Revision != 3 {
		t.Errorf("%d entries above %d", len(l.entries), l.floor)
	}
	if c := next(t, l.watch("", 1)); !c.Resync {
		t.Errorf("from 1: %+v", c)
	}
	if c := next(t, l.watch("", 2)); c.Resync || c.Key != "a" {
		t.Errorf("from 2: %+v", c)
	}
}

func TestWatchLogIsBoundedInBytes(t *testing.T) {
	l := newChangeLog(0, 1000, 10_000)
	for rev := uint64(1); rev <= 100; rev++ {
		l.publish([]Change{{Revision: rev, Key: "k", Value: make([]byte, 1000), Last: true}}, rev)
		if l.bytes > 10_000 {
			t.Fatalf("%d bytes", l.bytes)
		}
	}
	if n := len(l.entries); n < 5 || n > 10 {
		t.Errorf("%d entries left", n)
	}
	l.publish([]Change{{Revision: 101, Key: "k", Value: make([]byte, 20_000), Last: true}}, 101)
	if len(l.entries) != 0 || l.bytes != 0 || l.floor != 101 {
		t.Errorf("%d entries, %d bytes, floor %d after one that is too large", len(l.entries), l.bytes, l.floor)
	}
}

// Many writers, many watchers: each watcher sees every revision once and in order.
func TestWatchersSeeEveryRevisionInOrder(t *testing.T) {
	b := openEngine(t)
	const writers, each = 8, 40
	var group sync.WaitGroup
	from := b.Revision()
	seen := make([][]uint64, 4)
	for i := range seen {
		w := b.Watch("", from)
		group.Go(func() {
			defer w.Stop()
			last := from
			for range writers * each {
				c, err := w.Next(t.Context())
				if err != nil || c.Revision <= last || !c.Last {
					t.Errorf("after revision %d: %+v, %v", last, c, err)
					return
				}
				last = c.Revision
				seen[i] = append(seen[i], last)
			}
		})
	}
	for i := range writers {
		group.Go(func() {
			for j := range each {
				set1(t, b, fmt.Sprintf("k%d", i), fmt.Sprint(j))
			}
		})
	}
	group.Wait()
	for _, one := range seen {
		if !slices.Equal(one, seen[0]) || one[len(one)-1] != b.Revision() {
			t.Errorf("one watcher saw %d revisions, and another %d others", len(one), len(seen[0]))
		}
	}
}

func TestWatchEndsWithStopAndClose(t *testing.T) {
	b := openEngine(t)
	stopped, closed := b.Watch("", b.Revision()), b.Watch("", b.Revision())
	errs := make(chan error, 2)
	for _, w := range []*Watcher{stopped, closed} {
		go func() {
			_, err := w.Next(t.Context())
			errs <- err
		}()
	}
	stopped.Stop()
	stopped.Stop()
	if err := <-errs; !errors.Is(err, ErrClosed) {
		t.Errorf("stopped: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	closed.Stop()
	if _, err := b.Watch("", 0).Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("watch after close: %v", err)
	}
}
