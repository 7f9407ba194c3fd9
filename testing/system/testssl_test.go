package system

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What testssl.sh finds on either port, above what it calls information, is explained in docs/security.md.
func TestFindingsOfTestsslAreExplained(t *testing.T) {
	if os.Getenv("XLB_TESTSSL") == "" {
		t.Skip("in make check: it takes minutes")
	}
	docs, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(web(t, "one")))
	// Nobody gets anything on the data plane without a certificate, and testssl.sh has no flag for one.
	openssl := filepath.Join(t.TempDir(), "openssl")
	script := "#!/bin/sh\n[ \"$1\" = s_client ] || exec openssl \"$@\"\nshift\nexec openssl s_client -cert " + dir + "/cert.pem -key " + dir + "/key.pem \"$@\"\n"
	if err := os.WriteFile(openssl, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{s.http, s.lb} {
		for _, f := range testssl(t, openssl, filepath.Join(s.dir, "cacert.pem"), address) {
			if f.Severity == "OK" || f.Severity == "INFO" {
				continue
			}
			id, _, _ := strings.Cut(f.ID, " <")
			if !strings.Contains(string(docs), "| `"+id+"` |") {
				t.Errorf("%s: %s %s: %s, and docs/security.md does not explain it", address, f.Severity, f.ID, f.Finding)
			}
		}
	}
}

type finding struct{ ID, Severity, Finding string }

// testssl returns all that testssl.sh finds on a port, and makes sure that it came to its end.
func testssl(t *testing.T, openssl, ca, address string) (all []finding) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "found.json")
	cmd := exec.CommandContext(t.Context(), "timeout", "300", "testssl", "--openssl", openssl, "--quiet", "--color", "0", "--warnings", "batch",
		"--openssl-timeout", "5", "--jsonfile", path, "--add-ca", ca, "https://"+address+"/")
	out, err := cmd.CombinedOutput() // the status counts findings
	text, readErr := os.ReadFile(path)
	if readErr != nil {
		t.Fatalf("testssl: %v, %v\n%s", err, readErr, out)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	seen := map[string]bool{}
	for _, f := range all {
		seen[f.ID] = true
	}
	for _, id := range []string{"TLS1", "TLS1_3", "heartbleed", "RC4"} { // from the first to the last part
		if !seen[id] {
			t.Errorf("%s: the run says nothing of %s, so it was cut short\n%s", address, id, out)
		}
	}
	return all
}
