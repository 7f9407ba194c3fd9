package system

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// `xlb check` says what a start would stumble over, all of it at once, and makes nothing.
func TestCheckSaysAllThatIsWrong(t *testing.T) {
	dir := used(t)
	flags := func(dir string, more ...string) []string {
		return append([]string{"check", "-data-dir", dir, "-http-addr", freePort(t), "-lb-addr", freePort(t)}, more...)
	}
	if out, code := xlbIs(t, flags(dir)...); code != 0 || strings.Contains(out, "WRONG") || strings.Count(out, "ok ") < 4 {
		t.Errorf("a good one: exit %d, %s, want 0 and nothing wrong", code, out)
	}
	none := filepath.Join(t.TempDir(), "none")
	if out, code := xlbIs(t, flags(none)...); code != 0 {
		t.Errorf("before the first start: exit %d, %s, want 0", code, out)
	}
	if _, err := os.Stat(none); !os.IsNotExist(err) {
		t.Errorf("a check has made %s", none)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rules := filepath.Join(t.TempDir(), "egress")
	if err := os.WriteFile(rules, []byte("allow 10.0.0.0/33\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XLB_AUTH_RATE", "many")
	damaged := dataDir(t)
	if err := copyData(damaged, dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"master.key": "nonsense", "cakey.pem": "nonsense, which the start writes again"} {
		if err := os.WriteFile(filepath.Join(damaged, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, code := xlbIs(t, flags(damaged, "-ops-addr", l.Addr().String(), "-egress-file", rules, "-signup", "maybe", "-log-format", "xml")...)
	for _, want := range []string{
		"XLB_AUTH_RATE", "-signup: use", "-log-format: use", "-ops-addr " + l.Addr().String() + ": something listens there already", "-egress-file: ", "master.key is damaged", "6 wrong",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if code != 1 || t.Failed() {
		t.Errorf("exit %d, want 1; it says\n%s", code, out)
	}
}

// What would have to be restored, and a server that runs, are told too.
func TestCheckOfADirectoryThatCannotBeUsed(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t))
	check := func(dir string) string {
		out, code := xlbIs(t, "check", "-data-dir", dir, "-http-addr", freePort(t), "-lb-addr", freePort(t))
		if code != 1 {
			t.Errorf("exit %d, want 1; it says\n%s", code, out)
		}
		return out
	}
	if out := check(s.dir); !strings.Contains(out, "another xlb (process ") {
		t.Errorf("beside a server that runs it says %s", out)
	}
	lost := used(t)
	if err := os.Remove(filepath.Join(lost, "master.key")); err != nil {
		t.Fatal(err)
	}
	if out := check(lost); !strings.Contains(out, "master.key is missing beside a store that is used") {
		t.Errorf("without the master key it says %s", out)
	}
	open := used(t)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if out := check(open); !strings.Contains(out, "chmod o-rwx") {
		t.Errorf("of a directory that everybody may enter it says %s", out)
	}
	if err := os.Chmod(open, 0o700); err != nil {
		t.Fatal(err)
	}
}
