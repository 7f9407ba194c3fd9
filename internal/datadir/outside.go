package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/xdire/xlb/pki"
)

// passCredential is the name of the passphrase among the credentials that systemd gives a service.
const passCredential = "ca-key-pass"

// Outside reads an authority that its owner keeps: its certificate, those that it hangs on, and its key, which may be
// encrypted. passFile is empty for a credential of systemd, or for a key that is not. Nil for an empty dir.
func Outside(dir, passFile string) (*pki.Authority, error) {
	if dir == "" {
		return nil, nil
	}
	certPath, keyPath := Authority(dir)
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(keyPath); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("everybody may read %s (mode %04o); run: chmod o-rwx %s", keyPath, info.Mode().Perm(), keyPath)
	}
	text, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, err
	}
	passphrase, err := passphrase(passFile)
	if err != nil {
		return nil, err
	}
	key, err := pki.ReadKey(text, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	authority, err := pki.AuthorityOf(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certPath, err)
	}
	return authority, nil
}

// passphrase is the first line of a file; empty for none.
func passphrase(path string) ([]byte, error) {
	credential := false
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		path = filepath.Join(dir, passCredential)
		credential = true
	}
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if credential && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
		return nil, fmt.Errorf("%s has no passphrase in its first line", path)
	}
	return line, nil
}
