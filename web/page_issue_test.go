package web

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// The page hands out a bundle in each format, and the certificate in it is one that was issued.
func TestIssueInEveryFormat(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id, cookie := c.frontend("10.0.0.1:80"), f.cookieOf(c)
	page := "/frontends/" + id + "/certificate"
	for format, read := range map[string]func(*testing.T, answer) tls.Certificate{
		"zip": pairInZip, "tar.gz": pairInTar, "pem": pairInPEM, "k8s": pairInManifest,
		"p12": pairBehindPassword, "p12-legacy": pairBehindPassword,
	} {
		form := url.Values{"format": {strings.TrimSuffix(format, "-legacy")}, "days": {"7"}, "name": {"n-" + format[:2]}, "keyType": {"ecdsa-p256"}}
		if format == "p12-legacy" {
			form.Set("legacy", "on")
		}
		a := f.postForm(page, form.Encode(), "Cookie", cookie)
		if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d, %q, want 200 and no-store", format, a.status, a.header.Get("Cache-Control"))
		}
		leaf := read(t, a).Leaf
		if left := time.Until(leaf.NotAfter); left < 6*24*time.Hour || left > 8*24*time.Hour || leaf.PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("%s: valid for %v with %v, want 7 days and ECDSA", format, left, leaf.PublicKeyAlgorithm)
		}
		if next := f.do("GET", "/certificates", nil, "Cookie", cookie).body; !strings.Contains(next, "n-"+format[:2]) {
			t.Errorf("%s: the list of certificates does not have its name", format)
		}
	}
}

func filesPair(t *testing.T, cert, key []byte) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	must(t, err)
	return pair
}

func pairInZip(t *testing.T, a answer) tls.Certificate {
	r, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
	must(t, err)
	files := map[string][]byte{}
	for _, file := range r.File {
		in, err := file.Open()
		must(t, err)
		files[file.Name], err = io.ReadAll(in)
		must(t, err)
	}
	return filesPair(t, files["cert.pem"], files["key.pem"])
}

func pairInTar(t *testing.T, a answer) tls.Certificate {
	unzipped, err := gzip.NewReader(strings.NewReader(a.body))
	must(t, err)
	files := map[string][]byte{}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if err == io.EOF {
			return filesPair(t, files["cert.pem"], files["key.pem"])
		}
		must(t, err)
		files[header.Name], err = io.ReadAll(r)
		must(t, err)
	}
}

func pairInPEM(t *testing.T, a answer) tls.Certificate {
	return filesPair(t, []byte(a.body), []byte(a.body))
}

func pairInManifest(t *testing.T, a answer) tls.Certificate {
	field := func(name string) []byte {
		found := regexp.MustCompile(regexp.QuoteMeta(name) + `: (\S+)`).FindStringSubmatch(a.body)
		if found == nil {
			t.Fatalf("no %s in the manifest", name)
		}
		data, err := base64.StdEncoding.DecodeString(found[1])
		must(t, err)
		return data
	}
	return filesPair(t, field("tls.crt"), field("tls.key"))
}

// pairBehindPassword takes the file and the password out of the page.
func pairBehindPassword(t *testing.T, a answer) tls.Certificate {
	find := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(a.body)
		if found == nil {
			t.Fatalf("the page has no %s:\n%s", pattern, a.body)
		}
		return html.UnescapeString(found[1])
	}
	file, err := base64.StdEncoding.DecodeString(find(`href="data:application/x-pkcs12;base64,([^"]+)"`))
	must(t, err)
	key, leaf, _, err := pkcs12.DecodeChain(file, find(`id="secret-1"[^>]*>([a-z2-7]{20})<`))
	must(t, err)
	return tls.Certificate{PrivateKey: key, Leaf: leaf}
}

// With a request of one's own there is no key in the bundle, and no format that needs one.
func TestIssueForARequest(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id, cookie := c.frontend("10.0.0.1:80"), f.cookieOf(c)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	post := func(format string) answer {
		form := url.Values{"frontend": {id}, "format": {format}, "csr": {csr}, "keyType": {"rsa-2048"}}
		return f.postForm("/certificates/new", form.Encode(), "Cookie", cookie)
	}
	if a := post("p12"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "with a signing request it stays with you") || !strings.Contains(a.body, "BEGIN CERTIFICATE REQUEST") {
		t.Errorf("PKCS#12 for a request: %d, want 422 with the way out, and what was typed", a.status)
	}
	a := post("pem")
	block, _ := pem.Decode([]byte(a.body))
	if a.status != http.StatusOK || strings.Contains(a.body, "PRIVATE") || block == nil {
		t.Fatalf("one PEM file for a request: %d", a.status)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the certificate is for another key")
	}
	if page := f.follow(answer{status: 303, header: withLocation(a.header, "/certificates")}, cookie); !strings.Contains(page.body, "The certificate is issued.") {
		t.Error("the list does not say that it is issued")
	}
}

func withLocation(h http.Header, path string) http.Header {
	h = h.Clone()
	h.Set("Location", path)
	return h
}

func TestIssueSaysWhatIsWrong(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id, cookie := c.frontend("10.0.0.1:80"), f.cookieOf(c)
	for name, wrong := range map[string]struct {
		form url.Values
		want string
	}{
		"too long":   {url.Values{"days": {"398"}}, "Use 1 to 397 days."},
		"ages":       {url.Values{"days": {"99999999999999"}}, "Use 1 to 397 days."},
		"no days":    {url.Values{"days": {"0"}}, "Use 1 to 397 days."},
		"negative":   {url.Values{"days": {"-3"}}, "Use 1 to 397 days."},
		"words":      {url.Values{"days": {"ninety"}}, "Use 1 to 397 days."},
		"format":     {url.Values{"format": {"rar"}}, "Use zip, tar.gz"},
		"key type":   {url.Values{"keyType": {"dsa"}}, "Use rsa-3072"},
		"no request": {url.Values{"csr": {"hello"}}, "csr-d"},
		"long name":  {url.Values{"name": {strings.Repeat("x", 65)}}, "64"},
	} {
		a := f.postForm("/frontends/"+id+"/certificate", wrong.form.Encode(), "Cookie", cookie)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, wrong.want) || !strings.Contains(a.body, `aria-invalid="true"`) && name != "format" && name != "key type" {
			t.Errorf("%s: %d, want 422 with %q beside its field", name, a.status, wrong.want)
		}
	}
	if a := f.do("GET", "/api/v1/client/frontend/"+id+"/certificates", nil, "Authorization", "Bearer "+c.token); !bytes.Contains([]byte(a.body), []byte(`"items":[]`)) {
		t.Errorf("a certificate was issued all the same: %s", a.body)
	}
	other := f.signUp("another")
	if a := f.postForm("/certificates/new", url.Values{"frontend": {id}}.Encode(), "Cookie", f.cookieOf(other)); a.status != http.StatusNotFound {
		t.Errorf("another client's frontend: %d, want 404", a.status)
	}
}
