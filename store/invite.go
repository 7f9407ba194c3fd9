package store

import (
	"context"
	"fmt"
	"time"
)

// Invite lets one more client in, once. The store keeps a hash of its code.
type Invite struct {
	CodeHash  string    `json:"codehash"`
	CreatedBy string    `json:"createdby"` // the administrator
	CreatedAt time.Time `json:"createdat"`
	ExpiresAt time.Time `json:"expiresat"`

	Revision uint64 `json:"-"` // that wrote it
}

func (i *Invite) setRevision(rev uint64) { i.Revision = rev }

func (i *Invite) key() string { return key(kindInvite, i.CodeHash) }

// MaxInvites is how many invites wait to be used at most.
const MaxInvites = 1000

// PutInvite adds an invite, and removes those that have expired by now. Errors: ErrLimit, ErrInvalid.
func (s *Store) PutInvite(ctx context.Context, i Invite, now time.Time) error {
	if err := checkIDs(i.CodeHash); err != nil {
		return err
	}
	waiting, err := s.Invites(ctx)
	if err != nil {
		return err
	}
	left := 0
	_, err = s.update(ctx, func(tx Txn) error {
		left = 0
		for n := range waiting {
			if waiting[n].ExpiresAt.After(now) {
				left++
			} else if len(waiting)-left < 50 { // a transaction is bounded; the next invite removes more
				tx.Delete(waiting[n].key())
			}
		}
		if left >= MaxInvites {
			return fmt.Errorf("%d invites: %w", left, ErrLimit)
		}
		return set(tx, i.key(), i)
	})
	return err
}

// Invites lists the invites that were not used.
func (s *Store) Invites(ctx context.Context) ([]Invite, error) {
	return view(ctx, s, func(r Reader) ([]Invite, error) { return list[Invite](r, under(kindInvite), "", 0) })
}

// DeleteInvite takes an invite back, or returns ErrNotFound.
func (s *Store) DeleteInvite(ctx context.Context, codeHash string) error {
	if checkIDs(codeHash) != nil {
		return missing(kindInvite)
	}
	_, err := s.update(ctx, func(tx Txn) error {
		i, err := get[Invite](tx, key(kindInvite, codeHash))
		if err != nil {
			return fmt.Errorf("invite: %w", err)
		}
		tx.Delete(i.key())
		return nil
	})
	return err
}

// CreateInvited adds a client and uses an invite up, both or neither: however many come with the same code
// at once, one gets in. ErrNotFound when there is no such invite, or it has expired by now.
func (s *Store) CreateInvited(ctx context.Context, c Client, codeHash string, now time.Time) (uint64, error) {
	if checkIDs(codeHash) != nil {
		return 0, missing(kindInvite)
	}
	if err := checkIDs(c.UUID); err != nil {
		return 0, err
	}
	return s.update(ctx, func(tx Txn) error {
		i, err := get[Invite](tx, key(kindInvite, codeHash))
		if err != nil {
			return fmt.Errorf("invite: %w", err)
		}
		if !now.Before(i.ExpiresAt) {
			return missing(kindInvite)
		}
		tx.Delete(i.key())
		return createClient(tx, c)
	})
}
