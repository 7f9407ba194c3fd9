package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// killed writes n records, and returns a copy of the directory as a kill at that moment leaves it. The log
// has all of them; ends are where each record ends in it.
func killed(t *testing.T, n int) (dir string) {
	t.Helper()
	b := openBadger(t, BadgerConfig{})
	for i := range n {
		set1(t, b, fmt.Sprintf("key%02d", i), strings.Repeat("v", 50))
	}
	dir = filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func logOf(t *testing.T, dir string) string {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(dir, "*.mem"))
	if len(logs) != 1 {
		t.Fatalf("there are %d logs, want 1", len(logs))
	}
	return logs[0]
}

// damageAt flips a bit of the n-th record's key.
func damageAt(t *testing.T, dir string, n int) {
	t.Helper()
	path := logOf(t, dir)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, fmt.Appendf(nil, "key%02d", n))
	if at < 0 {
		t.Fatal("no such record")
	}
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedLogIsNoTornTail(t *testing.T) {
	badgerOnly(t)
	const n = 40
	for name, damage := range map[string]func(t *testing.T, dir string){
		"in the middle":      func(t *testing.T, dir string) { damageAt(t, dir, 7) },
		"at the start":       func(t *testing.T, dir string) { damageAt(t, dir, 0) },
		"in the last record": func(t *testing.T, dir string) { damageAt(t, dir, n-1) },
		"gone":               func(t *testing.T, dir string) { os.Remove(logOf(t, dir)) },
		"empty":              func(t *testing.T, dir string) { os.Truncate(logOf(t, dir), 0) },
		"cut":                func(t *testing.T, dir string) { os.Truncate(logOf(t, dir), 1500) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := killed(t, n)
			damage(t, dir)
			for range 2 { // it is refused again
				b, err := OpenBadger(dir, BadgerConfig{})
				if err == nil {
					b.Close()
					t.Fatal("it opens without a word")
				}
				if !errors.Is(err, ErrLoss) || !strings.Contains(err.Error(), "-accept-loss") {
					t.Fatal(err)
				}
			}
			var said []string
			b := reopen(t, dir, BadgerConfig{AcceptLoss: true, Log: func(_ LogLevel, m string) { said = append(said, m) }})
			if text := strings.Join(said, "\n"); !strings.Contains(text, "was accepted") || !strings.Contains(text, "issuedBefore") {
				t.Errorf("said %q", text)
			}
			set1(t, b, "after", "1")
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			again := reopen(t, dir, BadgerConfig{}) // and it was accepted for good
			if got, _, err := get1(t, again, "after"); got != "1" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestKilledStoreHasAll(t *testing.T) {
	badgerOnly(t)
	dir := killed(t, 40)
	b := reopen(t, dir, BadgerConfig{})
	for i := range 40 {
		if _, _, err := get1(t, b, fmt.Sprintf("key%02d", i)); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

// The write that was going on when the process was killed was not answered: it may be torn.
func TestTornTailOpens(t *testing.T) {
	badgerOnly(t)
	b := openBadger(t, BadgerConfig{})
	set1(t, b, "key00", "1")
	before, err := os.ReadFile(filepath.Join(b.dir, answeredFile))
	if err != nil {
		t.Fatal(err)
	}
	set1(t, b, "key01", "1")
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, answeredFile), before, 0o600); err != nil {
		t.Fatal(err)
	}
	damageAt(t, dir, 1)
	after := reopen(t, dir, BadgerConfig{})
	if _, _, err := get1(t, after, "key00"); err != nil {
		t.Error(err)
	}
	if _, _, err := get1(t, after, "key01"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the torn one: %v", err)
	}
}

// A counter that is not readable, as after a power cut, or that an earlier version did not have, hides nothing
// else and stops nothing.
func TestBrokenCounterIsMadeAnew(t *testing.T) {
	badgerOnly(t)
	for name, content := range map[string]string{"none": "", "cut": "abc", "garbage": strings.Repeat("x", answeredSize)} {
		dir := killed(t, 3)
		if err := os.WriteFile(filepath.Join(dir, answeredFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b := reopen(t, dir, BadgerConfig{})
		if b.Close() != nil {
			t.Errorf("%s: not closed", name)
		}
		a, err := openAnswered(dir)
		if err != nil || a.revision < 3 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		a.file.Close()
	}
}
