package control

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/xdire/xlb/store"
)

// MaxKeyGrace is the longest time that an old key may go on.
const MaxKeyGrace = 7 * 24 * time.Hour

// RenameClient gives the actor's client another name. Nothing is changed unless the record has the revision.
func (c *Control) RenameClient(ctx context.Context, revision uint64, name string) (_ Client, err error) {
	ctx, a, err := c.may(ctx, actClientUpdate, "")
	if err != nil {
		return Client{}, err
	}
	defer c.noteFailed(ctx, &err)
	name, problem := label("name", name)
	if problem != nil {
		return Client{}, problem
	}
	return c.changeClient(ctx, a.ClientID, revision, func(r *store.Client) { r.Name = name })
}

// changeClient changes a record that still has the revision, zero for any, and waits until it is live.
func (c *Control) changeClient(ctx context.Context, id string, revision uint64, change func(*store.Client)) (Client, error) {
	var changed store.Client
	rev, err := c.store.UpdateClient(ctx, id, func(r *store.Client) error {
		if revision != 0 && r.Revision != revision {
			return &Error{Kind: KindPrecondition, Message: "This client changed since you read it. Read it again and repeat."}
		}
		change(r)
		changed = *r
		return nil
	})
	if err != nil {
		return Client{}, fromStore(err, "client")
	}
	changed.Revision = rev
	return clientOf(changed), c.waitFor(ctx, rev)
}

// DeleteClient ends the actor's client with everything that belongs to it: its frontends and certificates
// are refused and their connections closed when it returns, its sessions and tokens are worth nothing.
func (c *Control) DeleteClient(ctx context.Context, revision uint64) (err error) {
	ctx, a, err := c.may(ctx, actClientDelete, "")
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	record, err := c.store.Client(ctx, a.ClientID)
	if err != nil {
		return fromStore(err, "client")
	}
	if revision != 0 && record.Revision != revision {
		return &Error{Kind: KindPrecondition, Message: "This client changed since you read it. Read it again and repeat."}
	}
	return c.removeClient(ctx, a.ClientID)
}

func (c *Control) removeClient(ctx context.Context, id string) error {
	rev, err := c.store.DeleteClient(ctx, id, c.cfg.Now().UTC())
	if err != nil {
		return fromStore(err, "client")
	}
	return c.waitFor(ctx, rev)
}

// RotateKey gives the actor's client a new key, shown this once. The old one goes on for the grace period,
// 0 (it ends now) to MaxKeyGrace; one that was rotated away before ends now. Tokens stay good until they
// expire, unless they are revoked. Without a grace period the sessions end, but the one that acts.
func (c *Control) RotateKey(ctx context.Context, grace time.Duration) (_ NewClient, err error) {
	ctx, a, err := c.may(ctx, actClientRotate, "")
	if err != nil {
		return NewClient{}, err
	}
	defer c.noteFailed(ctx, &err)
	if grace < 0 || grace > MaxKeyGrace {
		return NewClient{}, invalid("graceSec", "Use 0 (the old key ends now) to %d (7 days).", int(MaxKeyGrace.Seconds()))
	}
	key := hex.EncodeToString(randomBytes(32))
	client, err := c.changeClient(ctx, a.ClientID, 0, func(r *store.Client) {
		c.giveKey(r, key, grace)
		if grace == 0 {
			c.endSessions(r, a.Session)
		}
	})
	return NewClient{Client: client, Key: key}, err
}

func (c *Control) giveKey(r *store.Client, key string, grace time.Duration) {
	old := r.KeyHash
	r.KeyHash = hashKey(key)
	r.KeyAt = c.cfg.Now().UTC()
	r.OldKeyHash = nil
	r.OldKeyUntil = time.Time{}
	if grace > 0 {
		r.OldKeyHash = old
		r.OldKeyUntil = c.cfg.Now().UTC().Add(grace)
	}
}

// endSessions ends all sessions but the one whose hash is to be kept, empty for none. Their records go when
// they expire.
func (c *Control) endSessions(r *store.Client, keep string) {
	r.SessionsFrom = c.cfg.Now().UTC()
	r.SessionKept = keep
}
