package datadir

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Found is what a data directory has.
type Found struct {
	Authority *pki.Authority // nil: none yet, or one that cannot be read
	Changed   time.Time      // when the store was changed last; zero: never
}

// Examine looks at a data directory as a start would, and makes nothing in it. One that is not there is fine: the start
// makes it.
func Examine(dir string) (found Found, wrong []error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Found{}, nil
	}
	if err != nil {
		return Found{}, []error{err}
	}
	if !info.IsDir() {
		return Found{}, []error{fmt.Errorf("%s is no directory", dir)}
	}
	var revision uint64
	for _, look := range []func() error{
		func() error { return private(dir) },
		func() error { return writable(dir) },
		func() error { return Prepare(dir) },
		func() (err error) { found.Authority, err = examineAuthority(dir); return err },
		func() error { return examineSecret(MasterKey(dir), masterKeySize) },
		func() (err error) { revision, found.Changed, err = store.Examine(Store(dir)); return err },
	} {
		if err := look(); err != nil && !contains(wrong, err) {
			wrong = append(wrong, err)
		}
	}
	if revision > 2 { // the first two changes are its form and who reads it; the others come when all of this is there
		if path := MasterKey(dir); missing(path) {
			wrong = append(wrong, fmt.Errorf("%s is missing beside a store that is used; %s", path, restoreWhole))
		}
	}
	return found, wrong
}

func contains(all []error, err error) bool {
	for _, one := range all {
		if one.Error() == err.Error() {
			return true
		}
	}
	return false
}

// writable tries it: who owns what and what a mount allows is not worth guessing.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// examineAuthority reads the authority; nil when there is none yet, and where a start writes its files again from the store.
func examineAuthority(dir string) (*pki.Authority, error) {
	certPath, keyPath := Authority(dir)
	if missing(certPath) && missing(keyPath) {
		return nil, nil
	}
	authority, err := readAuthority(dir)
	if err != nil && !missing(filepath.Join(Store(dir), "MANIFEST")) {
		return nil, nil
	}
	return authority, err
}

// examineSecret reads a secret that the start makes when it is missing.
func examineSecret(path string, n int) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if secret, err := hex.DecodeString(strings.TrimSpace(string(text))); err != nil || len(secret) != n {
		return errSecret(path, n)
	}
	return nil
}
