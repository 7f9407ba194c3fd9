package system

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// wontStart runs XLB over a directory, and returns what it says when it ends, as it must.
func wontStart(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	args = append([]string{"-data-dir", dir, "-http-addr", freePort(t), "-lb-addr", freePort(t)}, args...)
	out, err := exec.CommandContext(ctx, binaries.xlb, args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("it starts: %v\n%s", err, out)
	}
	return string(out)
}

// used is a data directory with a client in it, of a server that was stopped.
func used(t *testing.T) string {
	t.Helper()
	s := start(t, dataDir(t))
	s.signUp("testuser")
	s.stop()
	return s.dir
}

// A data directory of which a part is missing is not filled up with a new one.
func TestLostPartsAreNotMadeAnew(t *testing.T) {
	full := used(t)
	for name, tc := range map[string]struct {
		remove []string
		says   string
	}{
		"the store":      {[]string{"store"}, "is missing beside"},
		"the master key": {[]string{"master.key"}, "master.key is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := copyData(dir, full); err != nil {
				t.Fatal(err)
			}
			for _, part := range tc.remove {
				if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
					t.Fatal(err)
				}
			}
			if out := wontStart(t, dir); !strings.Contains(out, tc.says) || !strings.Contains(out, "backup") {
				t.Errorf("it says %s", out)
			}
			for _, part := range tc.remove {
				if _, err := os.Stat(filepath.Join(dir, part)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s was made anew", part)
				}
			}
		})
	}
}

// The files of the authority are written again from the store, which has it since the first start.
func TestFilesOfTheAuthorityAreWrittenAgain(t *testing.T) {
	t.Parallel() // it waits most of the time
	full := used(t)
	wanted := map[string]string{}
	for _, name := range []string{"cacert.pem", "cakey.pem"} {
		text, err := os.ReadFile(filepath.Join(full, name))
		if err != nil {
			t.Fatal(err)
		}
		wanted[name] = string(text)
	}
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"cut":     func(path string) error { return os.WriteFile(path, []byte("-----BEGIN CERT"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := copyData(dir, full); err != nil {
				t.Fatal(err)
			}
			for part := range wanted {
				path := filepath.Join(dir, part)
				if err := errors.Join(os.Chmod(path, 0o600), spoil(path)); err != nil {
					t.Fatal(err)
				}
			}
			start(t, dir).stop()
			for part, want := range wanted {
				if got, err := os.ReadFile(filepath.Join(dir, part)); err != nil || string(got) != want {
					t.Errorf("%s: got %s, %v", part, got, err)
				}
			}
		})
	}
}

// A key that the store knows nothing of is not written over.
func TestKeyOfAnotherAuthorityIsKept(t *testing.T) {
	t.Parallel() // it waits most of the time
	dir := used(t)
	other := dataDir(t)
	if out, err := runIn(t, other, binaries.xlb, "tls", "-data-dir", other); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key, err := os.ReadFile(filepath.Join(other, "cakey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cakey.pem")
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := wontStart(t, dir); !strings.Contains(out, "cakey.pem is the key of the authority") {
		t.Errorf("it says %s", out)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(key) {
		t.Errorf("it was written over: %v", err)
	}
}

// After make tls alone, and after a first start that was cut short, it starts.
func TestBeginningsAreCompleted(t *testing.T) {
	dir := dataDir(t)
	if out, err := runIn(t, dir, binaries.xlb, "tls", "-data-dir", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := start(t, dir)
	s.stop()
	for _, part := range []string{"cacert.pem", "cakey.pem", "master.key"} {
		if _, err := os.Stat(filepath.Join(dir, part)); err != nil {
			t.Error(err)
		}
	}
}

// Damage to the write log of a server that was killed is no reason to forget what was revoked.
func TestDamagedStoreIsNotOpened(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	for range 12 {
		c.frontend("127.0.0.1:9")
	}
	s.kill()
	logs, _ := filepath.Glob(filepath.Join(s.dir, "store", "*.mem"))
	if len(logs) == 0 {
		t.Fatal("no log")
	}
	data, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(data), "frontend/"+c.uuid)
	if at < 0 {
		t.Fatal("no frontend in the log")
	}
	data[at] ^= 1
	if err := os.WriteFile(logs[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := wontStart(t, s.dir); !strings.Contains(out, "lost changes") || !strings.Contains(out, "-accept-loss") {
		t.Errorf("it says %s", out)
	}
	s.run("-accept-loss")
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "since") || !strings.Contains(log, "issuedBefore") {
		t.Errorf("the log says %s", tail(log, 2000))
	}
}

// copyData copies a data directory. The copy is the owner's alone, as XLB demands; CopyFS would let everybody in.
func copyData(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return os.Chmod(to, 0o700)
}
