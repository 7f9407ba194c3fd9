package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWatchDeliversSetsAndDeletesInOrder(t *testing.T) {
	b := openEngine(t, BadgerConfig{})
	set1(t, b, "before", "x")
	w := b.Watch("", 0)
	defer w.Stop()
	if _, err := b.Update(t.Context(), func(tx Txn) error {
		tx.Set("b", []byte("2"))
		tx.Set("a", []byte("1"))
		tx.Delete("before")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	set1(t, b, "a", "3")
	want := []Change{
		{Revision: 1, Key: "before", Value: []byte("x"), Last: true},
		{Revision: 2, Key: "a", Value: []byte("1")},
		{Revision: 2, Key: "b", Value: []byte("2")},
		{Revision: 2, Key: "before", Deleted: true, Last: true},
		{Revision: 3, Key: "a", Value: []byte("3"), Last: true},
	}
	for i, c := range want {
		if diff := cmp.Diff(c, next(t, w)); diff != "" {
			t.Errorf("change %d (-want +got):\n%s", i, diff)
		}
	}
	quiet(t, w)
}

func TestWatchBeginsAfterItsRevision(t *testing.T) {
	b := openEngine(t, BadgerConfig{})
	for i := range 5 {
		set1(t, b, fmt.Sprintf("k%d", i), "")
	}
	for from := range uint64(5) {
		w := b.Watch("", from)
		if c := next(t, w); c.Revision != from+1 || c.Resync {
			t.Errorf("from %d: %+v", from, c)
		}
		w.Stop()
	}
	ahead := b.Watch("", 6) // a revision that is not there yet
	defer ahead.Stop()
	quiet(t, ahead)
	set1(t, b, "six", "")
	quiet(t, ahead)
	set1(t, b, "seven", "")
	if c := next(t, ahead); c.Key != "seven" {
		t.Errorf("got %+v", c)
	}
}

func TestWatchWithAPrefix(t *testing.T) {
	b := openEngine(t, BadgerConfig{})
	w := b.Watch("a/", 0)
	defer w.Stop()
	set1(t, b, "b/1", "")
	set1(t, b, "a/1", "")
	set1(t, b, "a", "")
	if c := next(t, w); c.Key != "a/1" || c.Revision != 2 {
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
	b := openEngine(t, BadgerConfig{WatchLog: 8})
	slow, fast := b.Watch("", 0), b.Watch("", 0)
	defer slow.Stop()
	defer fast.Stop()
	for i := range 20 {
		set1(t, b, "k", fmt.Sprint(i))
		if c := next(t, fast); c.Resync || c.Revision != uint64(i+1) {
			t.Fatalf("fast: %+v", c)
		}
	}
	if c := next(t, slow); !c.Resync || c.Revision != 20 {
		t.Errorf("slow: %+v", c)
	}
	quiet(t, slow)
	set1(t, b, "k", "")
	if c := next(t, slow); c.Resync || c.Revision != 21 {
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
	b := openEngine(t, BadgerConfig{})
	const writers, each = 8, 40
	var group sync.WaitGroup
	for range 4 {
		w := b.Watch("", 0)
		group.Go(func() {
			defer w.Stop()
			for rev := uint64(1); rev <= writers*each; rev++ {
				if c, err := w.Next(t.Context()); err != nil || c.Revision != rev || !c.Last {
					t.Errorf("want revision %d: %+v, %v", rev, c, err)
					return
				}
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
}

func TestWatchEndsWithStopAndClose(t *testing.T) {
	b := openEngine(t, BadgerConfig{})
	stopped, closed := b.Watch("", 0), b.Watch("", 0)
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
