package pki

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Keys that openssl has encrypted are opened with their passphrase, and with no other.
func TestReadKey(t *testing.T) {
	plain := must[[]byte](t)(EncodeKeyPKCS8(must[crypto.Signer](t)(GenerateKey(ECDSAP256))))
	rsa := must[crypto.Signer](t)(sharedRSA())
	plainRSA := must[[]byte](t)(EncodeKeyPKCS8(rsa))
	for name, args := range map[string][]string{
		"as openssl does it": {"pkcs8", "-topk8"},
		"AES-128":            {"pkcs8", "-topk8", "-v2", "aes-128-cbc"},
		"scrypt":             {"pkcs8", "-topk8", "-scrypt"},
	} {
		for _, key := range [][]byte{plain, plainRSA} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := openssl(t, nil, append(args, "-in", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "sealed.pem"), "-passout", "pass:open sesame")...); err != nil {
				t.Fatalf("%s: %v %s", name, err, out)
			}
			sealed := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "sealed.pem")))
			got, err := ReadKey(sealed, []byte("open sesame"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			want := must[crypto.Signer](t)(parseKey(key))
			if KeyID(got.Public()) != KeyID(want.Public()) {
				t.Errorf("%s: another key", name)
			}
			if _, err := ReadKey(sealed, []byte("open sesam")); !errors.Is(err, ErrPassphrase) {
				t.Errorf("%s, another passphrase: got %v, want %v", name, err, ErrPassphrase)
			}
			if _, err := ReadKey(sealed, nil); !errors.Is(err, ErrKeyEncrypted) {
				t.Errorf("%s, no passphrase: got %v, want %v", name, err, ErrKeyEncrypted)
			}
		}
	}
	if _, err := ReadKey(plain, []byte("not needed")); err != nil {
		t.Errorf("a key that is not encrypted: %v", err)
	}
	old := []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n")
	if _, err := ReadKey(old, []byte("x")); !errors.Is(err, ErrOldEncrypted) {
		t.Errorf("the old form: got %v, want %v", err, ErrOldEncrypted)
	}
}
