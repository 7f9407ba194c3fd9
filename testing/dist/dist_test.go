package dist

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdire/xlb/testing/process"
)

const root = "../.."

// made is where what was made is, for the tests after the first. It is made of the last commit.
var made string

func TestMain(m *testing.M) {
	if os.Getenv("XLB_DIST") == "" && os.Getenv(insideVariable) == "" {
		println("skipped: make check runs these")
		return
	}
	dir, err := os.MkdirTemp("", "xlb-dist")
	if err != nil {
		panic(err)
	}
	made = filepath.Join(dir, "dist")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// makeDist makes everything of the last commit in a clone of its own.
func makeDist(t *testing.T, clone, out, cache string) string {
	t.Helper()
	run(t, root, nil, "git", "-c", "safe.directory=*", "clone", "-q", ".", clone)
	vendor, err := filepath.Abs(filepath.Join(root, "static/vendor"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, clone, nil, "cp", "-a", vendor+"/.", "static/vendor/")
	run(t, clone, []string{"DIST=" + out, "GOCACHE=" + cache}, "packaging/dist.sh")
	sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	return string(sums)
}

// Two builds of a commit, in two places and with nothing kept between them, have the same bytes.
func TestTwoBuildsAreTheSame(t *testing.T) {
	first := makeDist(t, filepath.Join(t.TempDir(), "a"), made, strings.TrimSpace(run(t, root, nil, "go", "env", "GOCACHE")))
	second := makeDist(t, filepath.Join(t.TempDir(), "another", "place"), filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "cache"))
	if first != second {
		t.Errorf("the sums of the first:\n%s\nof the second:\n%s", first, second)
	}
	for _, want := range []string{"linux-amd64.tar.gz", "linux-arm64.tar.gz", "_amd64.deb", "_arm64.deb", "linux-amd64.sbom.json", "linux-arm64.sbom.json"} {
		if !strings.Contains(first, want) {
			t.Errorf("there is no …%s:\n%s", want, first)
		}
	}
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(made, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// unpacked is the folder in the archive for this machine.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run(t, dir, nil, "tar", "xzf", only(t, "*-linux-"+arch(t)+".tar.gz"))
	found, err := filepath.Glob(filepath.Join(dir, "xlb-*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

func arch(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(run(t, root, nil, "go", "env", "GOHOSTARCH"))
}

func TestArchive(t *testing.T) {
	dir := unpacked(t)
	commit := strings.TrimSpace(run(t, root, nil, "git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"))
	said := run(t, dir, nil, "./xlb", "version")
	if !strings.Contains(said, "commit "+commit+",") || !regexp.MustCompile(`^xlb \d`).MatchString(said) {
		t.Errorf("xlb version: %s, want the version and commit %s", said, commit)
	}
	if text := run(t, dir, nil, "file", "xlb"); !strings.Contains(text, "statically linked") {
		t.Errorf("%s, want it static", text)
	}
	bill, err := os.ReadFile(only(t, "*-linux-"+arch(t)+".sbom.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"github.com/dgraph-io/badger/v4", "CycloneDX"} {
		if !bytes.Contains(bill, []byte(module)) {
			t.Errorf("the bill of materials lacks %s", module)
		}
	}
	if _, err := exec.LookPath("mandoc"); err == nil {
		run(t, dir, nil, "sh", "-c", "gzip -dc xlb.8.gz | mandoc -T lint -W error")
	}
}

// In an image there is the program, a directory and a user without a name, and it serves. What the Containerfile says of them is
// read from it.
func TestNothingElseIsNeeded(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Containerfile"))
	if err != nil {
		t.Fatal(err)
	}
	_, last, found := strings.Cut(string(text), "\nFROM scratch\n")
	if !found || strings.Contains(last, "\nRUN") || !strings.Contains(last, "\nUSER 65532:65532\n") || !strings.Contains(last, `ENTRYPOINT ["/xlb"]`) {
		t.Fatalf("the last stage is\n%s", last)
	}
	image := t.TempDir()
	for _, dir := range []string{filepath.Dir(image), image} { // who has no name may go in
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, root, nil, "cp", filepath.Join(unpacked(t), "xlb"), image)
	run(t, image, nil, "install", "-d", "-m", "0700", "-o", "65532", "-g", "65532", "data")
	ops := process.FreePort(t)
	cmd := exec.Command("/xlb", "-ops-addr", ops, "-http-addr", process.FreePort(t), "-lb-addr", process.FreePort(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: image, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	cmd.Env = regexp.MustCompile(`XLB_\w+=\S+`).FindAllString(last, -1)
	cmd.Path = "/xlb"
	p := process.Start(t, cmd, &process.Log{})
	p.Ready("http://" + ops + "/readyz")
	resp, err := http.Get("http://" + ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("metrics: %s", resp.Status)
	}
	if _, err := os.Stat(filepath.Join(image, "data", "master.key")); err != nil {
		t.Error(err)
	}
	p.Stop()
}
