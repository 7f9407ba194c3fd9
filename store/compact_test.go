package store

import (
	"fmt"
	"strings"
	"testing"
)

// tables counts those that may have the same keys, and all.
func (b *Badger) tables() (young, all int) {
	for i, level := range b.db.Levels() {
		if all += level.NumTables; i == 0 {
			young = level.NumTables
		}
	}
	return young, all
}

// Tables do not become more and more, neither by restarts, each of which leaves one, nor by writes.
func TestTablesAreMerged(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	for i := range 3 * compactAt {
		b := reopen(t, dir, BadgerConfig{})
		if young, _ := b.tables(); young >= compactAt {
			t.Fatalf("%d young tables after %d restarts, want fewer than %d", young, i, compactAt)
		}
		set1(t, b, fmt.Sprintf("restart %02d", i), "x")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b := reopen(t, dir, BadgerConfig{})
	value := strings.Repeat("x", 100_000)
	for i := range 6 * compactAt * memTable / len(value) / 4 {
		set1(t, b, fmt.Sprintf("key %d", i%50), value)
	}
	if young, all := b.tables(); young > compactAt+1 {
		t.Errorf("%d young tables of %d, want at most %d", young, all, compactAt+1)
	}
	for i := range 3 * compactAt {
		if got, _, err := get1(t, b, fmt.Sprintf("restart %02d", i)); got != "x" || err != nil {
			t.Errorf("restart %d: %q, %v", i, got, err)
		}
	}
}

// On a disk without room for the merged ones they stay as they are, and the store closes and opens all the same.
func TestTablesStayWhereThereIsNoRoom(t *testing.T) {
	badgerOnly(t)
	dir := t.TempDir()
	tight := func(string) (int64, error) { return compactRoom - 1, nil }
	for i := range 25 {
		b, err := OpenBadger(dir, BadgerConfig{MinFree: 1})
		if err != nil {
			t.Fatal(err)
		}
		b.free = tight
		set1(t, b, fmt.Sprint(i), "x")
		before, _ := b.tables()
		b.compact()
		if after, _ := b.tables(); after != before {
			t.Fatalf("%d young tables, and %d after merging without room", before, after)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
