package pki

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Bundle is what a program needs to connect.
type Bundle struct {
	Certificate, Key, CA []byte   // PEM; no Key when it stayed with who asked
	Name                 string   // of the frontend
	Endpoint             string   // host:port
	Hostnames            []string // names of the server, the first one is the Endpoint's
	Serial, Fingerprint  string
	NotAfter             time.Time
	Password             string // of the PKCS#12 formats, which no program reads without one
}

// Format is how a bundle is packed. The zero value is a zip.
type Format string

// Formats of a bundle.
const (
	Zip    Format = "zip"
	TarGz  Format = "tar.gz" // the same files; key.pem arrives with mode 0600
	PEM    Format = "pem"    // key, certificate and authority in one file
	PKCS12 Format = "p12"    // AES-256 and PBKDF2: OpenSSL 1.1.1, Java 12, Windows Server 2019 and later
	// PKCS12Legacy is encrypted with 3DES, and no weaker in its password than PKCS12. Older Apple keychains and Windows
	// Server 2016 read no other.
	PKCS12Legacy Format = "p12-legacy"
	Kubernetes   Format = "k8s" // the manifest of a secret of type kubernetes.io/tls
)

// Formats are all that [Bundle.Pack] knows, in the order to offer them.
var Formats = []Format{Zip, TarGz, PEM, PKCS12, PKCS12Legacy, Kubernetes}

// NeedsKey tells whether the format cannot be without the private key.
func (f Format) NeedsKey() bool { return f.HasPassword() || f == Kubernetes }

// HasPassword tells whether the format is locked with a password.
func (f Format) HasPassword() bool { return f == PKCS12 || f == PKCS12Legacy }

// Extension is what the name of such a file ends in.
func (f Format) Extension() string {
	switch f {
	case TarGz, PEM:
		return "." + string(f)
	case PKCS12, PKCS12Legacy:
		return ".p12"
	case Kubernetes:
		return ".yaml"
	}
	return ".zip"
}

// MediaType is the type of such a file (RFC 6838).
func (f Format) MediaType() string {
	switch f {
	case TarGz:
		return "application/gzip"
	case PEM:
		return "application/x-pem-file"
	case PKCS12, PKCS12Legacy:
		return "application/x-pkcs12"
	case Kubernetes:
		return "application/yaml"
	}
	return "application/zip"
}

// NewPassword makes a password of 100 random bits, in letters and digits that no shell minds.
func NewPassword() string { return strings.ToLower(rand.Text()[:20]) }

var errNoKey = errors.New("pki: this format needs the private key")

// Pack packs the bundle.
func (b Bundle) Pack(f Format) ([]byte, error) {
	if !slices.Contains(Formats, f) {
		return nil, fmt.Errorf("pki: unknown format %q", f)
	}
	if f.NeedsKey() && len(b.Key) == 0 {
		return nil, errNoKey
	}
	switch f {
	case TarGz:
		return b.tarGz()
	case PEM:
		return slices.Concat(b.Key, b.Certificate, b.CA), nil
	case PKCS12:
		return b.pkcs12(pkcs12.Modern2023)
	case PKCS12Legacy:
		return b.pkcs12(pkcs12.LegacyDES)
	case Kubernetes:
		return b.kubernetes(), nil
	}
	return b.zip()
}

type bundleFile struct {
	name string
	mode fs.FileMode
	data []byte
}

func (b Bundle) files() []bundleFile {
	files := []bundleFile{
		{"cert.pem", 0o644, b.Certificate},
		{"key.pem", 0o600, b.Key},
		{"ca.pem", 0o644, b.CA},
		{"README.txt", 0o644, []byte(b.readme())},
	}
	return slices.DeleteFunc(files, func(f bundleFile) bool { return f.name == "key.pem" && len(f.data) == 0 })
}

// zip marks the key 0600; not every program that unpacks heeds it, so the README says chmod.
func (b Bundle) zip() ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, file := range b.files() {
		header := &zip.FileHeader{Name: file.name, Method: zip.Deflate, Modified: time.Now().UTC()}
		header.SetMode(file.mode)
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(file.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buf.Bytes(), err
}

func (b Bundle) tarGz() ([]byte, error) {
	var buf bytes.Buffer
	compressed := gzip.NewWriter(&buf)
	w := tar.NewWriter(compressed)
	for _, file := range b.files() {
		header := &tar.Header{Name: file.name, Mode: int64(file.mode), Size: int64(len(file.data)), ModTime: time.Now().UTC()}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.data); err != nil {
			return nil, err
		}
	}
	err := errors.Join(w.Close(), compressed.Close())
	return buf.Bytes(), err
}

func (b Bundle) pkcs12(encoder *pkcs12.Encoder) ([]byte, error) {
	pair, err := tls.X509KeyPair(b.Certificate, b.Key)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(b.Certificate)
	if err != nil {
		return nil, err
	}
	trusted, err := parseChain(b.CA)
	if err != nil {
		return nil, err
	}
	return encoder.Encode(pair.PrivateKey, pair.Leaf, append(chain[1:], trusted...), b.Password)
}

// kubernetes names the secret as the objects of a cluster are named: lower-case letters, digits and dashes (RFC 1123).
func (b Bundle) kubernetes() []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Secret
metadata:
  name: %s
type: kubernetes.io/tls
data:
  tls.crt: %s
  tls.key: %s
  ca.crt: %s
`, SecretName(b.Name), encode(b.Certificate), encode(b.Key), encode(b.CA))
}

// SecretName is the name that the Kubernetes secret of a frontend has in its cluster.
func SecretName(frontend string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(frontend))
	return strings.TrimRight("xlb-"+name, "-")
}

func (b Bundle) readme() string {
	host := b.Endpoint
	port := ""
	if i := strings.LastIndexByte(b.Endpoint, ':'); i >= 0 {
		host = b.Endpoint[:i]
		port = b.Endpoint[i+1:]
	}
	host = strings.Trim(host, "[]") // of an IPv6 address; redis-cli wants it bare
	names := ""
	if len(b.Hostnames) > 1 {
		names = "\nOther names     " + strings.Join(b.Hostnames[1:], ", ")
	}
	key := "key.pem   its private key: keep it to yourself (chmod 600 key.pem). Nobody has a copy"
	if len(b.Key) == 0 {
		key = "key.pem   is the key that you made the request with: put it here"
	}
	return fmt.Sprintf(`XLB bundle of %s

Connect to      %s, TLS 1.3%s
Expires         %s
Serial          %s
SHA-256         %s

cert.pem  the certificate that says who you are
%s
ca.pem    the authority that you check the server against

Any program that presents cert.pem and key.pem is balanced over the frontend's routes. Try one:

curl --cert cert.pem --key key.pem --cacert ca.pem https://%s/
openssl s_client -quiet -verify_return_error -connect %s -cert cert.pem -key key.pem -CAfile ca.pem
redis-cli -h %s -p %s --tls --cert cert.pem --key key.pem --cacert ca.pem PING

When a program is turned away, TLS 1.3 does not tell it why. The frontend's page and the server's log do.
`, b.Name, b.Endpoint, names, b.NotAfter.UTC().Format("2 Jan 2006 15:04 UTC"), b.Serial, b.Fingerprint, key, b.Endpoint, b.Endpoint, host, port)
}
