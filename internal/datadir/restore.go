package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/xdire/xlb/internal/backup"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Restored says what a restore has brought.
type Restored struct {
	Head    backup.Head
	Records store.Dumped
}

// unfinished is where a restore works: what is in it counts for nothing, and a server does not start beside it.
func unfinished(dir string) string { return filepath.Join(dir, "restoring") }

// Restore makes the data directory of a backup, which r gives. The directory must be empty, or not be there. When it
// fails the directory is as it was.
func Restore(ctx context.Context, dir string, r io.Reader) (done Restored, err error) {
	if err := Vacant(dir); err != nil {
		return Restored{}, err
	}
	work := unfinished(dir)
	if err := os.Mkdir(work, 0o700); err != nil {
		return Restored{}, err
	}
	defer os.RemoveAll(work)
	head, files, err := backup.Read(r, func(_ backup.Head, records io.Reader) (err error) {
		done.Records, err = fill(ctx, Store(work), records)
		return err
	})
	if err != nil {
		return Restored{}, err
	}
	done.Head = head
	if err := putFiles(work, files); err != nil {
		return Restored{}, err
	}
	// The store moves first: without it a server says what is missing.
	for _, name := range []string{filepath.Base(Store(dir)), backup.MasterKeyName, backup.AuthorityKeyName, backup.AuthorityName} {
		if name == backup.AuthorityKeyName && missing(filepath.Join(work, name)) {
			continue // its owner keeps it
		}
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			return Restored{}, errors.Join(err, clear(dir))
		}
	}
	return done, nil
}

// clear takes out what a restore has moved in.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// Vacant makes a directory for a restore, or says why it can be none.
func Vacant(dir string) error {
	if err := private(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty (%s); restore into a directory of its own, and start xlb with -data-dir on that", dir, entries[0].Name())
	}
	return err
}

// fill makes the store, and looks that this xlb can read it.
func fill(ctx context.Context, dir string, records io.Reader) (done store.Dumped, err error) {
	engine, err := store.OpenBadger(dir, store.BadgerConfig{})
	if err != nil {
		return store.Dumped{}, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	if done, err = engine.Load(ctx, records); err != nil {
		return store.Dumped{}, err
	}
	_, err = store.New(engine)
	return done, err
}

// putFiles writes the files beside the store. All of them have to be there and belong together, but for the key of an
// authority that its owner keeps.
func putFiles(dir string, files []backup.File) error {
	found := map[string][]byte{}
	for _, f := range files {
		found[f.Name] = f.Data
	}
	for _, name := range []string{backup.AuthorityName, backup.MasterKeyName} {
		if found[name] == nil {
			return fmt.Errorf("%w: %s is missing", backup.ErrDamaged, name)
		}
	}
	if key := found[backup.AuthorityKeyName]; key != nil {
		if _, err := pki.ParseAuthority(found[backup.AuthorityName], key); err != nil {
			return fmt.Errorf("%w: the authority: %w", backup.ErrDamaged, err)
		}
		if err := writeNew(filepath.Join(dir, backup.AuthorityKeyName), key, 0o600); err != nil {
			return err
		}
	}
	if err := writeNew(filepath.Join(dir, backup.AuthorityName), found[backup.AuthorityName], 0o644); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, backup.MasterKeyName), found[backup.MasterKeyName], 0o600)
}
