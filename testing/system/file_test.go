package system

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// xlb runs a command that talks to the server with an API key, and returns what it said and how it ended.
func (s *server) xlb(key, in string, args ...string) (string, int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binaries.xlb, args...)
	cmd.Env = append(os.Environ(), "XLB_URL=https://"+s.http, "XLB_CA="+filepath.Join(s.dir, "cacert.pem"), "XLB_API_KEY="+key)
	cmd.Stdin = strings.NewReader(in)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// A shell keeps a client's frontends in a file, with an API key and nothing else.
func TestFrontendsInAFile(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	c.frontend("127.0.0.1:1")
	key, _ := s.call("POST", "/api/v1/client/keys", c.auth, map[string]any{"name": "ci", "scope": "read write"}).json(t)["key"].(string)
	file := filepath.Join(t.TempDir(), "frontends.json")
	if out, code := s.xlb(key, "", "export", "-o", file); code != 0 {
		t.Fatalf("export: exit %d, %s", code, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, want 0600", info.Mode())
	}
	if out, code := s.xlb(key, "", "apply", "-f", file, "-dry-run"); code != 0 || out != "All 1 are as in the file.\n" {
		t.Errorf("the same, dry: exit %d, %s", code, out)
	}
	var v struct {
		Version   int              `json:"version"`
		Frontends []map[string]any `json:"frontends"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	v.Frontends[0]["queueLimit"] = 7
	v.Frontends = append(v.Frontends, map[string]any{"name": "new", "routes": []map[string]any{{"dest": "127.0.0.1:2"}}})
	changed, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	name := v.Frontends[0]["name"].(string)
	wants := "~ " + name + "\n    queueLimit: 1024 -> 7\n+ new\n"
	if out, code := s.xlb(key, string(changed), "apply", "-f", "-", "-dry-run"); code != 2 || out != wants+"2 of 2 would be changed.\n" {
		t.Errorf("dry: exit %d, want 2\n%s", code, out)
	}
	if out, code := s.xlb(key, string(changed), "apply", "-f", "-"); code != 0 || out != wants+"2 of 2 changed.\n" {
		t.Errorf("apply: exit %d, want 0\n%s", code, out)
	}
	if out, code := s.xlb(key, `{"frontends":[]}`, "apply", "-f", "-", "-prune"); code != 0 || !strings.Contains(out, "- new\n") {
		t.Errorf("prune: exit %d, want 0\n%s", code, out)
	}
	for _, wrong := range [][]string{
		{"apply"}, {"apply", "-f", "nothing"}, {"apply", "-f", "-", "extra"}, {"export", "-ca", "/dev/null"}, {"export", "-url", "http://localhost"},
	} {
		if out, code := s.xlb(key, "{}", wrong...); code != 1 || !strings.HasPrefix(out, "xlb: ") {
			t.Errorf("%v: exit %d, want 1 and why\n%s", wrong, code, out)
		}
	}
	if out, code := s.xlb("", "", "export"); code != 1 || !strings.Contains(out, "XLB_API_KEY") {
		t.Errorf("without a key: exit %d, %s", code, out)
	}
	if out, code := s.xlb(key, `{"frontends":[{"name":"x"}]}`, "apply", "-f", "-"); code != 1 || !strings.Contains(out, "body.frontends[0].routes: ") {
		t.Errorf("a wrong file: exit %d, %s", code, out)
	}
}
