package pki

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// opensslRequest makes a key with one command and a request with another, and returns the request.
func opensslRequest(t *testing.T, key string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	keyFile, out := filepath.Join(dir, "key.pem"), filepath.Join(dir, "csr.pem")
	run := func(args ...string) {
		t.Helper()
		if text, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, text)
		}
	}
	run(append(strings.Fields(key), "-out", keyFile)...)
	run(append([]string{"req", "-new", "-key", keyFile, "-out", out, "-subj", "/CN=somebody", "-utf8"}, args...)...)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	rsaCommand = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
	ecCommand  = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
)

func TestRequestsThatAreRead(t *testing.T) {
	good := opensslRequest(t, ecCommand)
	other := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}}))
	for name, tc := range map[string]struct{ text, kind string }{
		"EC":                     {good, "ecdsa"},
		"RSA":                    {opensslRequest(t, rsaCommand), "rsa"},
		"Ed25519":                {opensslRequest(t, "genpkey -algorithm ED25519"), "ed25519"},
		"P-384":                  {opensslRequest(t, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384", "-sha384"), "ecdsa"},
		"P-521":                  {opensslRequest(t, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521", "-sha512"), "ecdsa"},
		"compressed point":       {opensslRequest(t, "ecparam -name prime256v1 -genkey -noout -conv_form compressed"), "ecdsa"},
		"PSS with the long salt": {opensslRequest(t, rsaCommand, "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:max"), "rsa"},
		"PSS by default":         {opensslRequest(t, rsaCommand, "-sha384", "-sigopt", "rsa_padding_mode:pss"), "rsa"},
		"a name with an umlaut":  {opensslRequest(t, ecCommand, "-addext", "subjectAltName=DNS:m\u00fcller.example"), "ecdsa"},
		"many names":             {opensslRequest(t, ecCommand, "-addext", "subjectAltName="+strings.Repeat("DNS:a-rather-long-name.example.com,", 400)+"DNS:end"), "ecdsa"},
		"byte order mark":        {"\ufeff" + good, "ecdsa"},
		"indented":               {"    " + strings.ReplaceAll(good, "\n", "\n    "), "ecdsa"},
		"carriage returns":       {strings.ReplaceAll(good, "\n", "\r\n"), "ecdsa"},
		"another block in front": {other + good, "ecdsa"},
		"words in front":         {"Certificate Request:\n    Data:\n" + good, "ecdsa"},
		"the other heading":      {strings.ReplaceAll(good, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), "ecdsa"},
	} {
		public, kind, err := ParseRequest([]byte(tc.text))
		if err != nil || kind != tc.kind || public == nil {
			t.Errorf("%s (%d bytes): %q, %v", name, len(tc.text), kind, err)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	good := opensslRequest(t, ecCommand)
	block, _ := pem.Decode([]byte(good))
	damaged := append([]byte(nil), block.Bytes...)
	damaged[len(damaged)-5] ^= 1
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"nothing":             {"", ErrRequest},
		"words":               {"hello", ErrRequest},
		"another block":       {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", ErrRequest},
		"too long":            {good + strings.Repeat(" ", maxRequest), ErrRequestLong},
		"another signature":   {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: damaged})), ErrRequestSignature},
		"a weak RSA key":      {opensslRequest(t, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024"), ErrRequestKey},
		"exponent 3":          {opensslRequest(t, rsaCommand+" -pkeyopt rsa_keygen_pubexp:3"), ErrRequestExponent},
		"an RSA-PSS key":      {opensslRequest(t, "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"), ErrRequestPSS},
		"secp256k1":           {opensslRequest(t, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1"), ErrRequestCurve},
		"P-224":               {opensslRequest(t, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-224"), ErrRequestCurve},
		"explicit parameters": {opensslRequest(t, "ecparam -name prime256v1 -genkey -noout -param_enc explicit"), ErrRequestExplicit},
		"Ed448":               {opensslRequest(t, "genpkey -algorithm ED448"), ErrRequestKey},
		"SHA-1":               {opensslRequest(t, rsaCommand, "-sha1"), ErrRequestAlgorithm},
	} {
		if _, _, err := ParseRequest([]byte(tc.text)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// A signature over somebody else's key proves nothing.
func TestRequestForAForeignKeyIsRefused(t *testing.T) {
	own := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	foreign := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	der := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, own))
	swapped := strings.Replace(string(der), string(own.N.Bytes()), string(foreign.N.Bytes()), 1)
	if swapped == string(der) || new(big.Int).Cmp(own.N) == 0 {
		t.Fatal("not swapped")
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte(swapped)})
	if _, _, err := ParseRequest(text); !errors.Is(err, ErrRequestSignature) {
		t.Error(err)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		for _, one := range [][]byte{der, text} {
			if public, kind, err := ParseRequest(one); err == nil && (public == nil || kind == "") {
				t.Errorf("%q: %q", one, kind)
			}
		}
	})
}
