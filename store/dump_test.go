package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// all reads every item of an engine, by key.
func all(t *testing.T, e Engine) map[string]string {
	t.Helper()
	items := map[string]string{}
	err := e.View(t.Context(), func(r Reader) error {
		for item, err := range r.Scan("", "", 0) {
			if err != nil {
				return err
			}
			items[item.Key] = fmt.Sprintf("%d %x", item.Revision, item.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// What is dumped is loaded with the same keys, values and revisions, and changes go on from there.
func TestDumpIsTheSame(t *testing.T) {
	badgerOnly(t)
	from, err := OpenBadger(t.TempDir(), BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	for i := range 40 {
		_, err := from.Update(t.Context(), func(tx Txn) error {
			for j := range 30 {
				tx.Set(fmt.Sprintf("k/%d/%d", i, j), bytes.Repeat([]byte{byte(i)}, j*j))
			}
			if i > 0 {
				tx.Delete(fmt.Sprintf("k/%d/3", i-1))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &Store{engine: from}
	var b bytes.Buffer
	dumped, err := s.Dump(t.Context(), &b)
	if err != nil || dumped.Keys != 40*30-39 || dumped.Revision != 40 {
		t.Fatalf("got %+v, %v, want 1161 keys at revision 40", dumped, err)
	}
	dir := t.TempDir()
	to, err := OpenBadger(dir, BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := to.Load(t.Context(), bytes.NewReader(b.Bytes()))
	if err != nil || loaded != dumped {
		t.Fatalf("got %+v, %v, want %+v", loaded, err, dumped)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if to, err = OpenBadger(dir, BadgerConfig{}); err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if !maps.Equal(all(t, to), all(t, from)) {
		t.Error("the records differ")
	}
	if rev, err := to.Update(t.Context(), func(tx Txn) error { tx.Set("more", nil); return nil }); err != nil || rev != 41 {
		t.Errorf("the next change has revision %d, %v, want 41", rev, err)
	}
	if _, err := to.Load(t.Context(), bytes.NewReader(b.Bytes())); !errors.Is(err, ErrExists) {
		t.Errorf("loading into a store that is used: %v, want ErrExists", err)
	}
}

// A dump that is cut off, or in which a bit has flipped, is none.
func TestDamagedDumpIsRefused(t *testing.T) {
	badgerOnly(t)
	from, err := OpenBadger(t.TempDir(), BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := from.Update(t.Context(), func(tx Txn) error { tx.Set("a", []byte("one")); tx.Set("b", []byte("two")); return nil }); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := (&Store{engine: from}).Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	keep := func(Item) error { return nil }
	if _, err := ReadDump(bytes.NewReader(b.Bytes()), keep); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if _, err := ReadDump(bytes.NewReader(b.Bytes()[:n]), keep); !errors.Is(err, ErrDump) {
			t.Errorf("cut off after %d bytes: %v, want ErrDump", n, err)
		}
		flipped := slices.Clone(b.Bytes())
		flipped[n] ^= 0x10
		if _, err := ReadDump(bytes.NewReader(flipped), keep); !errors.Is(err, ErrDump) {
			t.Errorf("with another byte %d: %v, want ErrDump", n, err)
		}
	}
	if _, err := ReadDump(strings.NewReader(dumpMagic+"\xff\xff\xff\xff\xff\x01"), keep); !errors.Is(err, ErrDump) {
		t.Errorf("a key of 50 GB: %v, want ErrDump", err)
	}
}
