package store

import (
	"context"
	"fmt"
	"time"
)

// Authorities are those that the server's certificates come from: one record, because they change together.
type Authorities struct {
	ByID map[string]Authority `json:"authorities"`

	Revision uint64 `json:"-"` // that wrote it
}

func (a *Authorities) setRevision(rev uint64) { a.Revision = rev }

// Authority is one of them.
type Authority struct {
	State       string    `json:"state"`
	Certificate string    `json:"certificate"`   // PEM, with those that it hangs on, the root last
	Key         []byte    `json:"key,omitempty"` // the store keeps it as it is: seal it first. Empty when it is kept elsewhere
	AddedAt     time.Time `json:"addedat"`
	ChangedAt   time.Time `json:"changedat"` // its state

	// Crossed has its key certified by other authorities, PEM by their ids.
	Crossed map[string]string `json:"crossed,omitempty"`
}

// authoritiesKey is that of the one record.
var authoritiesKey = key(kindAuthorities, "server")

// Authorities returns what is there, or ErrNotFound before the first.
func (s *Store) Authorities(ctx context.Context) (Authorities, error) {
	return view(ctx, s, func(r Reader) (Authorities, error) {
		all, err := get[Authorities](r, authoritiesKey)
		if err != nil {
			return Authorities{}, fmt.Errorf("authorities: %w", err)
		}
		return all, nil
	})
}

// ChangeAuthorities changes them, and returns what is there afterwards: change receives what is stored, none before the first,
// perhaps more than once, and an error from it stops the change.
func (s *Store) ChangeAuthorities(ctx context.Context, change func(*Authorities) error) (after Authorities, rev uint64, err error) {
	rev, err = s.update(ctx, func(tx Txn) error {
		if after, err = get[Authorities](tx, authoritiesKey); err != nil && !isNotFound(err) {
			return err
		}
		if after.ByID == nil {
			after.ByID = map[string]Authority{}
		}
		if err := change(&after); err != nil {
			return err
		}
		return set(tx, authoritiesKey, after)
	})
	if err != nil {
		return Authorities{}, 0, err
	}
	after.Revision = rev
	return after, rev, nil
}
