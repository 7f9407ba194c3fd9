package pki

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// realBundle is a bundle with a certificate of an authority made for the test.
func realBundle(t *testing.T) Bundle {
	t.Helper()
	now := time.Now()
	a, key := around(t, now), must[crypto.Signer](t)(sharedRSA())
	r := request(t, now)
	r.PublicKey = key.Public()
	cert := must[*x509.Certificate](t)(a.IssueClient(r))
	return Bundle{
		Certificate: EncodeCertificate(cert), Key: must[[]byte](t)(EncodeKey(key)), CA: a.CertificatePEM(),
		Name: "Orders DB.1", Endpoint: "xlb.example.com:9090", NotAfter: cert.NotAfter, Password: NewPassword(),
	}
}

func TestTarKeepsTheKeyToItsOwner(t *testing.T) {
	b := realBundle(t)
	r := tar.NewReader(must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(must[[]byte](t)(b.Pack(TarGz))))))
	files := map[string]string{}
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(must[[]byte](t)(io.ReadAll(r)))
		if want := map[bool]int64{true: 0o600, false: 0o644}[header.Name == "key.pem"]; header.Mode != want {
			t.Errorf("%s has mode %o, want %o", header.Name, header.Mode, want)
		}
	}
	if files["key.pem"] != string(b.Key) || files["cert.pem"] != string(b.Certificate) || files["ca.pem"] != string(b.CA) || len(files) != 4 {
		t.Errorf("%d files, want 4 with what the bundle holds", len(files))
	}
}

func TestOnePEMFileIsKeyAndChain(t *testing.T) {
	b := realBundle(t)
	all := must[[]byte](t)(b.Pack(PEM))
	if _, err := tls.X509KeyPair(all, all); err != nil {
		t.Errorf("a program that takes key and certificate from one file: %v", err)
	}
	if !bytes.HasSuffix(all, b.CA) {
		t.Error("the authority is not the last in the file")
	}
}

func TestPKCS12OpensWithItsPasswordAlone(t *testing.T) {
	b := realBundle(t)
	for _, f := range []Format{PKCS12, PKCS12Legacy} {
		data := must[[]byte](t)(b.Pack(f))
		_, cert, chain, err := pkcs12.DecodeChain(data, b.Password)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if !bytes.Equal(EncodeCertificate(cert), b.Certificate) || len(chain) != 1 || !bytes.Equal(EncodeCertificate(chain[0]), b.CA) {
			t.Errorf("%s: holds other certificates than the bundle", f)
		}
		if _, _, _, err := pkcs12.DecodeChain(data, "changeit"); err == nil {
			t.Errorf("%s: opens with another password", f)
		}
		openWithOpenSSL(t, f, data, b.Password)
	}
	if a, b := NewPassword(), NewPassword(); a == b || !regexp.MustCompile(`^[a-z2-7]{20}$`).MatchString(a) {
		t.Errorf("passwords %q and %q, want two of 20 letters and digits", a, b)
	}
}

// openWithOpenSSL reads the file with somebody else's program, where there is one.
func openWithOpenSSL(t *testing.T, f Format, data []byte, password string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Log("no openssl here: the file was read with the library that wrote it alone")
		return
	}
	name := filepath.Join(t.TempDir(), "bundle.p12")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "pkcs12", "-in", name, "-passin", "pass:"+password, "-nodes").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PRIVATE KEY") || strings.Count(string(out), "BEGIN CERTIFICATE") != 2 {
		t.Errorf("openssl reads %s as: %v\n%s", f, err, out)
	}
}

func TestKubernetesSecret(t *testing.T) {
	b := realBundle(t)
	manifest := string(must[[]byte](t)(b.Pack(Kubernetes)))
	for _, want := range []string{"kind: Secret\n", "name: xlb-orders-db-1\n", "type: kubernetes.io/tls\n"} {
		if !strings.Contains(manifest, want) {
			t.Errorf("the manifest does not say %q:\n%s", want, manifest)
		}
	}
	for field, want := range map[string][]byte{"tls.crt": b.Certificate, "tls.key": b.Key, "ca.crt": b.CA} {
		found := regexp.MustCompile(regexp.QuoteMeta(field) + `: (\S+)`).FindStringSubmatch(manifest)
		if found == nil {
			t.Fatalf("no %s in the manifest", field)
		}
		if got := must[[]byte](t)(base64.StdEncoding.DecodeString(found[1])); !bytes.Equal(got, want) {
			t.Errorf("%s is not what the bundle holds", field)
		}
	}
	for frontend, want := range map[string]string{"redis": "xlb-redis", "Ünï 7!": "xlb--n--7", "--": "xlb"} {
		if got := SecretName(frontend); got != want {
			t.Errorf("the secret of %q is %q, want %q", frontend, got, want)
		}
	}
}

func TestFormatsThatNeedAKey(t *testing.T) {
	b := realBundle(t)
	b.Key = nil
	for _, f := range Formats {
		data, err := b.Pack(f)
		if f.NeedsKey() {
			if !errors.Is(err, errNoKey) {
				t.Errorf("%s without a key: %v, want %v", f, err, errNoKey)
			}
			continue
		}
		if err != nil || bytes.Contains(data, []byte("PRIVATE")) {
			t.Errorf("%s without a key: %v, %d bytes", f, err, len(data))
		}
	}
	if files, _ := unpack(t, b); len(files) != 3 || !strings.Contains(files["README.txt"], "the key that you made the request with") {
		t.Errorf("the zip of a request holds %d files, want 3 and a README that says where the key is:\n%s", len(files), files["README.txt"])
	}
	if _, err := b.Pack("rar"); err == nil {
		t.Error("a format that does not exist is packed")
	}
}
