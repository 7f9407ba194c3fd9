package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpdateReadsItsOwnWrites(t *testing.T) {
	b := openEngine(t)
	set1(t, b, "gone", "x")
	rev, err := b.Update(t.Context(), func(tx Txn) error {
		tx.Set("a", []byte("1"))
		tx.Set("empty", nil)
		tx.Delete("gone")
		if v, rev, err := tx.Get("a"); string(v) != "1" || rev != 0 || err != nil {
			t.Errorf("own write: %q, %d, %v", v, rev, err)
		}
		if v, _, err := tx.Get("empty"); len(v) != 0 || err != nil {
			t.Errorf("own empty value: %q, %v", v, err)
		}
		if _, _, err := tx.Get("gone"); !errors.Is(err, ErrNotFound) {
			t.Errorf("own delete: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v, at, err := get1(t, b, "empty"); v != "" || at != rev || err != nil {
		t.Errorf("empty value after the commit: %q, %d, %v, want revision %d", v, at, err, rev)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	b := openEngine(t)
	before := b.Revision()
	stop := errors.New("stop")
	_, err := b.Update(t.Context(), func(tx Txn) error {
		tx.Set("a", []byte("1"))
		return stop
	})
	if err != stop {
		t.Errorf("got %v, want fn's own error", err)
	}
	if _, _, err := get1(t, b, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a failed update wrote: %v", err)
	}
	if rev := b.Revision(); rev != before {
		t.Errorf("a failed update took revision %d, want %d", rev, before)
	}
}

func TestRevisionsCountOnlyWhatChanges(t *testing.T) {
	b := openEngine(t)
	update := func(fn func(Txn)) uint64 {
		rev, err := b.Update(t.Context(), func(tx Txn) error { fn(tx); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	steps := []struct {
		name string
		fn   func(Txn)
		news bool
	}{
		{"nothing", func(Txn) {}, false},
		{"two keys", func(tx Txn) { tx.Set("a", nil); tx.Set("b", nil) }, true},
		{"the same value again", func(tx Txn) { tx.Set("a", nil) }, true},
		{"only read", func(tx Txn) { _, _, _ = tx.Get("a") }, false},
		{"delete what is not there", func(tx Txn) { tx.Delete("c") }, false},
		{"delete", func(tx Txn) { tx.Delete("a") }, true},
		{"set and delete at once", func(tx Txn) { tx.Set("d", nil); tx.Delete("d") }, false},
	}
	before := b.Revision()
	for _, step := range steps {
		got := update(step.fn)
		if step.news != (got > before) || got < before || got != b.Revision() {
			t.Errorf("%s: revision %d after %d, want a new one: %t", step.name, got, before, step.news)
		}
		before = got
	}
}

func TestUpdateRefusesTooMuch(t *testing.T) {
	b := openEngine(t)
	tests := []struct {
		name string
		fn   func(Txn)
		want error
	}{
		{"100 keys", func(tx Txn) { setMany(tx, MaxKeys, 1) }, nil},
		{"101 keys", func(tx Txn) { setMany(tx, MaxKeys+1, 1) }, ErrTooLarge},
		{"120 reads", func(tx Txn) { getMany(tx, MaxReads) }, nil},
		{"121 reads", func(tx Txn) { getMany(tx, MaxReads+1) }, ErrTooLarge},
		{"1 MB", func(tx Txn) { tx.Set("k", make([]byte, MaxBytes-1)) }, nil},
		{"1 MB in 100 keys", func(tx Txn) { setMany(tx, MaxKeys, MaxBytes/MaxKeys-8) }, nil},
		{"1 MB and a byte", func(tx Txn) { tx.Set("k", make([]byte, MaxBytes)) }, ErrTooLarge},
		{"more, but replaced", func(tx Txn) { tx.Set("k", make([]byte, MaxBytes-10)); tx.Set("k", make([]byte, 9)) }, nil},
		{"empty key", func(tx Txn) { tx.Set("", nil) }, ErrInvalid},
		{"the engine's own key", func(tx Txn) { tx.Delete(revisionKey) }, ErrInvalid},
		{"Badger's own key", func(tx Txn) { tx.Set("!badger!txn", nil) }, ErrInvalid},
		{"long key", func(tx Txn) { tx.Set(strings.Repeat("k", 1025), nil) }, ErrInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := b.Revision()
			_, err := b.Update(t.Context(), func(tx Txn) error { test.fn(tx); return nil })
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if test.want != nil && b.Revision() != before {
				t.Error("it wrote all the same")
			}
		})
	}
}

func setMany(tx Txn, keys, size int) {
	for i := range keys {
		tx.Set(fmt.Sprintf("%03d", i), make([]byte, size))
	}
}

func TestValuesAreTheCallersOwn(t *testing.T) {
	b := openEngine(t)
	before := b.Revision()
	w := b.Watch("", before)
	defer w.Stop()
	value := []byte("good")
	if _, err := b.Update(t.Context(), func(tx Txn) error {
		tx.Set("k", value)
		copy(value, "evil")
		own, _, _ := tx.Get("k")
		copy(own, "evil")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	again := b.Watch("", before)
	defer again.Stop()
	copy(next(t, w).Value, "evil")
	if got := next(t, again).Value; string(got) != "good" {
		t.Errorf("watched %q", got)
	}
	_ = b.View(t.Context(), func(r Reader) error {
		v, _, _ := r.Get("k")
		copy(v, "evil")
		for item := range r.Scan("", "", 0) {
			copy(item.Value, "evil")
		}
		return nil
	})
	if got, _, _ := get1(t, b, "k"); got != "good" {
		t.Errorf("stored %q, want %q", got, "good")
	}
}

func TestViewSeesOneRevision(t *testing.T) {
	b := openEngine(t)
	first := set1(t, b, "a", "old")
	err := b.View(t.Context(), func(r Reader) error {
		set1(t, b, "a", "new")
		set1(t, b, "b", "new")
		v, rev, err := r.Get("a")
		if string(v) != "old" || rev != first || err != nil {
			t.Errorf("got %q, %d, %v", v, rev, err)
		}
		if _, _, err := r.Get("b"); !errors.Is(err, ErrNotFound) {
			t.Errorf("b: %v", err)
		}
		if r.Revision() != first {
			t.Errorf("revision %d, want %d", r.Revision(), first)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScan(t *testing.T) {
	b := openEngine(t)
	for _, k := range []string{"a/1", "a/2", "a/3", "a0", "b/1"} {
		set1(t, b, k, "v"+k)
	}
	tests := []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 0, []string{"a/1", "a/2", "a/3", "a0", "b/1"}},
		{"a/", "", 0, []string{"a/1", "a/2", "a/3"}},
		{"a/", "", 2, []string{"a/1", "a/2"}},
		{"a/", "a/1", 0, []string{"a/2", "a/3"}},
		{"a/", "a/1x", 1, []string{"a/2"}},
		{"a/", "a/3", 0, nil},
		{"a/", "b", 0, nil},
		{"a/", "A", 1, []string{"a/1"}},
		{"c", "", 0, nil},
	}
	for _, test := range tests {
		var got []string
		err := b.View(t.Context(), func(r Reader) error {
			for item, err := range r.Scan(test.prefix, test.after, test.limit) {
				if err != nil {
					return err
				}
				if string(item.Value) != "v"+item.Key || item.Revision == 0 {
					t.Errorf("item %+v", item)
				}
				got = append(got, item.Key)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("scan %q after %q limit %d (-want +got):\n%s", test.prefix, test.after, test.limit, diff)
		}
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	b := openEngine(t)
	set1(t, b, "a", "")
	set1(t, b, "b", "")
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	_ = b.View(ctx, func(r Reader) error {
		for _, last = range r.Scan("", "", 0) {
			cancel()
		}
		return nil
	})
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
}

// Sixteen writers that all count on one key need each other's results: every one must start over
// again and again, and none may be lost or starve.
func TestContendedCounterLosesNoCount(t *testing.T) {
	b := openEngine(t)
	const writers, counts = 16, 25
	var runs atomic.Int64
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range counts {
				if _, err := b.Update(t.Context(), func(tx Txn) error {
					runs.Add(1)
					return countUp(tx, "counter")
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got, _, err := get1(t, b, "counter")
	if want := fmt.Sprint(writers * counts); got != want || err != nil {
		t.Errorf("counted %s (%v), want %s", got, err, want)
	}
	t.Logf("%d runs for %d updates", runs.Load(), writers*counts)
}

func countUp(tx Txn, key string) error {
	value, _, err := tx.Get(key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	n := 0
	_, _ = fmt.Sscan(string(value), &n)
	tx.Set(key, fmt.Append(nil, n+1))
	return nil
}

// Two accounts and transfers between them in both directions: whatever a View sees, the sum is the same.
func TestNoViewSeesHalfAnUpdate(t *testing.T) {
	b := openEngine(t)
	set1(t, b, "x", "1000")
	set1(t, b, "y", "1000")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var group sync.WaitGroup
	for i := range 4 {
		from, to := "x", "y"
		if i%2 == 1 {
			from, to = to, from
		}
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := b.Update(ctx, func(tx Txn) error { return transfer(tx, from, to) }); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for ctx.Err() == nil {
		if x, y := balances(t, b); x+y != 2000 {
			t.Fatalf("%d and %d", x, y)
		}
	}
	group.Wait()
}

func transfer(tx Txn, from, to string) error {
	for key, by := range map[string]int{from: -1, to: 1} {
		value, _, err := tx.Get(key)
		if err != nil {
			return err
		}
		n := 0
		_, _ = fmt.Sscan(string(value), &n)
		tx.Set(key, fmt.Append(nil, n+by))
	}
	return nil
}

func balances(t *testing.T, b testEngine) (x, y int) {
	t.Helper()
	if err := b.View(t.Context(), func(r Reader) error {
		vx, _, err1 := r.Get("x")
		vy, _, err2 := r.Get("y")
		_, _ = fmt.Sscan(string(vx), &x)
		_, _ = fmt.Sscan(string(vy), &y)
		return errors.Join(err1, err2)
	}); err != nil {
		t.Fatal(err)
	}
	return x, y
}

func TestUpdateWithAnEndedContextWritesNothing(t *testing.T) {
	b := openEngine(t)
	before := b.Revision()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.Update(ctx, func(tx Txn) error {
		tx.Set("a", nil)
		cancel()
		_, _, err := tx.Get("b")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Update(ctx, func(Txn) error { t.Error("called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := b.View(ctx, func(Reader) error { t.Error("called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if b.Revision() != before {
		t.Error("it wrote")
	}
}

// getMany reads keys, whether they are there or not.
func getMany(tx Txn, n int) {
	for i := range n {
		tx.Get(fmt.Sprintf("read/%d", i))
		tx.Get(fmt.Sprintf("read/%d", i)) // again is the same key
	}
}
