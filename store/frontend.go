package store

import (
	"context"
	"fmt"
	"time"
)

// Frontend is a pool of routes under one access key.
type Frontend struct {
	UUID            string    `json:"uuid"`
	ClientID        string    `json:"clientid"`
	Name            string    `json:"name"`
	Active          bool      `json:"active"`
	Strategy        int       `json:"strategy"`
	RouteTimeoutSec int       `json:"routetimeoutsec"`
	AccessKey       string    `json:"accesskey"` // unique in the store
	Routes          []Route   `json:"routes"`
	Options         *Options  `json:"options,omitempty"` // nil: all defaults
	CreatedAt       time.Time `json:"createdat"`
	UpdatedAt       time.Time `json:"updatedat"`
	FirstByteAt     time.Time `json:"firstbyteat,omitzero"` // zero until traffic came back once
	DrainUntil      time.Time `json:"drainuntil,omitzero"`  // while not active: when its connections are closed, zero for at once

	// Number counts the changes that its owner has made, from 1; 0 until the first one after revisions were kept.
	Number uint64 `json:"number,omitempty"`

	Revision uint64 `json:"-"` // that wrote it
}

// Route is one upstream of a frontend.
type Route struct {
	Dest     string `json:"dest"`             // host:port
	Capacity int    `json:"capacity"`         // most connections at once, 0 for no bound
	Weight   int    `json:"weight,omitempty"` // its share beside the others, 1 to 256; 0 is 1
	Backup   bool   `json:"backup,omitempty"` // used while no other route is usable or has answered
	State    string `json:"state,omitempty"`  // what its owner wants: "" for ready, drain or maintenance
}

func (f *Frontend) setRevision(rev uint64) { f.Revision = rev }

// CreateFrontend adds a frontend to its client, which may have at most limit of them (0 for no bound).
// Errors: ErrNotFound without the client, ErrLimit, ErrExists for the id or the access key, ErrInvalid.
func (s *Store) CreateFrontend(ctx context.Context, f Frontend, limit int) (uint64, error) {
	if err := checkIDs(f.ClientID, f.UUID, f.AccessKey); err != nil {
		return 0, err
	}
	return s.update(ctx, func(tx Txn) error {
		c, err := liveClient(tx, f.ClientID)
		if err != nil {
			return err
		}
		if limit > 0 && c.Frontends >= limit {
			return fmt.Errorf("client has %d frontends: %w", c.Frontends, ErrLimit)
		}
		c.Frontends++
		c.UnusedUntil = time.Time{}
		if err := set(tx, key(kindClient, c.UUID), c); err != nil {
			return err
		}
		return addFrontend(ctx, tx, f)
	})
}

func addFrontend(ctx context.Context, tx Txn, f Frontend) error {
	record := key(kindFrontend, f.ClientID, f.UUID)
	if err := absent(tx, record, "frontend"); err != nil {
		return err
	}
	// An id whose certificates are still being swept must not come back, or it would inherit them.
	if err := absent(tx, key(kindSweep, kindFrontend, f.ClientID, f.UUID), "frontend"); err != nil {
		return err
	}
	if err := takeAccessKey(tx, f.AccessKey, record); err != nil {
		return err
	}
	f.Number = 0
	if err := keepRevision(ctx, tx, Frontend{}, &f); err != nil {
		return err
	}
	return set(tx, record, f)
}

func takeAccessKey(tx Txn, accessKey, record string) error {
	if err := absent(tx, key(kindAccessKey, accessKey), "access key"); err != nil {
		return err
	}
	tx.Set(key(kindAccessKey, accessKey), []byte(record))
	return nil
}

// Frontend returns one frontend of a client, or ErrNotFound.
func (s *Store) Frontend(ctx context.Context, clientID, uuid string) (Frontend, error) {
	if checkIDs(clientID, uuid) != nil {
		return Frontend{}, missing(kindFrontend)
	}
	return view(ctx, s, func(r Reader) (Frontend, error) { return liveFrontend(r, clientID, uuid) })
}

// liveFrontend reads a frontend whose client is not deleted.
func liveFrontend(from getter, clientID, uuid string) (Frontend, error) {
	if _, err := liveClient(from, clientID); err != nil {
		return Frontend{}, err
	}
	f, err := get[Frontend](from, key(kindFrontend, clientID, uuid))
	if err != nil {
		return Frontend{}, fmt.Errorf("frontend: %w", err)
	}
	return f, nil
}

// Frontends returns a client's frontends in the order of their ids, at most limit (0 for all) after
// the id `after`. ErrNotFound without the client.
func (s *Store) Frontends(ctx context.Context, clientID, after string, limit int) ([]Frontend, error) {
	if checkIDs(clientID) != nil {
		return nil, missing(kindClient)
	}
	return view(ctx, s, func(r Reader) ([]Frontend, error) {
		if _, err := liveClient(r, clientID); err != nil {
			return nil, err
		}
		return list[Frontend](r, under(kindFrontend, clientID), afterKey(after, kindFrontend, clientID, after), limit)
	})
}

// UpdateFrontend changes a frontend: change receives what is stored, perhaps more than once, and an
// error from it stops the update. UUID and ClientID stay; a new AccessKey must be free (ErrExists).
func (s *Store) UpdateFrontend(ctx context.Context, clientID, uuid string, change func(*Frontend) error) (uint64, error) {
	if checkIDs(clientID, uuid) != nil {
		return 0, missing(kindFrontend)
	}
	return s.update(ctx, func(tx Txn) error {
		old, err := liveFrontend(tx, clientID, uuid)
		if err != nil {
			return err
		}
		f := old
		f.Routes = append([]Route(nil), old.Routes...)
		if old.Options != nil {
			options := *old.Options
			f.Options = &options
		}
		if err := change(&f); err != nil {
			return err
		}
		f.UUID = old.UUID
		f.ClientID = old.ClientID
		f.Number = old.Number
		if err := keepRevision(ctx, tx, old, &f); err != nil {
			return err
		}
		return replaceFrontend(tx, old, f)
	})
}

func replaceFrontend(tx Txn, old, f Frontend) error {
	record := key(kindFrontend, f.ClientID, f.UUID)
	if f.AccessKey != old.AccessKey {
		if err := checkIDs(f.AccessKey); err != nil {
			return err
		}
		if err := takeAccessKey(tx, f.AccessKey, record); err != nil {
			return err
		}
		tx.Delete(key(kindAccessKey, old.AccessKey))
	}
	return set(tx, record, f)
}

// DeleteFrontend removes a frontend. Its certificates go with SweepFrontend, or with the next
// SweepExpired; until then they are records without a frontend.
func (s *Store) DeleteFrontend(ctx context.Context, clientID, uuid string) (uint64, error) {
	if checkIDs(clientID, uuid) != nil {
		return 0, missing(kindFrontend)
	}
	return s.update(Urgent(ctx), func(tx Txn) error {
		f, err := liveFrontend(tx, clientID, uuid)
		if err != nil {
			return err
		}
		return removeFrontend(tx, f)
	})
}

// removeFrontend deletes the record and its index, counts it, and notes what is left to sweep.
func removeFrontend(tx Txn, f Frontend) error {
	c, err := get[Client](tx, key(kindClient, f.ClientID))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	c.Frontends = max(0, c.Frontends-1)
	if err := set(tx, key(kindClient, c.UUID), c); err != nil {
		return err
	}
	tx.Delete(key(kindAccessKey, f.AccessKey))
	tx.Delete(key(kindFrontend, f.ClientID, f.UUID))
	tx.Set(key(kindSweep, kindFrontend, f.ClientID, f.UUID), nil)
	return nil
}
