package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/xdire/xlb/store"
)

// SessionLife is how long a browser stays logged in.
const SessionLife = 12 * time.Hour

// StartSession makes a session for a client that has just shown its key or signed up, and returns the
// opaque id that goes into the cookie. The store keeps a hash of it.
func (c *Control) StartSession(ctx context.Context, clientID, userAgent string) (string, error) {
	a, err := c.may(ctx, actSessionCreate, clientID)
	if err != nil {
		return "", err
	}
	id, now := hex.EncodeToString(randomBytes(32)), c.cfg.Now().UTC()
	_, err = c.store.PutSession(ctx, store.Session{
		IDHash: hashSession(id), ClientID: clientID, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(SessionLife),
		UserAgent: clip(userAgent, 200), Address: a.Address.String(),
	})
	return id, fromStore(err, "session")
}

// SessionActor is the client of a session id.
func (c *Control) SessionActor(ctx context.Context, id string) (Actor, error) {
	ended := &Error{Kind: KindUnauthenticated, Message: "Your session ended. Log in to go on."}
	if len(id) != 64 {
		return Actor{}, ended
	}
	session, err := c.store.Session(ctx, hashSession(id))
	if err != nil || !c.cfg.Now().Before(session.ExpiresAt) {
		return Actor{}, ended
	}
	admin, known := c.index.client(session.ClientID)
	if !known {
		return Actor{}, ended
	}
	return Actor{ClientID: session.ClientID, Admin: admin, Via: "page"}, nil
}

// EndSession logs one browser out. An unknown id is no error.
func (c *Control) EndSession(ctx context.Context, id string) error {
	if _, err := c.may(ctx, actSessionEnd, ""); err != nil {
		return err
	}
	_, err := c.store.DeleteSession(ctx, hashSession(id))
	if KindOf(fromStore(err, "session")) == KindNotFound {
		return nil
	}
	return fromStore(err, "session")
}

func hashSession(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most]
}
