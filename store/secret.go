package store

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Secret is a named value that this process needs again after a restart, such as a signing key. The
// store keeps Value as it is: seal it first.
type Secret struct {
	Name      string    `json:"name"`
	Value     []byte    `json:"value"`
	CreatedAt time.Time `json:"createdat"`

	Revision uint64 `json:"-"` // that wrote it
}

func (s *Secret) setRevision(rev uint64) { s.Revision = rev }

// PutSecretOnce adds a secret unless there is one with that name, and returns the one that is there
// afterwards: however many processes begin at the same time, all go on with the same value.
func (s *Store) PutSecretOnce(ctx context.Context, secret Secret) (Secret, error) {
	if err := checkIDs(secret.Name); err != nil {
		return Secret{}, err
	}
	var stored Secret
	fresh := false
	rev, err := s.update(ctx, func(tx Txn) (err error) {
		stored, err = get[Secret](tx, key(kindSecret, secret.Name))
		if fresh = isNotFound(err); !fresh {
			return err
		}
		stored = secret
		return set(tx, key(kindSecret, secret.Name), secret)
	})
	if err != nil {
		return Secret{}, err
	}
	if fresh {
		stored.Revision = rev
	}
	return stored, nil
}

// PutSecret adds a secret or replaces the one with its name.
func (s *Store) PutSecret(ctx context.Context, secret Secret) (uint64, error) {
	if err := checkIDs(secret.Name); err != nil {
		return 0, err
	}
	return s.update(ctx, func(tx Txn) error { return set(tx, key(kindSecret, secret.Name), secret) })
}

// DeleteSecret removes a secret; one that is not there is removed already.
func (s *Store) DeleteSecret(ctx context.Context, name string) error {
	if err := checkIDs(name); err != nil {
		return err
	}
	_, err := s.update(ctx, func(tx Txn) error { tx.Delete(key(kindSecret, name)); return nil })
	return err
}

// ChangeSecret replaces a secret, and returns what is there afterwards: change receives what is stored, the zero value when
// there is none, perhaps more than once. What it returns as it was changes nothing.
func (s *Store) ChangeSecret(ctx context.Context, name string, change func(Secret) (Secret, error)) (Secret, error) {
	if err := checkIDs(name); err != nil {
		return Secret{}, err
	}
	var after Secret
	kept := false
	rev, err := s.update(ctx, func(tx Txn) error {
		old, err := get[Secret](tx, key(kindSecret, name))
		if err != nil && !isNotFound(err) {
			return err
		}
		if after, err = change(old); err != nil {
			return err
		}
		if kept = bytes.Equal(old.Value, after.Value); kept {
			return nil
		}
		after.Name = name
		return set(tx, key(kindSecret, name), after)
	})
	if err != nil {
		return Secret{}, err
	}
	if !kept {
		after.Revision = rev
	}
	return after, nil
}

// Secret returns a secret, or ErrNotFound.
func (s *Store) Secret(ctx context.Context, name string) (Secret, error) {
	if checkIDs(name) != nil {
		return Secret{}, missing(kindSecret)
	}
	return view(ctx, s, func(r Reader) (Secret, error) {
		secret, err := get[Secret](r, key(kindSecret, name))
		if err != nil {
			return Secret{}, fmt.Errorf("secret %s: %w", name, err)
		}
		return secret, nil
	})
}
