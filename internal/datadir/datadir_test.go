package datadir

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdire/xlb/store"
)

// A directory that everybody may enter is refused with what mends it, and then taken.
func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it was made as %v %v, want mode 0700", info.Mode(), err)
	}
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o770: true, 0o750: true, 0o755: false, 0o701: false, 0o777: false} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		err := Prepare(dir)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "chmod o-rwx "+dir) {
			t.Errorf("mode %04o: got %v, want it taken: %v", mode, err, ok)
		}
		if again := MakeAuthority(dir); ok == (again != nil && strings.Contains(again.Error(), "everybody")) {
			t.Errorf("mode %04o: the authority: %v", mode, again)
		}
		for _, name := range []string{"cacert.pem", "cakey.pem"} {
			os.Remove(filepath.Join(dir, name))
		}
	}
}

// A secret is made once, for the owner alone, and one that is damaged is not replaced.
func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	first, err := Secret(path, 32)
	if err != nil || len(first) != 32 {
		t.Fatalf("%x %v", first, err)
	}
	again, err := Secret(path, 32)
	if err != nil || string(again) != string(first) {
		t.Errorf("read again: %x %v, want %x", again, err, first)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file is %v %v, want mode 0600", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Secret(path, 32); err == nil || !strings.Contains(err.Error(), "64 hex digits") {
		t.Errorf("a damaged one: %x %v", got, err)
	}
}

// A store that others have set up, as one that several servers share, gets no secrets from a directory that is new: they
// would be other ones.
func TestNewDirectoryBesideAStoreThatIsSetUp(t *testing.T) {
	engine, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), store.BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	records, err := store.New(engine)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	made := func() []string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	quiet := slog.New(slog.DiscardHandler)
	if _, err := records.PutSecret(t.Context(), store.Secret{Name: "n", Value: []byte("sealed")}); err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), dir, records); err == nil || !strings.Contains(err.Error(), "master.key is missing") {
		t.Errorf("without the master key: %v", err)
	}
	if _, err := FirstAuthority(t.Context(), dir, records, nil, quiet); err == nil || !strings.Contains(err.Error(), "a new authority would end every certificate") {
		t.Errorf("without an authority: %v", err)
	}
	_, _, err = records.ChangeAuthorities(t.Context(), func(all *store.Authorities) error {
		all.ByID["a"] = store.Authority{State: "current"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if authority, err := FirstAuthority(t.Context(), dir, records, nil, quiet); authority != nil || err != nil {
		t.Errorf("with an authority in the store: %v, %v", authority, err)
	}
	if names := made(); len(names) > 0 {
		t.Errorf("it made %v", names)
	}
}
