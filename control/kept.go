package control

import (
	"context"
	"errors"

	"github.com/xdire/xlb/store"
)

// keptAs is the name of the secret that something of an ACME client is kept as. No other secret begins like it.
func keptAs(name string) string { return "acme:" + name }

// Kept returns what the server's ACME client has kept under a name, nil for nothing.
func (c *Control) Kept(ctx context.Context, name string) ([]byte, error) {
	found, err := c.store.Secret(ctx, keptAs(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.sealer.open(keptAs(name), found.Value)
}

// Keep keeps something for the server's ACME client, sealed; nil to keep it no longer.
func (c *Control) Keep(ctx context.Context, name string, value []byte) error {
	if value == nil {
		return c.store.DeleteSecret(ctx, keptAs(name))
	}
	_, err := c.store.PutSecret(ctx, store.Secret{Name: keptAs(name), Value: c.sealer.seal(keptAs(name), value), CreatedAt: c.cfg.Now()})
	return err
}
