package store

import (
	"context"
	"fmt"
)

// Store is the records above an engine. All methods may be called at the same time. Those that write
// return the revision of the change; when nothing had to change, the revision they read at.
type Store struct{ engine Engine }

// New puts the records on an engine: it brings an older schema up to date, as far as all that are on record read the newer
// one, and refuses one that it does not know with ErrSchema. The engine stays the caller's to close, after the last use of the store.
func New(engine Engine) (*Store, error) {
	known := schema{node: node, reads: schemaRange{oldestSchema, schemaVersion}, steps: migrations}
	if _, err := known.migrate(context.Background(), engine); err != nil {
		return nil, fmt.Errorf("open the records: %w", err)
	}
	return &Store{engine: engine}, nil
}

// view runs fn in one View and returns what it returns.
func view[T any](ctx context.Context, s *Store, fn func(Reader) (T, error)) (T, error) {
	var result T
	err := s.engine.View(ctx, func(r Reader) (err error) {
		result, err = fn(r)
		return err
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return result, nil
}

// absent returns nil when there is no such key, and ErrExists when there is.
func absent(tx Txn, key, what string) error {
	_, _, err := tx.Get(key)
	switch {
	case err == nil:
		return fmt.Errorf("%s: %w", what, ErrExists)
	case isNotFound(err):
		return nil
	}
	return err
}
