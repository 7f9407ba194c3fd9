package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// runEngine runs the upkeep until the test ends; what Run returned comes from the channel.
func runEngine(t *testing.T, b *Badger) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	over := make(chan struct{})
	go func() { defer close(over); ended <- b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	return ended
}

// noFiles keeps this process from opening any file until it is undone.
func noFiles(t *testing.T) (undo func()) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = uint64(len(open) - 1) // the listing was one of them
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	undo = func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }
	t.Cleanup(undo)
	return undo
}

// Badger needs a file when a memtable is full. Without one it cannot be used any more, not even for reading;
// the engine closes it in order, and opens it again when there are files.
func TestFailedCommitOpensTheStoreAgain(t *testing.T) {
	badgerOnly(t)
	var mu sync.Mutex
	var said []string
	b := openBadger(t, BadgerConfig{Log: func(_ LogLevel, m string) { mu.Lock(); defer mu.Unlock(); said = append(said, m) }})
	ended := runEngine(t, b)
	watcher := b.Watch("", b.Revision())
	defer watcher.Stop()
	undo := noFiles(t)
	value := []byte(strings.Repeat("x", 200_000))
	answered := 0
	var failed error
	for failed == nil && answered < 1000 {
		if _, failed = b.Update(t.Context(), func(tx Txn) error { tx.Set(fmt.Sprintf("k%04d", answered), value); return nil }); failed == nil {
			answered++
		}
	}
	if !errors.Is(failed, ErrFailed) {
		t.Fatalf("after %d writes: %v", answered, failed)
	}
	for range 100 { // no panic, and no success
		if _, _, err := get1(t, b, "k0000"); !errors.Is(err, ErrFailed) {
			t.Fatalf("a read: %v", err)
		}
		if _, err := b.Update(t.Context(), func(tx Txn) error { tx.Set("z", nil); return nil }); !errors.Is(err, ErrFailed) {
			t.Fatalf("a write: %v", err)
		}
		if err := b.Ready(); !errors.Is(err, ErrFailed) {
			t.Fatalf("ready: %v", err)
		}
	}
	undo()
	for deadline := time.Now().Add(20 * time.Second); b.Ready() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it stays %v", b.Ready())
		}
	}
	for i := range answered {
		if got, _, err := get1(t, b, fmt.Sprintf("k%04d", i)); got != string(value) || err != nil {
			t.Fatalf("record %d of %d: %d bytes, %v", i, answered, len(got), err)
		}
	}
	rev := set1(t, b, "after", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		c, err := watcher.Next(ctx)
		if err != nil {
			t.Fatalf("watching: %v", err)
		}
		if c.Key == "after" || c.Resync && c.Revision >= rev {
			break
		}
	}
	select {
	case err := <-ended:
		t.Errorf("Run ended: %v", err)
	default:
	}
	mu.Lock()
	defer mu.Unlock()
	if text := strings.Join(said, "\n"); !strings.Contains(text, "opened again") || !strings.Contains(text, "open again, nothing is lost") {
		t.Errorf("said %q", said)
	}
}

func fastReopen(t *testing.T) {
	before := reopenPauses
	reopenPauses = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	t.Cleanup(func() { reopenPauses = before })
}

// When it cannot be opened again Run says so, for the process to end, and Close still works.
func TestStoreThatCannotBeOpenedAgainEndsRun(t *testing.T) {
	badgerOnly(t)
	fastReopen(t)
	b := openBadger(t, BadgerConfig{})
	set1(t, b, "a", "1")
	b.free = func(string) (int64, error) { return 0, nil }
	ended := runEngine(t, b)
	_ = b.fail(errors.New("input/output error"))
	select {
	case err := <-ended:
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run goes on")
	}
	if _, _, err := get1(t, b, "a"); !errors.Is(err, ErrFailed) {
		t.Errorf("a read: %v", err)
	}
}

// Commits that fail again and again are no passing fault.
func TestCommitsThatFailAgainAndAgainEndRun(t *testing.T) {
	badgerOnly(t)
	fastReopen(t)
	b := openBadger(t, BadgerConfig{})
	ended := runEngine(t, b)
	for i := range len(reopenPauses) {
		_ = b.fail(errors.New("input/output error"))
		if i == len(reopenPauses)-1 {
			break
		}
		for deadline := time.Now().Add(20 * time.Second); b.Ready() != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it stays %v", b.Ready())
			}
		}
	}
	select {
	case err := <-ended:
		if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "3 commits failed") {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run goes on")
	}
}

// A commit that failed may have reached the disk: who follows the changes reads everything again.
func TestUnknownCommitIsFollowedByAResync(t *testing.T) {
	badgerOnly(t)
	l := newChangeLog(5, 10, 1000)
	follows, late := l.watch("", 5), l.watch("", 5)
	l.publish([]Change{{Revision: 6, Key: "a", Last: true}}, 6)
	if c, err := follows.Next(t.Context()); c.Key != "a" || err != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	l.jump(6) // nothing new
	l.jump(8)
	for name, w := range map[string]*Watcher{"one that had followed": follows, "one that was behind": late} {
		if c, err := w.Next(t.Context()); !c.Resync || c.Revision != 8 || err != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	l.publish([]Change{{Revision: 9, Key: "b", Last: true}}, 9)
	if c, err := follows.Next(t.Context()); c.Key != "b" || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}
