package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// mustFail opens a directory that must not open, and checks the error and its words.
func mustFail(t *testing.T, dir string, cfg BadgerConfig, want error, words ...string) {
	t.Helper()
	b, err := OpenBadger(dir, cfg)
	if err == nil {
		_ = b.Close()
		t.Fatal("it opened")
	}
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	for _, word := range append(words, dir) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestSecondOpenIsRefusedWhileTheFirstLasts(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	b := reopen(t, dir, BadgerConfig{})
	set1(t, b, "a", "1")
	mustFail(t, dir, BadgerConfig{}, ErrLocked, "another xlb (process "+strconv.Itoa(os.Getpid())+")")
	set1(t, b, "a", "2") // the refused one did no harm
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _, err := get1(t, reopen(t, dir, BadgerConfig{}), "a"); got != "2" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// Who waits gets the store as soon as it is closed, one at a time, and who has closed it sees that.
func TestNextOneWaitsForTheStore(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	first := reopen(t, dir, BadgerConfig{})
	set1(t, first, "a", "1")
	mustFail(t, dir, BadgerConfig{Wait: 10 * time.Millisecond}, ErrLocked, "(for 10ms)")
	if pid := Next(dir); pid != 0 {
		t.Errorf("process %d waits, want none", pid)
	}
	stop := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	began := time.Now()
	mustFail(t, dir, BadgerConfig{Wait: time.Minute, Stop: stop}, ErrLocked)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a wait that was stopped took %v", took)
	}
	type opened struct {
		b   *Badger
		err error
	}
	second := make(chan opened, 1)
	go func() {
		b, err := OpenBadger(dir, BadgerConfig{Wait: 10 * time.Second})
		second <- opened{b, err}
	}()
	for Next(dir) != os.Getpid() {
		time.Sleep(time.Millisecond)
	}
	mustFail(t, dir, BadgerConfig{Wait: time.Second}, ErrLocked, "waits for")
	set1(t, first, "a", "2")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-second
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.b.Close()
	if value, _, err := get1(t, got.b, "a"); value != "2" || err != nil {
		t.Errorf("got %q, %v", value, err)
	}
	if !Held(dir) || !got.b.Waited() || first.Waited() {
		t.Errorf("held %t, the second waited %t, the first %t", Held(dir), got.b.Waited(), first.Waited())
	}
	if err := got.b.Close(); err != nil {
		t.Fatal(err)
	}
	if Held(dir) {
		t.Error("it is held after the second was closed")
	}
	if pid := Next(dir); pid != 0 {
		t.Errorf("process %d waits, want none", pid)
	}
}

func TestDirectoryIsForThisUserOnly(t *testing.T) {
	badgerOnly(t)
	dir := filepath.Join(t.TempDir(), "new", "store")
	b := reopen(t, dir, BadgerConfig{})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	set1(t, b, "a", "1")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	reopen(t, dir, BadgerConfig{})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory after the second open: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

func TestFileInPlaceOfTheDirectory(t *testing.T) {
	badgerOnly(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustFail(t, path, BadgerConfig{}, ErrUnreadable, "not a directory")
	mustFail(t, filepath.Join(path, "below"), BadgerConfig{}, ErrUnreadable, "not a directory")
}

// closedStore is a directory with data that was closed in order.
func closedStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b, err := OpenBadger(dir, BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	set1(t, b, "a", strings.Repeat("x", 10_000))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func oneFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	return found[0]
}

// Each of these made Badger end the process, or silently lose records, before the files were checked.
func TestDamageIsFoundBeforeItGetsWorse(t *testing.T) {
	badgerOnly(t)
	cut := func(n int64) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Truncate(path, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		file   string
		damage func(*testing.T, string)
		sealed bool
	}{
		{"table cut off", "*.sst", cut(100), true},
		{"table cut off after a kill", "*.sst", cut(100), false},
		{"table of one byte after a kill", "*.sst", cut(1), false},
		{"table empty after a kill", "*.sst", cut(0), false},
		{"table gone after a kill", "*.sst", remove, false},
		{"table longer after a kill", "*.sst", cut(50_000), false},
		{"table gone", "*.sst", remove, true},
		{"MANIFEST cut off", "MANIFEST", cut(30), true},
		{"MANIFEST gone", "MANIFEST", remove, true},
		{"MANIFEST gone after a kill", "MANIFEST", remove, false},
		{"MANIFEST empty after a kill", "MANIFEST", cut(0), false},
		{"seal cut off", sealFile, cut(10), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := closedStore(t)
			test.damage(t, oneFile(t, dir, test.file))
			if !test.sealed {
				if err := breakSeal(dir); err != nil {
					t.Fatal(err)
				}
			}
			mustFail(t, dir, BadgerConfig{}, ErrUnreadable, "damaged", "restore a copy")
			mustFail(t, dir, BadgerConfig{}, ErrUnreadable, "damaged") // and nothing was made worse
		})
	}
}

func TestStoreOpensWithTheLogFileOfAKilledProcess(t *testing.T) {
	badgerOnly(t)
	dir := closedStore(t)
	if err := breakSeal(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, rev, err := get1(t, reopen(t, dir, BadgerConfig{}), "a"); rev != 1 || err != nil {
		t.Errorf("revision %d, %v", rev, err)
	}
}

// A table gets its size first and its bytes later; only then the MANIFEST names it.
func TestStoreOpensWithTheUnfinishedTableOfAKilledProcess(t *testing.T) {
	badgerOnly(t)
	dir := closedStore(t)
	if err := breakSeal(dir); err != nil {
		t.Fatal(err)
	}
	unfinished := filepath.Join(dir, "000099.sst")
	if err := os.WriteFile(unfinished, make([]byte, 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, rev, err := get1(t, reopen(t, dir, BadgerConfig{}), "a"); rev != 1 || err != nil {
		t.Errorf("revision %d, %v", rev, err)
	}
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestDirectoryNameIsNoPattern(t *testing.T) {
	badgerOnly(t)
	dir := filepath.Join(t.TempDir(), "a[b]*")
	b := reopen(t, dir, BadgerConfig{})
	set1(t, b, "a", "")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(breakSeal(dir), os.Remove(filepath.Join(dir, "MANIFEST"))); err != nil {
		t.Fatal(err)
	}
	mustFail(t, dir, BadgerConfig{}, ErrUnreadable, "MANIFEST")
}

func TestFullDiskIsRefusedAtOpen(t *testing.T) {
	badgerOnly(t)
	b := &Badger{dir: t.TempDir(), cfg: BadgerConfig{}.withDefaults(), free: func(string) (int64, error) { return openRoom - 1, nil }}
	if err := b.spaceToOpen(); !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("got %v", err)
	}
}

// The guard refuses writes early, lets urgent ones through for longer, goes on reading, says so once,
// and lets go when there is room again.
func TestWritesAreRefusedBeforeTheDiskIsFull(t *testing.T) {
	badgerOnly(t)
	var said []string
	b := openBadger(t, BadgerConfig{MinFree: 100 << 20, Log: func(_ LogLevel, m string) { said = append(said, m) }})
	var free atomic.Int64
	b.free = func(string) (int64, error) { return free.Load(), nil }
	write := func(ctx context.Context) error {
		_, err := b.Update(ctx, func(tx Txn) error { tx.Set("a", nil); return nil })
		return err
	}
	steps := []struct {
		mb             int64
		normal, urgent error
	}{
		{100, nil, nil},
		{99, ErrReadOnly, nil},
		{50, ErrReadOnly, nil},
		{49, ErrReadOnly, ErrReadOnly},
		{100, nil, nil},
	}
	for _, step := range steps {
		free.Store(step.mb << 20)
		if err := write(t.Context()); !errors.Is(err, step.normal) {
			t.Errorf("%d MB: %v, want %v", step.mb, err, step.normal)
		}
		if err := write(Urgent(t.Context())); !errors.Is(err, step.urgent) {
			t.Errorf("%d MB, urgent: %v, want %v", step.mb, err, step.urgent)
		}
		if err := b.Ready(); !errors.Is(err, step.normal) {
			t.Errorf("%d MB, ready: %v, want %v", step.mb, err, step.normal)
		}
		if _, _, err := get1(t, b, "a"); err != nil {
			t.Errorf("%d MB, read: %v", step.mb, err)
		}
	}
	if len(said) != 3 || !strings.Contains(said[0], "writes are refused below") || !strings.Contains(said[1], "1 writes refused") || !strings.Contains(said[2], "room again") {
		t.Errorf("said %q", said)
	}
}

func TestUpdateThatWritesNothingNeedsNoRoom(t *testing.T) {
	badgerOnly(t)
	b := openBadger(t, BadgerConfig{})
	t.Cleanup(func() { b.free = freeSpace }) // so that Close has room
	b.free = func(string) (int64, error) { return 0, nil }
	if _, err := b.Update(t.Context(), func(tx Txn) error { _, _, _ = tx.Get("a"); return nil }); err != nil {
		t.Error(err)
	}
}

func TestCloseWaitsForThoseInside(t *testing.T) {
	badgerOnly(t)
	b := openBadger(t, BadgerConfig{})
	set1(t, b, "a", "1")
	inside, closed := make(chan struct{}), make(chan error)
	go func() {
		<-inside
		closed <- b.Close()
	}()
	err := b.View(t.Context(), func(r Reader) error {
		close(inside)
		for b.Ready() == nil {
			time.Sleep(time.Millisecond)
		}
		if err := b.View(t.Context(), func(Reader) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("a new view: %v", err)
		}
		_, _, err := r.Get("a")
		return err
	})
	if err != nil {
		t.Errorf("the view that was going on: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := b.Update(t.Context(), func(Txn) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("update after close: %v", err)
	}
}

// To close is to write. On a full disk that would crash, and it is not needed.
func TestCloseOnAFullDiskWritesNothing(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	var said string
	b, err := OpenBadger(dir, BadgerConfig{Log: func(_ LogLevel, m string) { said = m }})
	if err != nil {
		t.Fatal(err)
	}
	set1(t, b, "a", "1")
	b.free = func(string) (int64, error) { return 0, nil }
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(said, "nothing is lost") {
		t.Errorf("said %q", said)
	}
	if _, err := os.Stat(filepath.Join(dir, sealFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was sealed: %v", err)
	}
	mustFail(t, dir, BadgerConfig{}, ErrLocked) // by Badger, until the process ends
	if err := b.db.Close(); err != nil {        // as the end of the process does
		t.Fatal(err)
	}
	if _, rev, err := get1(t, reopen(t, dir, BadgerConfig{}), "a"); rev != 1 || err != nil {
		t.Errorf("revision %d, %v", rev, err)
	}
}

func TestRunDoesItsUpkeepAndEndsWithItsContext(t *testing.T) {
	badgerOnly(t)
	b := openBadger(t, BadgerConfig{Upkeep: time.Millisecond})
	set1(t, b, "a", "1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx); err != nil {
		t.Errorf("got %v", err)
	}
}

// While another has the turn, an update that gives up is not written later.
func TestUpdateGivesUpWhileItWaits(t *testing.T) {
	badgerOnly(t)
	b := openBadger(t, BadgerConfig{})
	b.queue.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := b.Update(ctx, func(tx Txn) error { tx.Set("a", nil); return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-b.queue.turn
	if rev := set1(t, b, "b", ""); rev != 1 {
		t.Errorf("revision %d: the update that gave up was written, want 1", rev)
	}
	if _, _, err := get1(t, b, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a: %v", err)
	}
}
