package control

import (
	"context"
	"encoding/hex"

	"github.com/xdire/xlb/store"
)

// ClientStatus is a client as its administrator sees it.
type ClientStatus struct {
	Client
	Frontends   int
	Connections int // open now
}

// Clients lists clients in order of creation, at most limit after the id `after`. For the administrator.
func (c *Control) Clients(ctx context.Context, after string, limit int) ([]ClientStatus, error) {
	ctx, _, err := c.may(ctx, actAdminRead, "")
	if err != nil {
		return nil, err
	}
	records, err := c.store.Clients(ctx, after, limit)
	if err != nil {
		return nil, fromStore(err, "client")
	}
	all := make([]ClientStatus, 0, len(records))
	for _, r := range records {
		all = append(all, ClientStatus{Client: clientOf(r), Frontends: r.Frontends, Connections: c.live.ConnectionsOf(r.UUID)})
	}
	return all, nil
}

// SetDisabled shuts a client out, or lets it in again. Its live connections are closed when it returns, and
// tokens and sessions from before stay ended when it is let in again.
// For the administrator, who cannot shut itself out.
func (c *Control) SetDisabled(ctx context.Context, id string, disabled bool) (_ Client, err error) {
	ctx, a, err := c.may(ctx, actAdminDisable, id)
	if err != nil {
		return Client{}, err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminDisable, id, canonicalID(id))
	if disabled && canonicalID(id) == a.ClientID {
		return Client{}, invalid("disabled", "The administrator cannot disable itself.")
	}
	if disabled {
		ctx = store.Urgent(ctx)
	}
	return c.changeClient(ctx, canonicalID(id), 0, func(r *store.Client) {
		r.Disabled = disabled
		if disabled {
			c.endTokens(r)
			c.endSessions(r, "")
		}
	})
}

// RemoveClient deletes a client with everything it has. For the administrator, who cannot delete itself here.
func (c *Control) RemoveClient(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actAdminDelete, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminDelete, id, canonicalID(id))
	if canonicalID(id) == a.ClientID {
		return &Error{Kind: KindForbidden, Message: "The administrator cannot delete itself here. Use DELETE /api/v1/client."}
	}
	return c.removeClient(ctx, canonicalID(id))
}

// ResetKey gives a client that has lost its key a new one, shown this once. The old one ends, and so do
// the tokens and sessions, but the one that acts. For the administrator.
func (c *Control) ResetKey(ctx context.Context, id string) (_ NewClient, err error) {
	ctx, a, err := c.may(ctx, actAdminReset, id)
	if err != nil {
		return NewClient{}, err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminReset, id, canonicalID(id))
	key := hex.EncodeToString(randomBytes(32))
	client, err := c.changeClient(ctx, canonicalID(id), 0, func(r *store.Client) {
		c.giveKey(r, key, 0)
		c.endTokens(r)
		c.endSessions(r, a.Session)
	})
	return NewClient{Client: client, Key: key}, err
}
