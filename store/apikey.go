package store

import (
	"slices"
	"time"
)

// APIKey is a further key of a client. It is part of the client's record: whoever follows the client knows its keys, and
// they end with it.
type APIKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Hash      []byte    `json:"hash"`                // never the key itself
	Scope     string    `json:"scope"`               // what it is good for
	Frontends []string  `json:"frontends,omitempty"` // ids of those that it is bound to; none: all
	CreatedAt time.Time `json:"createdat"`
	ExpiresAt time.Time `json:"expiresat"`

	LastUsedAt time.Time `json:"lastusedat,omitzero"` // the day
	LastUsedBy string    `json:"lastusedby,omitempty"`
}

// UseAPIKey notes when and from where a key was used. It changes nothing when the key is not there any more.
func (c *Client) UseAPIKey(id string, day time.Time, address string) {
	i := slices.IndexFunc(c.APIKeys, func(k APIKey) bool { return k.ID == id })
	if i < 0 {
		return
	}
	c.APIKeys = slices.Clone(c.APIKeys) // what was read before is somebody else's
	c.APIKeys[i].LastUsedAt = day
	c.APIKeys[i].LastUsedBy = address
}
