package dist

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// insideVariable is set in the process that systemd runs inside.
const insideVariable = "XLB_INSIDE"

// The Debian package, in a machine of its own as far as it can tell: TestInside is run there.
func TestDebianPackage(t *testing.T) {
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the outside")
	}
	if os.Getuid() != 0 {
		t.Skip("it needs root")
	}
	out := t.TempDir()
	run(t, root, nil, "cp", only(t, "*_"+arch(t)+".deb"), filepath.Join(out, "xlb.deb"))
	run(t, root, nil, "cp", "docs/runbook.md", out)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run(t, root, nil, "cp", self, filepath.Join(out, "test"))
	unit := fmt.Sprintf(`[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
Environment=%s=1
WorkingDirectory=/
ExecStart=/out/test -test.run=^(TestInside|TestRunbook)$ -test.v
ExecStopPost=/bin/systemctl poweroff --force --force
StandardOutput=append:/out/log
StandardError=inherit
TimeoutStartSec=180
`, insideVariable)
	if err := os.WriteFile(filepath.Join(out, "inside.service"), []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "timeout", "-k", "1", "200", "unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child", "sh", "boot.sh", out)
	said, err := cmd.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(out, "log"))
	if !strings.Contains(string(log), "--- PASS: TestInside") || !strings.Contains(string(log), "--- PASS: TestRunbook") {
		t.Errorf("inside:\n%s\nsystemd: %v\n%s", log, err, said)
	}
	t.Logf("%s", log)
}

// systemctl says what it prints.
func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "/", nil, "systemctl", args...))
}

// TestInside installs, starts, uses, upgrades, reloads, stops and removes the package.
func TestInside(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		t.Skip("TestDebianPackage runs it inside")
	}
	install := func() string {
		return run(t, "/", []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", "install", "-y", "--reinstall", "--no-install-recommends", "/out/xlb.deb")
	}
	install()
	systemctl(t, "enable", "xlb")
	systemctl(t, "start", "xlb-http.socket", "xlb-lb.socket", "xlb")
	if info, err := os.Stat("/var/lib/xlb"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("/var/lib/xlb: %v, %v", info.Mode(), err)
	}
	user := newUser(t)
	live := user.dial(t)
	defer live.Close()
	user.echo(t, live)

	main := func() string { return systemctl(t, "show", "xlb", "-p", "MainPID", "--value") }
	before := main()
	systemctl(t, "reload", "xlb")
	reloaded := main()
	if reloaded == before || reloaded == "0" {
		t.Errorf("the main process was %s and is %s after a reload", before, reloaded)
	}
	user.echo(t, live)
	user.trip(t)
	install() // an upgrade
	if now := main(); now == reloaded || now == "0" {
		t.Errorf("the main process was %s and is %s after an upgrade", reloaded, now)
	}
	user.echo(t, live)
	live.Close()

	if _, err := os.Stat("/usr/share/man/man8/xlb.8.gz"); err != nil {
		t.Error(err)
	}
	t.Log(run(t, "/", nil, "sh", "-c", "systemd-analyze security --no-pager xlb | tail -1"))
	systemctl(t, "stop", "xlb")
	if result := systemctl(t, "show", "xlb", "-p", "Result", "--value"); result != "success" {
		t.Errorf("the stop: %s\n%s", result, run(t, "/", nil, "journalctl", "--no-pager", "-u", "xlb"))
	}
	systemctl(t, "start", "xlb")
	user.trip(t)

	run(t, "/", nil, "apt-get", "purge", "-y", "xlb")
	for _, path := range []string{"/usr/bin/xlb", "/etc/default/xlb", "/lib/systemd/system/xlb.service", "/etc/systemd/system/multi-user.target.wants/xlb.service"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	if _, err := os.Stat("/var/lib/xlb/cacert.pem"); err != nil {
		t.Errorf("the authority went with the package: %v", err)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:9090"); err == nil {
		conn.Close()
		t.Error("the data plane's port is still open")
	}
}

// TestRunbook runs the commands of docs/runbook.md, one block after the other, in a machine on which xlb was never installed.
func TestRunbook(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		t.Skip("TestDebianPackage runs it inside")
	}
	if err := os.RemoveAll("/var/lib/xlb"); err != nil { // of TestInside
		t.Fatal(err)
	}
	text, err := os.ReadFile("/out/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```sh\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		commands, _, _ := strings.Cut(block, "\n```")
		t.Log(run(t, "/out", []string{"DEBIAN_FRONTEND=noninteractive", "HOME=/root"}, "sh", "-euxc", commands))
	}
	if status := run(t, "/", nil, "xlb", "admin", "-data-dir", "/var/lib/xlb", "clients"); !strings.Contains(status, "operators") {
		t.Errorf("clients: %s", status)
	}
	if out := run(t, "/", nil, "ss", "-ltn"); !strings.Contains(out, "*:8083") {
		t.Errorf("the control plane listens on\n%s", out)
	}
}

// user is a client of the installed server, in local mode.
type user struct {
	roots *x509.CertPool
	pair  tls.Certificate
}

// newUser signs up, makes a frontend over an echo and gets a certificate, with what the package has installed.
func newUser(t *testing.T) *user {
	t.Helper()
	ca, err := os.ReadFile("/var/lib/xlb/cacert.pem")
	if err != nil {
		t.Fatal(err)
	}
	u := &user{roots: x509.NewCertPool()}
	u.roots.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: u.roots}}}
	call := func(method, path, auth, body string) map[string]any {
		t.Helper()
		req, err := http.NewRequest(method, "https://localhost:8083/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", auth)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
		}
		var v map[string]any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	one := call("POST", "/client", "", `{"name":"somebody"}`)
	login := call("POST", "/client/auth", "Basic "+base64.StdEncoding.EncodeToString([]byte(one["uuid"].(string)+":"+one["key"].(string))), "")
	token := "Bearer " + login["Token"].(string)
	frontend := call("POST", "/client/frontend", token, fmt.Sprintf(`{"name":"echo","routes":[{"dest":%q}]}`, echoes(t)))
	bundle := call("GET", "/client/frontend/"+frontend["uuid"].(string)+"/tls", token, "")
	text := func(field string) []byte {
		decoded, err := base64.StdEncoding.DecodeString(bundle[field].(string))
		if err != nil {
			t.Fatal(err)
		}
		return decoded
	}
	if u.pair, err = tls.X509KeyPair(text("certificate"), text("key")); err != nil {
		t.Fatal(err)
	}
	return u
}

func echoes(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	return l.Addr().String()
}

func (u *user) dial(t *testing.T) *tls.Conn {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", "localhost:9090", &tls.Config{RootCAs: u.roots, Certificates: []tls.Certificate{u.pair}})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// trip is a connection of its own.
func (u *user) trip(t *testing.T) {
	t.Helper()
	conn := u.dial(t)
	defer conn.Close()
	u.echo(t, conn)
}

func (u *user) echo(t *testing.T, conn *tls.Conn) {
	t.Helper()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "ping")
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "ping" {
		t.Fatalf("the stream: %q, %v", answer, err)
	}
}
