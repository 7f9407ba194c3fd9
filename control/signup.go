package control

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/xdire/xlb/store"
)

// UnusedLife is how long a client stays that came without an invite and has never had a frontend.
const UnusedLife = 7 * 24 * time.Hour

// newcomers bounds how many clients there may be. Those that are being made count: they are in no list yet.
type newcomers struct {
	most int // negative is no bound

	mu    sync.Mutex
	being int
}

// enter lets one more in beside those that there are, or says why not. The caller calls leave when it is made. The last
// tenth is for those with an invite, so that strangers cannot use the server up; the administrator always gets in.
func (n *newcomers) enter(clients int, admin, invited bool) (leave func(), problem *Error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	most := n.most
	if !invited {
		most -= most / 10
	}
	if n.most >= 0 && !admin && clients+n.being >= most {
		return nil, &Error{Kind: KindLimit, Message: "This server takes no more clients. Ask its administrator."}
	}
	n.being++
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.being--
	}, nil
}

// NewClient is a client that has just signed up, with the key that is shown this once.
type NewClient struct {
	Client
	Key string // 64 hex digits
}

// SignupPolicy tells how the actor in ctx may sign up: "open", "invite" or "closed".
func (c *Control) SignupPolicy(ctx context.Context) string {
	switch {
	case c.cfg.Signup != "":
		return c.cfg.Signup
	case c.IsLocal(ctx):
		return "open"
	}
	return "closed"
}

// NeedsSetup tells whether the server still waits for its first client and its set-up code.
func (c *Control) NeedsSetup() bool { return c.cfg.SetupCode != "" && c.live.Clients() == 0 }

// CreateClient signs a client up. code is the set-up code, whose first use makes the client the
// administrator, or that of an invite; one is needed where sign-up is not open.
func (c *Control) CreateClient(ctx context.Context, name, code string) (NewClient, error) {
	ctx, a, err := c.may(ctx, actClientCreate, "")
	if err != nil {
		return NewClient{}, err
	}
	if wait := c.signups.take(sourceKey(a.Address), c.cfg.Now()); wait > 0 {
		return NewClient{}, tooMany("Too many new clients from your address.", wait)
	}
	name, problem := label("name", name)
	if problem != nil {
		return NewClient{}, problem
	}
	admin, invited, err := c.admitSignup(ctx, code)
	if err != nil {
		return NewClient{}, err
	}
	leave, problem := c.newcomers.enter(c.live.Clients(), admin, invited)
	if problem != nil {
		return NewClient{}, problem
	}
	defer leave()
	if !admin && !invited {
		if wait := c.signupsInAll.take("", c.cfg.Now()); wait > 0 {
			return NewClient{}, tooMany("Too many new clients at the moment.", wait)
		}
	}
	now := c.cfg.Now().UTC()
	key := hex.EncodeToString(randomBytes(32))
	record := store.Client{UUID: newID(), Name: name, KeyHash: hashKey(key), Admin: admin, CreatedAt: now}
	if !admin && !invited {
		record.UnusedUntil = now.Add(UnusedLife)
	}
	a.ClientID = record.UUID
	ctx = c.audited(ctx, a, actClientCreate, "")
	var rev uint64
	if invited {
		rev, err = c.createInvited(ctx, record, code)
	} else {
		rev, err = c.createRecord(ctx, record)
	}
	if err != nil {
		return NewClient{}, err
	}
	if err := c.waitFor(ctx, rev); err != nil {
		return NewClient{}, err
	}
	if admin && c.cfg.SetupDone != nil {
		c.cfg.SetupDone()
	}
	return NewClient{Client: clientOf(record), Key: key}, nil
}

// admitSignup decides whether a sign-up may go on, whether it becomes the administrator, and whether it has
// to use an invite up. A closed server takes no invites.
func (c *Control) admitSignup(ctx context.Context, code string) (admin, invited bool, err error) {
	policy := c.SignupPolicy(ctx)
	switch {
	case code != "" && c.cfg.SetupCode != "" && equal(strings.TrimSpace(code), c.cfg.SetupCode):
		return true, false, nil
	case code != "" && policy == "closed" && c.cfg.Signup == "closed":
		return false, false, errCodeUsed()
	case code != "":
		return false, true, nil
	case policy == "open":
		return false, false, nil
	case policy == "invite":
		return false, false, &Error{Kind: KindForbidden, Field: "code", Message: "Sign-up needs an invite on this server. Ask its administrator for a code."}
	}
	return false, false, &Error{Kind: KindForbidden, Message: "Sign-up is closed on this server. Ask its administrator for a client."}
}

// createRecord saves a new client. Only one can ever claim the set-up code.
func (c *Control) createRecord(ctx context.Context, record store.Client) (uint64, error) {
	if !record.Admin {
		rev, err := c.store.CreateClient(ctx, record)
		return rev, fromStore(err, "client")
	}
	rev, err := c.store.ClaimFirst(ctx, record)
	if errors.Is(err, store.ErrExists) {
		return 0, errCodeUsed()
	}
	return rev, fromStore(err, "client")
}
