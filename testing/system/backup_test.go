package system

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/xdire/xlb/store"
)

// xlbIs runs a command of xlb and returns what it said and how it ended.
func xlbIs(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binaries.xlb, args...)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// must runs one that has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := xlbIs(t, args...)
	if code != 0 {
		t.Fatalf("xlb %s: exit %d, want 0\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// recordsOf reads every record of a data directory whose server has ended, by key.
func recordsOf(t *testing.T, dir string) (items map[string]store.Item, revision uint64) {
	t.Helper()
	engine, err := store.OpenBadger(filepath.Join(dir, "store"), store.BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	items = map[string]store.Item{}
	err = engine.View(t.Context(), func(r store.Reader) error {
		revision = r.Revision()
		for item, err := range r.Scan("", "", 0) {
			if err != nil {
				return err
			}
			items[item.Key] = item
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return items, revision
}

// A backup is taken while clients change their frontends, and restored into another directory. Each record of it is as the
// old store has it, unless that was written later; and none is missing. A server goes on from it.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	frontend := c.frontend(greeter(t, "one"))
	bundle := c.bundle(frontend)
	end := make(chan struct{})
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				s.try("PATCH", "/api/v1/client/frontend/"+frontend, c.auth, map[string]any{"queueLimit": 100*i + n%100})
				time.Sleep(15 * time.Millisecond) // a client has 100 requests in a second
			}
		})
	}
	stop := sync.OnceFunc(func() { close(end); load.Wait() })
	defer stop()
	time.Sleep(500 * time.Millisecond)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(keyFile, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "xlb.age")
	out := must(t, "backup", "-data-dir", s.dir, "-o", file, "-recipient", identity.Recipient().String())
	if !strings.Contains(out, " records at revision ") {
		t.Errorf("it said %q, want how much it is", out)
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	if trail := s.says("audit"); !strings.Contains(trail, "admin.backup") {
		t.Errorf("the trail of the operator is %s, want the backup in it", trail)
	}
	s.stop()

	to := filepath.Join(t.TempDir(), "data")
	out = must(t, "restore", "-data-dir", to, "-i", file, "-identity", keyFile)
	if !strings.Contains(out, "may be one only") {
		t.Errorf("it said %q, want what to think of", out)
	}
	old, _ := recordsOf(t, s.dir)
	restored, revision := recordsOf(t, to)
	if len(restored) < 50 {
		t.Errorf("%d records, want at least the 50 changes of before", len(restored))
	}
	later := 0
	for key, item := range restored {
		now, there := old[key]
		switch {
		case there && now.Revision == item.Revision:
			if !bytes.Equal(now.Value, item.Value) {
				t.Errorf("%s differs", key)
			}
		case there && now.Revision > revision:
			later++
		case there:
			t.Errorf("%s has revision %d, want %d", key, item.Revision, now.Revision)
		case item.Revision > revision:
			t.Errorf("%s is newer than the backup", key)
		}
	}
	for key, item := range old {
		if _, there := restored[key]; !there && item.Revision <= revision {
			t.Errorf("%s is missing", key)
		}
	}
	if later == 0 {
		t.Error("nothing was changed after the backup, so it was not taken under load")
	}
	for _, name := range []string{"cacert.pem", "cakey.pem", "master.key"} {
		was, _ := os.ReadFile(filepath.Join(s.dir, name))
		is, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s is another: %v", name, err)
		}
	}
	for _, path := range []string{"cakey.pem", "master.key", "store/MANIFEST"} {
		if info, err := os.Stat(filepath.Join(to, path)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v, want it for us alone", path, info, err)
		}
	}
	again := start(t, to)
	again.trust()
	got := again.call("GET", "/api/v1/client/frontend/"+frontend, c.auth, nil)
	if got.status != 200 {
		t.Errorf("the token of before: got %d, want 200", got.status)
	}
	if text, err := again.readAll(bundle); err != nil || text != "one" {
		t.Errorf("a program with the certificate of before: got %q, %v, want one", text, err)
	}
}

// A restore is refused where something is, with another passphrase, and of what is no whole backup; the directory is as
// it was then.
func TestRestoreIsRefused(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t))
	s.signUp("testuser")
	dir := t.TempDir()
	path := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	phrase, other, short := path("phrase", "correct horse battery\n"), path("other", "another passphrase\n"), path("short", "secret\n")
	file := filepath.Join(dir, "xlb.age")
	for _, wrong := range []struct {
		args []string
		says string
	}{
		{[]string{"-o", file}, "a backup is encrypted"},
		{[]string{"-passphrase-file", phrase}, "use -o FILE"},
		{[]string{"-o", file, "-passphrase-file", short}, "use at least 12"},
		{[]string{"-o", file, "-recipient", "nonsense"}, "-recipient: "},
		{[]string{"-o", filepath.Join(dir, "no", "such"), "-passphrase-file", phrase}, "nothing was written"},
	} {
		out, code := xlbIs(t, append([]string{"backup", "-data-dir", s.dir}, wrong.args...)...)
		if code != 1 || !strings.Contains(out, wrong.says) {
			t.Errorf("backup %v: exit %d, %s, want %q", wrong.args, code, out, wrong.says)
		}
	}
	must(t, "backup", "-data-dir", s.dir, "-o", file, "-passphrase-file", phrase)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v, want mode 0600", info, err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(whole, []byte("PRIVATE KEY")) || bytes.Contains(whole, []byte("testuser")) {
		t.Error("the backup can be read by everybody")
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := path("key", identity.String()+"\n")
	keyed := filepath.Join(dir, "keyed.age")
	must(t, "backup", "-data-dir", s.dir, "-o", keyed, "-recipient", identity.Recipient().String())
	half, err := os.ReadFile(keyed)
	if err != nil {
		t.Fatal(err)
	}
	cut := path("cut", string(half[:len(half)-1000]))
	full := filepath.Join(dir, "full")
	os.Mkdir(full, 0o700)
	os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600)
	empty := filepath.Join(dir, "empty")
	for _, wrong := range []struct {
		dir, file, with, secret, says string
	}{
		{full, file, "-passphrase-file", phrase, "is not empty"},
		{s.dir, file, "-passphrase-file", phrase, "is not empty"},
		{empty, quick(t, dir), "-passphrase-file", other, "another passphrase"},
		{empty, file, "-identity", key, "another passphrase"},
		{empty, cut, "-identity", key, "nothing was restored"},
		{empty, phrase, "-identity", key, "no backup of xlb"},
		{empty, filepath.Join(dir, "nowhere"), "-identity", key, "no such file"},
		{empty, file, "-identity", phrase, "-identity: "},
	} {
		out, code := xlbIs(t, "restore", "-data-dir", wrong.dir, "-i", wrong.file, wrong.with, wrong.secret)
		if code != 1 || !strings.Contains(out, wrong.says) {
			t.Errorf("restore of %s into %s: exit %d, %s, want %q", wrong.file, wrong.dir, code, out, wrong.says)
		}
	}
	if left, err := os.ReadDir(empty); err != nil && !os.IsNotExist(err) || len(left) > 0 {
		t.Errorf("after restores that failed there is %v, want nothing", left)
	}
	if err := os.MkdirAll(filepath.Join(empty, "restoring"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := wontStart(t, empty); !strings.Contains(out, "cut short") {
		t.Errorf("a server beside half a restore says %q, want that it was cut short", out)
	}
	s.stop()
	if out, code := xlbIs(t, "backup", "-data-dir", s.dir, "-o", file, "-passphrase-file", phrase); code != 1 || !strings.Contains(out, "no server answers") {
		t.Errorf("without a server: exit %d, %s", code, out)
	}
	if now, _ := os.ReadFile(file); !bytes.Equal(now, whole) {
		t.Error("a backup that failed took the last one away")
	}
}

// quick is something that a passphrase seals, and that costs a guess next to nothing: under the race detector each of them
// takes seconds otherwise.
func quick(t *testing.T, dir string) string {
	t.Helper()
	recipient, err := age.NewScryptRecipient("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(10)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipient)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "quick.age")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
