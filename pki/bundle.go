package pki

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Bundle is what a program needs to connect.
type Bundle struct {
	Certificate, Key, CA []byte   // PEM
	Name                 string   // of the frontend
	Endpoint             string   // host:port
	Hostnames            []string // names of the server, the first one is the Endpoint's
	Serial, Fingerprint  string
	NotAfter             time.Time
}

// Zip packs cert.pem, key.pem, ca.pem and README.txt. The key is marked 0600; not every program that
// unpacks heeds it, so the README says chmod.
func (b Bundle) Zip() ([]byte, error) {
	files := []struct {
		name string
		mode fs.FileMode
		data []byte
	}{
		{"cert.pem", 0o644, b.Certificate},
		{"key.pem", 0o600, b.Key},
		{"ca.pem", 0o644, b.CA},
		{"README.txt", 0o644, []byte(b.readme())},
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, file := range files {
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
	return fmt.Sprintf(`XLB bundle of %s

Connect to      %s, TLS 1.3%s
Expires         %s
Serial          %s
SHA-256         %s

cert.pem  the certificate that says who you are
key.pem   its private key: keep it to yourself (chmod 600 key.pem). Nobody has a copy
ca.pem    the authority that you check the server against

Any program that presents cert.pem and key.pem is balanced over the frontend's routes. Try one:

curl --cert cert.pem --key key.pem --cacert ca.pem https://%s/
openssl s_client -quiet -verify_return_error -connect %s -cert cert.pem -key key.pem -CAfile ca.pem
redis-cli -h %s -p %s --tls --cert cert.pem --key key.pem --cacert ca.pem PING

When a program is turned away, TLS 1.3 does not tell it why. The frontend's page and the server's log do.
`, b.Name, b.Endpoint, names, b.NotAfter.UTC().Format("2 Jan 2006 15:04 UTC"), b.Serial, b.Fingerprint, b.Endpoint, b.Endpoint, host, port)
}
