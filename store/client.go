package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Client is a tenant.
type Client struct {
	UUID      string    `json:"uuid"`
	Name      string    `json:"name"`
	KeyHash   []byte    `json:"keyhash"` // never the key itself
	Admin     bool      `json:"admin,omitempty"`
	Disabled  bool      `json:"disabled,omitempty"`
	CreatedAt time.Time `json:"createdat"`

	// KeyAt is when the key was made; zero: with the client.
	KeyAt       time.Time `json:"keyat,omitzero"`
	OldKeyHash  []byte    `json:"oldkeyhash,omitempty"` // of the key before, until OldKeyUntil
	OldKeyUntil time.Time `json:"oldkeyuntil,omitzero"` // zero: there is none
	// Limits are those that the administrator has set, by name: 0 is no bound, absent the server's default.
	Limits map[string]int `json:"limits,omitempty"`

	APIKeys []APIKey `json:"apikeys,omitempty"`

	TokensFrom   time.Time    `json:"tokensfrom,omitzero"`   // tokens that were issued before are refused
	EndedTokens  []EndedToken `json:"endedtokens,omitempty"` // and these
	SessionsFrom time.Time    `json:"sessionsfrom,omitzero"` // sessions that began before have ended
	SessionKept  string       `json:"sessionkept,omitempty"` // but the one with this hash

	// UnusedUntil is when the client goes by itself if it has had no frontend by then; zero: it stays.
	UnusedUntil time.Time `json:"unuseduntil,omitzero"`

	// Frontends is how many there are. The store counts; what a caller sets is ignored.
	Frontends int `json:"frontends"`

	// DeletedAt is set from DeleteClient on, until the last of the client's records is swept. Only
	// watchers and snapshots see such a client; for all else it is not there.
	DeletedAt *time.Time `json:"deletedat,omitempty"`

	Revision uint64 `json:"-"` // that wrote it
}

// EndedToken is a token that was ended before it expired, or all that were issued for one key until then.
type EndedToken struct {
	ID    string    `json:"id,omitempty"`
	KeyID string    `json:"keyid,omitempty"`
	At    time.Time `json:"at"`
}

func (c *Client) setRevision(rev uint64) { c.Revision = rev }

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// CreateClient adds a client. Errors: ErrExists, ErrInvalid.
func (s *Store) CreateClient(ctx context.Context, c Client) (uint64, error) {
	if err := checkIDs(c.UUID); err != nil {
		return 0, err
	}
	return s.update(ctx, func(tx Txn) error { return createClient(tx, c) })
}

func createClient(tx Txn, c Client) error {
	if err := absent(tx, key(kindClient, c.UUID), "client"); err != nil {
		return err
	}
	c.Frontends = 0
	c.DeletedAt = nil
	if at := c.indexExpiry(); at != "" {
		tx.Set(at, nil)
	}
	return set(tx, key(kindClient, c.UUID), c)
}

// indexExpiry is empty for a client that stays.
func (c *Client) indexExpiry() string {
	if c.UnusedUntil.IsZero() {
		return ""
	}
	return expiryKey(c.UnusedUntil, key(kindClient, c.UUID))
}

// ClaimFirst adds c as the first administrator. It succeeds once in the life of a store, whoever
// asks and however many at the same time: for all others ErrExists, and c is not added.
func (s *Store) ClaimFirst(ctx context.Context, c Client) (uint64, error) {
	if err := checkIDs(c.UUID); err != nil {
		return 0, err
	}
	c.Admin = true
	return s.update(ctx, func(tx Txn) error {
		if err := absent(tx, key(kindMeta, "first"), "the first administrator"); err != nil {
			return err
		}
		tx.Set(key(kindMeta, "first"), []byte(c.UUID))
		return createClient(tx, c)
	})
}

// First returns the id of the client that ClaimFirst added, or ErrNotFound while nobody has claimed.
// It stays when that client is deleted.
func (s *Store) First(ctx context.Context) (string, error) {
	return view(ctx, s, func(r Reader) (string, error) {
		id, _, err := r.Get(key(kindMeta, "first"))
		return string(id), err
	})
}

// Used tells whether there is or was anybody: a client, the first administrator, a secret, or an authority.
func (s *Store) Used(ctx context.Context) (bool, error) {
	return view(ctx, s, func(r Reader) (bool, error) {
		for _, kind := range []string{kindClient, kindSecret, kindAuthorities} {
			for _, err := range r.Scan(under(kind), "", 1) {
				return err == nil, err
			}
		}
		_, _, err := r.Get(key(kindMeta, "first"))
		if isNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// Client returns one client, or ErrNotFound.
func (s *Store) Client(ctx context.Context, uuid string) (Client, error) {
	if checkIDs(uuid) != nil {
		return Client{}, missing(kindClient)
	}
	return view(ctx, s, func(r Reader) (Client, error) { return liveClient(r, uuid) })
}

// missing is for ids that no record can have: to the caller it is one that is not there.
func missing(what string) error { return fmt.Errorf("%s: %w", what, ErrNotFound) }

// liveClient reads a client that is not deleted. In a transaction it makes every write that depends on
// the client start over when the client changes, so none can slip in behind a deletion.
func liveClient(from getter, uuid string) (Client, error) {
	c, err := get[Client](from, key(kindClient, uuid))
	if err == nil && c.DeletedAt != nil {
		err = ErrNotFound
	}
	if err != nil {
		return Client{}, fmt.Errorf("client: %w", err)
	}
	return c, nil
}

// Clients returns clients in the order of their ids, at most limit (0 for all) after the id `after`.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]Client, error) {
	return view(ctx, s, func(r Reader) ([]Client, error) {
		var live []Client
		for item, err := range r.Scan(under(kindClient), afterKey(after, kindClient, after), 0) {
			if err != nil {
				return nil, err
			}
			c, err := decode[Client](item.Key, item.Value, item.Revision)
			if err != nil {
				return nil, err
			}
			if c.DeletedAt != nil {
				continue
			}
			if live = append(live, c); len(live) == limit {
				break
			}
		}
		return live, nil
	})
}

// afterKey joins parts to the key to begin after, unless there is none to begin after.
func afterKey(after string, parts ...string) string {
	if after == "" {
		return ""
	}
	return key(parts...)
}

// UpdateClient changes a client: change receives what is stored, perhaps more than once, and an error
// from it stops the update. UUID, Frontends, UnusedUntil and DeletedAt stay as they are.
func (s *Store) UpdateClient(ctx context.Context, uuid string, change func(*Client) error) (uint64, error) {
	if checkIDs(uuid) != nil {
		return 0, missing(kindClient)
	}
	return s.update(ctx, func(tx Txn) error {
		old, err := liveClient(tx, uuid)
		if err != nil {
			return err
		}
		c := old
		if err := change(&c); err != nil {
			return err
		}
		c.UUID = old.UUID
		c.Frontends = old.Frontends
		c.UnusedUntil = old.UnusedUntil
		c.DeletedAt = nil
		return set(tx, key(kindClient, uuid), c)
	})
}

// DeleteClient marks a client as deleted. From that revision on it is not there for any call, and
// nothing can be added to it. SweepClient, or the next SweepExpired, removes what it had.
func (s *Store) DeleteClient(ctx context.Context, uuid string, now time.Time) (uint64, error) {
	if checkIDs(uuid) != nil {
		return 0, missing(kindClient)
	}
	return s.update(Urgent(ctx), func(tx Txn) error {
		c, err := liveClient(tx, uuid)
		if err != nil {
			return err
		}
		return deleteClient(tx, c, now)
	})
}

func deleteClient(tx Txn, c Client, now time.Time) error {
	c.DeletedAt = &now
	tx.Set(key(kindSweep, kindClient, c.UUID), nil)
	return set(tx, key(kindClient, c.UUID), c)
}
