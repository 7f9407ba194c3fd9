package system

import (
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// peer makes one HTTP request with the bundle in the folder where it runs. The words of its command are
// filled in: HOST, PORT, METHOD and PATH.
type peer struct {
	name, program string
	command       string
	everywhere    bool // in make test, and not only in make check
}

// Programs with the TLS libraries that people have. wget is GnuTLS in Debian.
var peers = []peer{
	{"openssl", "curl", `curl -sS --cacert ca.pem --cert cert.pem --key key.pem -X METHOD https://HOST:PORT_PATH_`, true},
	{"gnutls", "wget", `wget -qO- --tries=1 --timeout=20 --method=METHOD --ca-certificate=ca.pem --certificate=cert.pem --private-key=key.pem https://HOST:PORT_PATH_`, true},
	{"python", "python3", `python3 PEERS/peer.py HOST PORT METHOD _PATH_`, false},
	{"node", "node", `node PEERS/peer.mjs HOST PORT METHOD _PATH_`, false},
	{"java", "java", `java PEERS/Peer.java HOST PORT METHOD _PATH_`, false},
}

// The bundle works with every TLS library, on both ports, whatever the key. Without a variable only those
// are tried that make test installs; make check sets it.
func TestBundleWorksWithEveryLibrary(t *testing.T) {
	folder, err := filepath.Abs("peers")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, dataDir(t))
	c := s.signUp("peers")
	id := c.frontend(web(t, "one"))
	for _, keyType := range []string{"rsa-3072", "ecdsa-p256", "ed25519"} {
		dir := c.peerBundle(id, keyType)
		for _, p := range peers {
			if !p.everywhere && os.Getenv("XLB_ALL_PEERS") == "" {
				continue
			}
			t.Run(p.name+" "+keyType, func(t *testing.T) {
				if _, err := exec.LookPath(p.program); err != nil {
					t.Fatalf("%v: install it", err)
				}
				if out := p.ask(t, dir, folder, s.lb, "GET", "/"); !strings.Contains(out, "upstream one") {
					t.Errorf("data plane:\n%s", out)
				}
				if out := p.ask(t, dir, folder, s.http, "POST", "/api/v1/renew"); !strings.Contains(out, `"certificate"`) {
					t.Errorf("renewal:\n%s", out)
				}
			})
		}
	}
}

func (p peer) ask(t *testing.T, dir, folder, address, method, path string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	command := strings.NewReplacer("HOST", "localhost", "PORT", port, "METHOD", method, "_PATH_", path, "PEERS", folder).Replace(p.command)
	out, err := runIn(t, dir, "sh", "-c", command)
	if err != nil {
		t.Errorf("%s: %v", p.name, err)
	}
	return out
}

// bundleOf is like bundle, with a key of a type.
func (c *tenant) bundleOf(frontend, keyType string) string {
	c.s.t.Helper()
	a := c.s.call("POST", "/api/v1/client/frontend/"+frontend+"/tls", c.auth, map[string]any{"keyType": keyType})
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		c.s.t.Fatalf("bundle: %d %s", a.status, a.body)
	}
	return c.s.unpack(a)
}

// peerBundle is a bundle as all peers want it.
func (c *tenant) peerBundle(frontend, keyType string) string {
	c.s.t.Helper()
	dir := c.bundleOf(frontend, keyType)
	if out, err := runIn(c.s.t, dir, "openssl", "pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-out", "bundle.p12", "-passout", "pass:changeit"); err != nil {
		c.s.t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// unpack writes the files of a bundle into a folder.
func (s *server) unpack(a answer) string {
	s.t.Helper()
	dir, v := s.t.TempDir(), a.json(s.t)
	for file, field := range map[string]string{"cert.pem": "certificate", "key.pem": "key", "ca.pem": "ca"} {
		pem, err := base64.StdEncoding.DecodeString(v[field].(string))
		if err != nil {
			s.t.Fatalf("%s: %v", field, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), pem, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}
