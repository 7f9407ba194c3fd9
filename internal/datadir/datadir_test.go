package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
