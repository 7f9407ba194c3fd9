package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/store"
)

const (
	// ticketKeyLife is how long a key seals new tickets.
	ticketKeyLife = 12 * time.Hour
	// ticketKeysKept is how many keys open tickets: as long as a ticket is good, which is seven days (RFC 8446, section 4.6.1).
	ticketKeysKept = int(7 * 24 * time.Hour / ticketKeyLife)
)

// storedTicketKey is a key in the sealed list of them, the newest first.
type storedTicketKey struct {
	From time.Time `json:"from"`
	Key  [32]byte  `json:"key"`
}

// rotateTicketKeys keeps the keys of session tickets up to date until ctx ends. They are those of the data plane alone: a ticket
// of the control plane, which takes any certificate, must not open anything there.
func (c *Control) rotateTicketKeys(ctx context.Context) error {
	return live.Every(ctx, tokenKeyPoll, func() {
		if err := c.loadTicketKeys(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("the keys of session tickets are not rotated", "error", err)
		}
	})
}

// loadTicketKeys reads the keys, adds the one that is due, and hands them to the data plane: so programs resume their sessions
// after a restart.
func (c *Control) loadTicketKeys(ctx context.Context) error {
	var keys []storedTicketKey
	now := c.cfg.Now().UTC()
	fresh := [32]byte(randomBytes(32))
	found, err := c.store.ChangeSecret(ctx, secretTickets, func(old store.Secret) (store.Secret, error) {
		stored, err := c.openTicketKeys(old)
		if err != nil {
			return old, err
		}
		changed := false
		if keys, changed = dueTicketKeys(stored, now, fresh); !changed {
			return old, nil
		}
		text, err := json.Marshal(keys)
		return store.Secret{Name: secretTickets, Value: c.sealer.seal(secretTickets, text), CreatedAt: now}, err
	})
	if err != nil {
		return fmt.Errorf("save secret %s: %w", secretTickets, err)
	}
	if found.Revision == c.ticketKeys.Swap(found.Revision) {
		return nil
	}
	all := make([][32]byte, 0, len(keys))
	for _, one := range keys {
		all = append(all, one.Key)
	}
	c.live.Balancer().SetTicketKeys(all)
	return nil
}

func (c *Control) openTicketKeys(found store.Secret) (stored []storedTicketKey, err error) {
	if len(found.Value) == 0 {
		return nil, nil
	}
	text, err := c.sealer.open(secretTickets, found.Value)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("secret %s is damaged", secretTickets)
	}
	return stored, nil
}

// dueTicketKeys is what the list has to be at a time, and whether that differs. A clock that was set back adds a key.
func dueTicketKeys(keys []storedTicketKey, now time.Time, fresh [32]byte) (due []storedTicketKey, changed bool) {
	if len(keys) > 0 && !now.Before(keys[0].From) && now.Before(keys[0].From.Add(ticketKeyLife)) {
		return keys, false
	}
	due = append([]storedTicketKey{{now, fresh}}, keys...)
	return due[:min(len(due), ticketKeysKept)], true
}
