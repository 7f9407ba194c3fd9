package pki

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"strings"
	"testing"
	"time"
)

// unpack reads a bundle's zip.
func unpack(t *testing.T, b Bundle) (map[string]string, *zip.Reader) {
	t.Helper()
	data := must[[]byte](t)(b.Pack(Zip))
	r := must[*zip.Reader](t)(zip.NewReader(bytes.NewReader(data), int64(len(data))))
	files := map[string]string{}
	for _, f := range r.File {
		in := must[io.ReadCloser](t)(f.Open())
		files[f.Name] = string(must[[]byte](t)(io.ReadAll(in)))
		in.Close()
	}
	return files, r
}

func TestBundle(t *testing.T) {
	now := time.Now()
	a, key := around(t, now), must[crypto.Signer](t)(sharedRSA())
	r := request(t, now)
	r.PublicKey = key.Public()
	cert := must[*x509.Certificate](t)(a.IssueClient(r))
	files, reader := unpack(t, Bundle{
		Certificate: EncodeCertificate(cert), Key: must[[]byte](t)(EncodeKey(key)), CA: a.CertificatePEM(),
		Name: "orders", Endpoint: "xlb.example.com:9090", Hostnames: []string{"xlb.example.com", "10.0.0.5"},
		Serial: FormatSerial(cert.SerialNumber), Fingerprint: Fingerprint(cert), NotAfter: cert.NotAfter,
	})
	if len(files) != 4 {
		t.Errorf("%d files, want 4", len(files))
	}
	for _, f := range reader.File {
		want := map[bool]uint32{true: 0o600, false: 0o644}[f.Name == "key.pem"]
		if uint32(f.Mode().Perm()) != want || time.Since(f.Modified) > time.Hour {
			t.Errorf("%s has mode %v and is of %v", f.Name, f.Mode(), f.Modified)
		}
	}
	pair, err := tls.X509KeyPair([]byte(files["cert.pem"]), []byte(files["key.pem"]))
	if err != nil {
		t.Fatalf("key and certificate: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(files["ca.pem"])) {
		t.Error("ca.pem holds no certificate")
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usages}); err != nil {
		t.Errorf("cert.pem against ca.pem: %v", err)
	}
	for _, want := range []string{
		"bundle of orders", "xlb.example.com:9090", "10.0.0.5", cert.NotAfter.UTC().Format("2 Jan 2006 15:04 UTC"), Fingerprint(cert), FormatSerial(cert.SerialNumber),
		"chmod 600 key.pem", "https://xlb.example.com:9090/", "-connect xlb.example.com:9090", "-h xlb.example.com -p 9090",
	} {
		if !strings.Contains(files["README.txt"], want) {
			t.Errorf("README does not say %q:\n%s", want, files["README.txt"])
		}
	}
	if strings.Contains(files["README.txt"], "%!") {
		t.Errorf("README is badly formatted:\n%s", files["README.txt"])
	}
}

func TestBundleOfAnIPv6Endpoint(t *testing.T) {
	files, _ := unpack(t, Bundle{Name: "six", Endpoint: "[2001:db8::1]:9090"})
	for _, want := range []string{"https://[2001:db8::1]:9090/", "-connect [2001:db8::1]:9090", "-h 2001:db8::1 -p 9090"} {
		if !strings.Contains(files["README.txt"], want) {
			t.Errorf("README does not say %q:\n%s", want, files["README.txt"])
		}
	}
}
