package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A browser that warns opens the dashboard after xlb trust, and warns again after xlb untrust.
func TestBrowsersTrust(t *testing.T) {
	s := start(t, dataDir(t))
	home := t.TempDir()
	t.Setenv("HOME", home)
	if out := must(t, "trust", "-data-dir", s.dir, "-no-system"); !strings.Contains(out, "note   Firefox and Chromium: ") {
		t.Errorf("before there is a browser it says %q", out)
	}
	profile := filepath.Join(home, ".pki", "nssdb") // as Chromium makes it
	if err := os.MkdirAll(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := runIn(t, home, "certutil", "-N", "-d", "sql:"+profile, "--empty-password"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	opens := func() bool {
		page, _ := exec.CommandContext(t.Context(), "chromium-headless-shell", "--no-sandbox", "--dump-dom", "https://"+strings.Replace(s.http, "127.0.0.1", "localhost", 1)+"/login").Output()
		return strings.Contains(string(page), "<title>Log in")
	}
	if opens() {
		t.Error("the browser trusts whatever comes")
	}
	for range 2 { // again does no harm
		if out := must(t, "trust", "-data-dir", s.dir, "-no-system"); !strings.Contains(out, "ok     Firefox and Chromium: trusted") {
			t.Errorf("trust says %q", out)
		}
	}
	if !opens() {
		t.Error("the browser warns all the same")
	}
	if out := must(t, "untrust", "-data-dir", s.dir, "-no-system"); !strings.Contains(out, "no longer trusted") {
		t.Errorf("untrust says %q", out)
	}
	if opens() {
		t.Error("the browser still trusts it")
	}
	if out, code := xlbIs(t, "trust", "-data-dir", home); code == 0 || !strings.Contains(out, "-data-dir says") {
		t.Errorf("without an authority: %d %s", code, out)
	}
}

// The same for what goes by the system's store, on a copy of it that only this test sees.
func TestTheSystemTrusts(t *testing.T) {
	if os.Getenv("XLB_ALL_PEERS") == "" {
		t.Skip("in make check: the system's store takes ten seconds")
	}
	flags := "-m"
	if os.Getuid() != 0 {
		flags = "-rm"
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt").CombinedOutput(); err != nil {
		t.Skipf("no namespace can be made here, and the store of the machine is not for tests: %v %s", err, out)
	}
	s := start(t, dataDir(t))
	script := `set -e
cp -a /etc/ssl/certs "$1/certs"
mount -t tmpfs tmpfs /usr/local/share/ca-certificates
mount --bind "$1/certs" /etc/ssl/certs
ask() { curl -sS -o /dev/null -w '%{http_code} ' "https://localhost:$2/login" 2>&1 || echo refused; }
ask "$@"
"$3" trust -data-dir "$4" -no-browsers >/dev/null
ask "$@"
"$3" untrust -data-dir "$4" -no-browsers >/dev/null
ask "$@"
`
	port := s.http[strings.LastIndexByte(s.http, ':')+1:]
	out, err := exec.CommandContext(t.Context(), "unshare", flags, "sh", "-c", script, "sh", t.TempDir(), port, binaries.xlb, s.dir).CombinedOutput()
	if words := strings.Fields(string(out)); err != nil || strings.Count(string(out), "refused") != 2 || !strings.Contains(string(out), "200 ") {
		t.Errorf("%v %q, want refused, 200 and refused", err, words)
	}
}
