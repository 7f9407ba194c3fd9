package system

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// admin runs `xlb admin` beside the server, and returns what it said and how it ended.
func (s *server) admin(args ...string) (string, int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binaries.xlb, append([]string{"admin", "-data-dir", s.dir}, args...)...)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// says runs a command that has to succeed, and returns what it said.
func (s *server) says(args ...string) string {
	s.t.Helper()
	out, code := s.admin(args...)
	if code != 0 {
		s.t.Fatalf("xlb admin %s: exit %d, want 0\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// statusOf is what the server answers to a request with a credential.
func (s *server) statusOf(method, path, auth string) int {
	s.t.Helper()
	return s.call(method, path, auth, nil).status
}

// Whoever runs the server administers it through the socket in its data directory: in local mode, where nobody is an
// administrator, and when nobody can log in. All of it is in the trails.
func TestOperatorAdministersThroughTheSocket(t *testing.T) {
	s := start(t, dataDir(t))
	info, err := os.Stat(filepath.Join(s.dir, "admin.sock"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the socket: %v %v, want mode 0600", info, err)
	}
	c := s.signUp("testuser")
	other := s.signUp("other")
	if out := s.says("clients"); !strings.Contains(out, c.uuid) || !strings.Contains(out, other.uuid) {
		t.Errorf("clients: %s", out)
	}
	if out := s.says("clients", "OTHER"); strings.Contains(out, c.uuid) || !strings.Contains(out, other.uuid) {
		t.Errorf("clients by name: %s", out)
	}
	if out := s.says("status"); !strings.Contains(out, "ca_xlb") || !strings.Contains(out, "2, 0 administrators") {
		t.Errorf("status: %s", out)
	}
	const clients = "/api/v1/admin/clients"
	if got := s.statusOf("GET", clients, c.auth); got != 403 {
		t.Errorf("before: %d, want 403", got)
	}
	s.says("make-admin", c.uuid)
	if got := s.statusOf("GET", clients, c.auth); got != 200 {
		t.Errorf("an administrator: %d, want 200", got)
	}
	s.says("unmake-admin", c.uuid)
	if got := s.statusOf("GET", clients, c.auth); got != 403 {
		t.Errorf("no longer one: %d, want 403", got)
	}

	s.says("limits", c.uuid, "frontends=1", "connections=none", "certificates=default")
	if out := s.says("client", c.uuid); !regexp.MustCompile(`frontends +0 of 1\n`).MatchString(out) || !regexp.MustCompile(`connections +0 of no bound\n`).MatchString(out) {
		t.Errorf("client: %s", out)
	}
	for _, wrong := range [][]string{
		{"limits", c.uuid, "frontends=many"}, {"limits", c.uuid, "nonsense=1"}, {"limits", c.uuid}, {"explode"}, {"disable", "nobody"}, {"delete", c.uuid, "another"}, {"clients", "a", "b"},
	} {
		if out, code := s.admin(wrong...); code != 1 || !strings.HasPrefix(out, "xlb: ") {
			t.Errorf("xlb admin %v: exit %d, %s", wrong, code, out)
		}
	}

	key := regexp.MustCompile(`[0-9a-f]{64}`).FindString(s.says("reset-key", c.uuid))
	basic := func(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.uuid+":"+key)) }
	if old, fresh := s.statusOf("POST", "/api/v1/client/auth", basic(c.key)), s.statusOf("POST", "/api/v1/client/auth", basic(key)); old != 401 || fresh != 200 {
		t.Errorf("after the reset: old key %d, new key %d, want 401 and 200", old, fresh)
	}
	s.says("disable", c.uuid)
	if got := s.statusOf("POST", "/api/v1/client/auth", basic(key)); got != 403 {
		t.Errorf("disabled: %d, want 403", got)
	}
	s.says("enable", c.uuid)
	if out := s.says("sessions", c.uuid); !strings.HasPrefix(out, "ID") {
		t.Errorf("sessions: %s", out)
	}
	s.says("end-sessions", c.uuid)

	if code := strings.Fields(s.says("invite")); len(code[len(code)-1]) != 32 {
		t.Errorf("invite: %v", code)
	}
	id := regexp.MustCompile(`[0-9a-f]{64}`).FindString(s.says("invites"))
	s.says("revoke-invite", id)
	if out := s.says("invites"); strings.Contains(out, id) {
		t.Errorf("an invite that was taken back is listed: %s", out)
	}
	s.says("delete", other.uuid, "other")
	if out := s.says("clients"); strings.Contains(out, other.uuid) {
		t.Errorf("deleted, and listed: %s", out)
	}

	trail := s.says("audit")
	for _, want := range []string{"admin.set-administrator", "admin.set-limits", "admin.reset-key", "admin.disable-client", "admin.invite", "admin.delete-client", "refused"} {
		if !strings.Contains(trail, want) {
			t.Errorf("the operator's trail lacks %s:\n%s", want, trail)
		}
	}
	s.process.Kill()
	if out, code := s.admin("status"); code != 1 || !strings.Contains(out, "no server answers on") || !strings.Contains(out, "-data-dir") {
		t.Errorf("without a server: exit %d, %s", code, out)
	}
	s.run() // over the socket that the killed one has left
	s.says("status")
}
