package control

import (
	"context"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"github.com/xdire/xlb/store"
)

// InviteLife is how long an invite is good.
const InviteLife = 7 * 24 * time.Hour

// Invite is a code that lets one client in.
type Invite struct {
	ID        string // names it, and is no secret
	Code      string // shown once, when it is made
	CreatedAt time.Time
	ExpiresAt time.Time
}

func inviteOf(r store.Invite) Invite {
	return Invite{ID: r.CodeHash, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt}
}

// CreateInvite makes a code for one sign-up, good for InviteLife. For the administrator.
func (c *Control) CreateInvite(ctx context.Context) (_ Invite, err error) {
	ctx, a, err := c.may(ctx, actAdminInvite, "")
	if err != nil {
		return Invite{}, err
	}
	defer c.noteFailed(ctx, &err)
	code := strings.ToLower(base32.StdEncoding.EncodeToString(randomBytes(20)))
	now := c.cfg.Now().UTC()
	record := store.Invite{CodeHash: digest(code), CreatedBy: a.ClientID, CreatedAt: now, ExpiresAt: now.Add(InviteLife)}
	err = c.store.PutInvite(ctx, record, now)
	if errors.Is(err, store.ErrLimit) {
		return Invite{}, &Error{Kind: KindLimit, Message: "Too many invites wait to be used. Take some back first."}
	}
	made := inviteOf(record)
	made.Code = code
	return made, fromStore(err, "invite")
}

// Invites lists the invites that can still be used. For the administrator.
func (c *Control) Invites(ctx context.Context) ([]Invite, error) {
	ctx, _, err := c.may(ctx, actAdminRead, "")
	if err != nil {
		return nil, err
	}
	records, err := c.store.Invites(ctx)
	if err != nil {
		return nil, fromStore(err, "invite")
	}
	all := make([]Invite, 0, len(records))
	for _, r := range records {
		if c.cfg.Now().Before(r.ExpiresAt) {
			all = append(all, inviteOf(r))
		}
	}
	return all, nil
}

// DeleteInvite takes an invite back. For the administrator.
func (c *Control) DeleteInvite(ctx context.Context, id string) (err error) {
	ctx, _, err = c.may(ctx, actAdminInvite, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	return fromStore(c.store.DeleteInvite(ctx, id), "invite")
}

// createInvited saves a client who came with a code, and uses the code up.
func (c *Control) createInvited(ctx context.Context, record store.Client, code string) (uint64, error) {
	rev, err := c.store.CreateInvited(ctx, record, digest(strings.ToLower(strings.TrimSpace(code))), c.cfg.Now())
	if errors.Is(err, store.ErrNotFound) {
		return 0, errCodeUsed()
	}
	return rev, fromStore(err, "client")
}

func errCodeUsed() *Error {
	return &Error{Kind: KindForbidden, Field: "code", Message: "This code was used or has expired. Ask the administrator for a new one."}
}
