package store

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type steps = map[int]func(context.Context, Engine) error

// note is a migration that says that it ran, and finds the version that it begins with.
func note(t *testing.T, version int, ran *[]int) func(context.Context, Engine) error {
	return func(ctx context.Context, e Engine) error {
		if got, _, err := get1(t, e, "meta/schema"); got != strconv.Itoa(version) {
			t.Errorf("got version %q, %v; want %d", got, err, version)
		}
		*ran = append(*ran, version)
		return nil
	}
}

func schemaOf(t *testing.T, e Engine) string {
	t.Helper()
	return found[string](t)(func() (string, error) { v, _, err := get1(t, e, "meta/schema"); return v, err }())
}

func TestNewStoreGetsTheSchemaVersionOnce(t *testing.T) {
	_, b := openStore(t)
	if got, want := schemaOf(t, b), strconv.Itoa(schemaVersion); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, first, _ := get1(t, b, "meta/schema")
	if _, err := New(b); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := get1(t, b, "meta/schema"); again != first {
		t.Errorf("got revision %d, want %d: nothing to write the second time", again, first)
	}
}

// migrateTo brings records to a version, as a node that reads nothing older.
func migrateTo(t *testing.T, e Engine, newest int, all steps) error {
	t.Helper()
	version, err := schema{"one", schemaRange{newest, newest}, all}.migrate(t.Context(), e)
	if err == nil && version != newest {
		t.Errorf("got version %d, want %d", version, newest)
	}
	return err
}

func TestNewStoreRunsNoMigration(t *testing.T) {
	b := openEngine(t)
	var ran []int
	if err := migrateTo(t, b, 3, steps{1: note(t, 1, &ran), 2: note(t, 2, &ran)}); err != nil {
		t.Fatal(err)
	}
	if got := schemaOf(t, b); got != "3" || ran != nil {
		t.Errorf("got version %q and steps %v, want 3 and none", got, ran)
	}
}

func TestOlderStoreIsMigratedStepByStepAndOnce(t *testing.T) {
	b := openEngine(t)
	set1(t, b, "meta/schema", "1")
	var ran []int
	all := steps{1: note(t, 1, &ran), 2: note(t, 2, &ran), 3: note(t, 3, &ran), 4: note(t, 4, &ran)}
	for range 2 {
		if err := migrateTo(t, b, 4, all); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int{1, 2, 3}, ran); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if got := schemaOf(t, b); got != "4" {
		t.Errorf("got version %q, want 4", got)
	}
}

func TestFailedMigrationLeavesTheOldVersionAndIsRepeated(t *testing.T) {
	b := openEngine(t)
	set1(t, b, "meta/schema", "1")
	var ran []int
	no := errors.New("no")
	err := migrateTo(t, b, 4, steps{
		1: note(t, 1, &ran),
		2: func(context.Context, Engine) error { return no },
		3: note(t, 3, &ran),
	})
	if !errors.Is(err, no) || !strings.Contains(err.Error(), "from version 2 to 3") {
		t.Errorf("got %v, want %v and which step it was", err, no)
	}
	if got := schemaOf(t, b); got != "2" {
		t.Errorf("got version %q, want 2", got)
	}
	if err := migrateTo(t, b, 4, steps{1: note(t, 1, &ran), 2: note(t, 2, &ran), 3: note(t, 3, &ran)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 3}, ran); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestMissingMigrationIsRefused(t *testing.T) {
	b := openEngine(t)
	set1(t, b, "meta/schema", "1")
	if err := migrateTo(t, b, 2, steps{}); !errors.Is(err, ErrSchema) {
		t.Errorf("got %v, want %v", err, ErrSchema)
	}
	if got := schemaOf(t, b); got != "1" {
		t.Errorf("got version %q, want 1", got)
	}
}

func TestStoreOfAnotherSchemaIsRefusedUnchanged(t *testing.T) {
	newer := strconv.Itoa(schemaVersion + 1)
	for _, c := range []struct{ name, key, value, words string }{
		{"newer", "meta/schema", newer, "version " + newer},
		{"zero", "meta/schema", "0", `"0"`},
		{"no number", "meta/schema", "one", `"one"`},
		{"empty", "meta/schema", "", `""`},
		{"no version", "something", "else", "another directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := openEngine(t)
			set1(t, b, c.key, c.value)
			s, err := New(b)
			if !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), c.words) || s != nil {
				t.Errorf("got %v, %v; want %v with %q", s, err, ErrSchema, c.words)
			}
			if diff := cmp.Diff(map[string]string{c.key: c.value}, contents(t, b)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReopenedStoreKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Store, testEngine) {
		b := reopen(t, dir, BadgerConfig{})
		s, err := New(b)
		if err != nil {
			t.Fatal(err)
		}
		return s, b
	}
	s, b := open()
	done(t)(s.ClaimFirst(t.Context(), Client{UUID: "first"}))
	stock(t, s, "c")
	stock(t, s, "gone")
	done(t)(s.DeleteClient(t.Context(), "gone", at))
	done(t)(s.PutSecret(t.Context(), Secret{Name: "n", Value: []byte("v"), CreatedAt: at}))
	all, snap := contents(t, b), found[Snapshot](t)(s.Snapshot(t.Context()))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s, b = open()
	if diff := cmp.Diff(all, contents(t, b)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(snap, found[Snapshot](t)(s.Snapshot(t.Context()))); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	sweepAll(t, s) // what was deleted before is finished after
	for key := range contents(t, b) {
		if strings.Contains(key, "gone") {
			t.Errorf("%s is left", key)
		}
	}
}

// While another node is on record that does not read the new form, the old one goes on; a node that does not write that does
// not start. Once the other reads it, the records are brought up to date.
func TestMigrationWaitsForThoseThatCannotReadIt(t *testing.T) {
	b := openEngine(t)
	old := schema{"old", schemaRange{1, 1}, steps{}}
	if version, err := old.migrate(t.Context(), b); err != nil || version != 1 {
		t.Fatalf("got version %d, %v, want 1", version, err)
	}
	var ran []int
	young := schema{"young", schemaRange{1, 2}, steps{1: note(t, 1, &ran)}}
	if version, err := young.migrate(t.Context(), b); err != nil || version != 1 || ran != nil || schemaOf(t, b) != "1" {
		t.Errorf("got version %d and %s, steps %v, %v, want the old form", version, schemaOf(t, b), ran, err)
	}
	strict := schema{"strict", schemaRange{2, 2}, steps{1: note(t, 1, &ran)}}
	if _, err := strict.migrate(t.Context(), b); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "old read no newer one") {
		t.Errorf("got %v, want %v with who is behind", err, ErrSchema)
	}
	old.reads.Newest = 2
	old.steps = young.steps
	if version, err := old.migrate(t.Context(), b); err != nil || version != 2 || schemaOf(t, b) != "2" {
		t.Errorf("got version %d and %s, %v, want 2", version, schemaOf(t, b), err)
	}
	if diff := cmp.Diff([]int{1}, ran); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	set1(t, b, "reader/broken", "what nobody can read")
	young.reads.Newest = 3
	if version, err := young.migrate(t.Context(), b); err != nil || version != 2 {
		t.Errorf("with a node that says nothing readable: version %d, %v, want 2", version, err)
	}
}
