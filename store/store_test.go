package store

import (
	"context"
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if childMain() {
		return
	}
	goleak.VerifyTestMain(m)
}

// at is the time of all records in these tests.
var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// The contract of an engine, and all records, are tested over any of these: go test ./store -engine memory.
var engines = map[string]func(t testing.TB, watchLog int) testEngine{
	"badger": func(t testing.TB, watchLog int) testEngine { return openBadger(t, BadgerConfig{WatchLog: watchLog}) },
	"memory": func(t testing.TB, watchLog int) testEngine { return newMemory(watchLog) },
}

var engineName = flag.String("engine", "badger", "what the records are kept in")

// testEngine is an engine that tells its newest revision.
type testEngine interface {
	Engine
	Revision() uint64
}

// openEngine opens an engine and closes it with the test. watchLog is how many changes it remembers; none for the default.
func openEngine(t testing.TB, watchLog ...int) testEngine {
	t.Helper()
	e := engines[*engineName](t, append(watchLog, 0)[0])
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// ownKeys are those of a store without a record.
var ownKeys = []string{"meta/schema", "reader/server"}

// openBadger opens an engine in a directory of its own, for a test of what Badger does.
func openBadger(t testing.TB, cfg BadgerConfig) *Badger {
	t.Helper()
	return reopen(t, t.TempDir(), cfg)
}

// badgerOnly is for tests that are about files.
func badgerOnly(t testing.TB) {
	t.Helper()
	if *engineName != "badger" {
		t.Skip("it is about Badger")
	}
}

func reopen(t testing.TB, dir string, cfg BadgerConfig) *Badger {
	t.Helper()
	badgerOnly(t)
	if cfg.Log == nil {
		cfg.Log = func(_ LogLevel, message string) { t.Log(message) }
	}
	b, err := OpenBadger(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// openStore opens the records over a fresh engine.
func openStore(t testing.TB) (*Store, testEngine) {
	t.Helper()
	b := openEngine(t)
	s, err := New(b)
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func set1(t testing.TB, e Engine, key, value string) uint64 {
	t.Helper()
	rev, err := e.Update(t.Context(), func(tx Txn) error {
		tx.Set(key, []byte(value))
		return nil
	})
	if err != nil {
		t.Fatalf("set %s: %v", key, err)
	}
	return rev
}

func get1(t testing.TB, e Engine, key string) (value string, rev uint64, err error) {
	t.Helper()
	err = e.View(t.Context(), func(r Reader) error {
		v, at, err := r.Get(key)
		value, rev = string(v), at
		return err
	})
	return value, rev, err
}

// next waits for one change, at most ten seconds.
func next(t testing.TB, w *Watcher) Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := w.Next(ctx)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	return c
}

// quiet makes sure that a watcher has nothing to say.
func quiet(t testing.TB, w *Watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if c, err := w.Next(ctx); err != context.DeadlineExceeded {
		t.Fatalf("got %+v, %v; want nothing", c, err)
	}
}
