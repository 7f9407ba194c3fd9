package system

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

const caPassphrase = "open sesame, please"

// company is a folder with an authority as a company hands it out: an intermediate below its root, which permits no other
// below it, and an encrypted key.
func company(t *testing.T) (dir, passFile string) {
	t.Helper()
	dir = dataDir(t)
	script := `set -e
umask 077
openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 30 -subj "/O=Example/CN=Example Root" -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
openssl ecparam -name prime256v1 -genkey -noout -out plain.key
openssl req -new -key plain.key -out issuing.csr -subj "/O=Example/CN=Example Issuing"
printf 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' > ext
openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile ext -out issuing.pem 2>/dev/null
cat issuing.pem root.pem > cacert.pem
openssl pkcs8 -topk8 -in plain.key -out cakey.pem -passout "pass:` + caPassphrase + `"
`
	if out, err := runIn(t, dir, "sh", "-c", script); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	passFile = filepath.Join(dir, "pass")
	if err := os.WriteFile(passFile, []byte(caPassphrase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, passFile
}

func contentOf(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// XLB issues below a company's root: who trusts the root can check the ports, bundles have what is between, and the key stays
// where it was.
func TestAuthorityOfACompany(t *testing.T) {
	ca, pass := company(t)
	s := start(t, dataDir(t), "-ca-dir", ca, "-ca-key-pass-file", pass)
	c := s.signUp("testuser")
	dir := c.peerBundle(c.frontend(web(t, "one")), "ecdsa-p256")
	if got, want := contentOf(t, dir, "ca.pem"), contentOf(t, ca, "root.pem"); !bytes.Equal(got, want) {
		t.Errorf("ca.pem is %s, want the root", got)
	}
	if got := contentOf(t, dir, "cert.pem"); bytes.Count(got, []byte("BEGIN CERTIFICATE")) != 2 || !bytes.Contains(got, contentOf(t, ca, "issuing.pem")) {
		t.Errorf("cert.pem is %s, want the certificate and that of its authority", got)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "cakey.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a copy of the key: %v", err)
	}
	s.allAsk(t, "issued", map[string]string{"new": dir})
	list := s.call("GET", "/api/v1/crl", "", nil)
	crl := filepath.Join(t.TempDir(), "crl")
	if err := os.WriteFile(crl, list.body, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := runIn(t, ca, "openssl", "crl", "-inform", "DER", "-in", crl, "-noout", "-CAfile", "issuing.pem"); err != nil || !strings.Contains(out, "verify OK") {
		t.Errorf("the list of what was revoked: %v %s", err, out)
	}

	t.Run("backup", func(t *testing.T) {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(t.TempDir(), "key.txt")
		if err := os.WriteFile(key, []byte(identity.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "xlb.age")
		must(t, "backup", "-data-dir", s.dir, "-o", file, "-recipient", identity.Recipient().String())
		restored := dataDir(t)
		must(t, "restore", "-data-dir", restored, "-i", file, "-identity", key)
		if _, err := os.Stat(filepath.Join(restored, "cakey.pem")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the key is in the backup: %v", err)
		}
		if out := wontStart(t, restored); !strings.Contains(out, "-ca-dir") {
			t.Errorf("without the key it says %s", out)
		}
		other := start(t, restored, "-ca-dir", ca, "-ca-key-pass-file", pass)
		other.allAsk(t, "restored", map[string]string{"old": dir})
	})
	t.Run("credential", func(t *testing.T) {
		credentials := t.TempDir()
		if err := os.WriteFile(filepath.Join(credentials, "ca-key-pass"), []byte(caPassphrase), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("CREDENTIALS_DIRECTORY", credentials)
		s.stop()
		s.run("-ca-dir", ca)
		s.allAsk(t, "with a credential", map[string]string{"old": dir})
	})
}

// A server with an authority of its own goes over to a company's, and its programs with it.
func TestGoingOverToACompany(t *testing.T) {
	ca, pass := company(t)
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(web(t, "one"))
	bundles := map[string]string{"old": c.peerBundle(id, "ecdsa-p256")}
	old := strings.Fields(strings.Split(s.says("authority"), "\n")[1])[0]
	s.stop()
	s.run("-ca-dir", ca, "-ca-key-pass-file", pass)
	s.allAsk(t, "known", bundles)
	young := strings.Fields(strings.Split(s.says("authority"), "\n")[2])[0]
	s.says("authority", "use", young)
	bundles["company"] = c.peerBundle(id, "ecdsa-p256")
	if err := os.WriteFile(filepath.Join(bundles["company"], "ca.pem"), contentOf(t, ca, "root.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.allAsk(t, "used", bundles)
	if out := s.says("authority"); strings.Contains(out, "cannot be checked") {
		t.Errorf("who is left out: %s", out)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "cakey.pem")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key of the old one: %v", err)
	}
	s.says("authority", "use", old) // a way back
	s.allAsk(t, "back", bundles)
	if _, err := os.Stat(filepath.Join(s.dir, "cakey.pem")); err != nil {
		t.Error(err)
	}
	s.says("authority", "use", young)
	s.says("authority", "retire", old, "anyway")
	delete(bundles, "old")
	s.allAsk(t, "retired", bundles)
}

// What is wrong with the folder is said, and nothing is made.
func TestAuthorityOfACompanyIsRefused(t *testing.T) {
	ca, pass := company(t)
	wrongPass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(wrongPass, []byte("guess\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		spoil string
		args  []string
		says  string
	}{
		"no passphrase":        {"", nil, "the key is encrypted, and no passphrase is given"},
		"another passphrase":   {"", []string{"-ca-key-pass-file", wrongPass}, "the passphrase does not open the key"},
		"everybody may read":   {"chmod 644 cakey.pem", []string{"-ca-key-pass-file", pass}, "run: chmod o-rwx"},
		"the root is missing":  {"cp issuing.pem cacert.pem", []string{"-ca-key-pass-file", pass}, "which it hangs on, has to follow it"},
		"of another":           {"openssl genrsa -out cakey.pem 2048; chmod 600 cakey.pem", nil, "do not belong together"},
		"no certificate":       {"rm cacert.pem", nil, "no such file"},
		"a leaf":               {"openssl req -x509 -key plain.key -out cacert.pem -subj /CN=x -addext basicConstraints=critical,CA:FALSE", []string{"-ca-key-pass-file", pass}, "may not issue others"},
		"it issues no clients": {`printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nextendedKeyUsage=serverAuth\n' > ext; openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -days 9 -extfile ext -out issuing.pem; cat issuing.pem root.pem > cacert.pem`, []string{"-ca-key-pass-file", pass}, "would not believe what the authority issues"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "ca")
			if err := copyData(folder, ca); err != nil {
				t.Fatal(err)
			}
			if out, err := runIn(t, folder, "sh", "-c", "chmod 600 *; "+tc.spoil); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			dir := dataDir(t)
			out := wontStart(t, dir, append([]string{"-ca-dir", folder}, tc.args...)...)
			if !strings.Contains(out, tc.says) {
				t.Errorf("it says %s, want %q", out, tc.says)
			}
			if strings.Contains(out, caPassphrase) {
				t.Errorf("the passphrase is in %s", out)
			}
			if _, err := os.Stat(filepath.Join(dir, "cakey.pem")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("an authority was made: %v", err)
			}
		})
	}
}
