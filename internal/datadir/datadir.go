// Package datadir knows the files of the data directory beside the store: the authority, the master key and the set-up
// code. Its parts belong together: what is missing beside the others was lost, and is not made anew.
package datadir

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/xdire/xlb/internal/backup"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Store is where the store is kept.
func Store(dir string) string { return filepath.Join(dir, "store") }

// Authority is where the authority's certificate is kept, for people to trust, and its key.
func Authority(dir string) (cert, key string) {
	return filepath.Join(dir, backup.AuthorityName), filepath.Join(dir, backup.AuthorityKeyName)
}

// MasterKey is where the key is kept that seals secrets in the store.
func MasterKey(dir string) string { return filepath.Join(dir, backup.MasterKeyName) }

// Socket is where `xlb admin` finds the server.
func Socket(dir string) string { return filepath.Join(dir, "admin.sock") }

// ListenSocket makes the socket, for us alone. The caller has the store open, so one that is there is of a process that was
// killed.
func ListenSocket(dir string) (net.Listener, error) {
	path := Socket(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// The parts of a data directory belong together. One that is missing was lost, or the directory is the wrong
// one: to make it anew would end every certificate, or begin with an empty store.
const restoreWhole = "restore the whole data directory from a backup, or begin with an empty one"

// Prepare makes the directory, and looks for a store that was lost. It comes before the store is opened.
func Prepare(dir string) error {
	if err := private(dir); err != nil {
		return err
	}
	if !missing(unfinished(dir)) {
		return fmt.Errorf("a restore into %s was cut short; empty the directory and restore again", dir)
	}
	if missing(filepath.Join(Store(dir), "MANIFEST")) && !missing(MasterKey(dir)) {
		return fmt.Errorf("%s is missing beside %s; %s", Store(dir), MasterKey(dir), restoreWhole)
	}
	return nil
}

// Check looks for what was lost beside a store that is in use. A first start that was cut short has
// left an empty one.
func Check(ctx context.Context, dir string, records *store.Store) error {
	used, err := records.Used(ctx)
	if err != nil || !used {
		return err
	}
	if missing(MasterKey(dir)) {
		return fmt.Errorf("%s is missing, and the store has secrets that are sealed with it; %s", MasterKey(dir), restoreWhole)
	}
	return nil
}

// FirstAuthority is the authority for a store that has none: the one in the data directory, which is made at the first start
// unless there is one outside. Nil: the store has its own, or that one is the first.
func FirstAuthority(ctx context.Context, dir string, records *store.Store, outside *pki.Authority, log *slog.Logger) (*pki.Authority, error) {
	_, err := records.Authorities(ctx)
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	used, err := records.Used(ctx)
	if err != nil {
		return nil, err
	}
	certPath, keyPath := Authority(dir)
	if missing(certPath) && missing(keyPath) {
		if used {
			return nil, fmt.Errorf("%s and %s are missing, and the store has clients: a new authority would end every certificate; %s", certPath, keyPath, restoreWhole)
		}
		if outside != nil {
			return nil, nil
		}
		log.Info("making the authority", "certificate", certPath)
		if err := makeAuthority(dir); err != nil {
			return nil, err
		}
	}
	return readAuthority(dir)
}

// KeepAuthority returns what writes the files of the authority as the store has it: the certificates for people to trust, and the key of
// the one that issues, which xlb itself reads no more. The key of an authority that the store does not know stays, as an error.
func KeepAuthority(dir string) func(pki.Set) error {
	return func(set pki.Set) error { return keepAuthority(dir, set) }
}

func keepAuthority(dir string, set pki.Set) error {
	certPath, keyPath := Authority(dir)
	found, err := os.ReadFile(keyPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if id, err := pki.AuthorityIDOf(found); err == nil {
		if _, known := set.Get(id); !known {
			return fmt.Errorf("%s is the key of the authority %s, which the store does not know: move it out of %s, or %s", keyPath, id, dir, restoreWhole)
		}
	}
	certs := rewrite(certPath, set.TrustPEM(), 0o644)
	current := set.In(pki.Current)[0]
	if current.Outside { // its key is with its owner, and the one that was here is in the store
		if err := os.Remove(keyPath); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return certs
	}
	key, err := current.KeyPEM()
	if err != nil {
		return err
	}
	return errors.Join(rewrite(keyPath, key, 0o600), certs)
}

// rewrite makes a file have some content: whole or not at all.
func rewrite(path string, data []byte, mode fs.FileMode) error {
	if found, err := os.ReadFile(path); err == nil && bytes.Equal(found, data) {
		return nil
	}
	temporary, err := writeTemporary(path, data, mode)
	if err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// readAuthority reads an authority that has to be there.
func readAuthority(dir string) (*pki.Authority, error) {
	certPath, keyPath := Authority(dir)
	cert, certErr := os.ReadFile(certPath)
	key, keyErr := os.ReadFile(keyPath)
	if errors.Is(certErr, fs.ErrNotExist) && keyErr == nil {
		return nil, fmt.Errorf("%s is missing beside %s; restore it from the backup, or remove the key when nothing was ever issued with it", certPath, keyPath)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("the authority is incomplete; restore both files from the backup: %w", err)
	}
	authority, err := pki.ParseAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w; restore both files from the backup", certPath, keyPath, err)
	}
	return authority, nil
}

// private makes a directory that is the owner's alone, or refuses one that everybody may enter: what somebody else can
// read, or put another file in the place of, is no secret. A group is let in, as volumes of Kubernetes have one.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 { // there the bits say nothing
		return fmt.Errorf("everybody may enter the data directory %s (mode %04o); run: chmod o-rwx %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// MakeAuthority writes a new authority for a server that was never started.
func MakeAuthority(dir string) error {
	if !missing(filepath.Join(Store(dir), "MANIFEST")) {
		return fmt.Errorf("%s has an authority already; start xlb, which writes its files again", Store(dir))
	}
	return makeAuthority(dir)
}

// makeAuthority never writes over an existing one: that would end every identity.
func makeAuthority(dir string) error {
	certPath, keyPath := Authority(dir)
	for _, path := range []string{certPath, keyPath} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists already; a new authority would end every certificate it issued", path)
		}
	}
	if err := private(dir); err != nil {
		return err
	}
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		return err
	}
	key, err := authority.KeyPEM()
	if err != nil {
		return err
	}
	// The certificate comes last: a key without one is what a crash in between leaves.
	if err := writeNew(keyPath, key, 0o600); err != nil {
		return err
	}
	return writeNew(certPath, authority.CertificatePEM(), 0o644)
}

// writeNew writes a file that must not exist: whole or not at all, and on the disk when it returns.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	temporary, err := writeTemporary(path, data, mode)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	return os.Link(temporary, path) // unlike a rename, it never replaces
}

// writeTemporary writes a file beside the one that it is for, and returns its name.
func writeTemporary(path string, data []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// SetupCode is where the code is kept that lets the first client in.
func SetupCode(dir string) string { return filepath.Join(dir, "setup-code") }

// Secret reads n random bytes, in hex, from a file of mode 0600, and makes it when it is missing.
func Secret(path string, n int) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, n)
		rand.Read(secret)
		return secret, writeNew(path, []byte(hex.EncodeToString(secret)+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != n {
		return nil, errSecret(path, n)
	}
	return secret, nil
}

func errSecret(path string, n int) error {
	return fmt.Errorf("%s is damaged: it must hold %d hex digits; restore it from the backup", path, 2*n)
}

// masterKeySize is how long the master key is, in bytes.
const masterKeySize = 32

// LoadMasterKey reads the key that seals secrets in the store, and makes it when it is missing.
func LoadMasterKey(dir string) ([]byte, error) { return Secret(MasterKey(dir), masterKeySize) }
