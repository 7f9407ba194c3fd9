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
	ctx, a, err := c.may(ctx, actSessionCreate, clientID)
	if err != nil {
		return "", err
	}
	id := hex.EncodeToString(randomBytes(32))
	now := c.cfg.Now().UTC()
	a.ClientID = clientID // who has just shown its key
	a.Session = hashSession(id)
	ctx = c.audited(ctx, a, actSessionCreate, "")
	_, err = c.store.PutSession(store.Urgent(ctx), store.Session{
		IDHash: hashSession(id), ClientID: clientID, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(SessionLife),
		UserAgent: clip(userAgent, 200), Address: a.Address.String(),
	})
	return id, fromStore(err, "session")
}

// SessionActor is the client of a session id.
func (c *Control) SessionActor(ctx context.Context, id string) (Actor, error) {
	if len(id) != 64 {
		return Actor{}, errSessionEnded
	}
	session, err := c.liveSession(ctx, hashSession(id))
	if err != nil {
		return Actor{}, err
	}
	admin, _ := c.clientNow(session.ClientID)
	return Actor{ClientID: session.ClientID, Admin: admin, Via: "page", Session: session.IDHash}, nil
}

var errSessionEnded = &Error{Kind: KindUnauthenticated, Message: "Your session ended. Log in to go on."}

func (c *Control) liveSession(ctx context.Context, hash string) (store.Session, error) {
	session, err := c.store.Session(ctx, hash)
	if err != nil || !c.cfg.Now().Before(session.ExpiresAt) {
		return store.Session{}, errSessionEnded
	}
	if client, known := c.live.Client(session.ClientID); !known || !client.HasSession(session) {
		return store.Session{}, errSessionEnded
	}
	return session, nil
}

// CheckSession tells whether the session that the actor came with still lives. A stream that goes on after its
// request was let in has to ask. Changes is marked when a session ends.
func (c *Control) CheckSession(ctx context.Context) error {
	hash := ActorFrom(ctx).Session
	if hash == "" {
		return nil
	}
	_, err := c.liveSession(ctx, hash)
	return err
}

// EndSession logs one browser out. An unknown id is no error.
func (c *Control) EndSession(ctx context.Context, id string) error {
	ctx, a, err := c.may(ctx, actSessionEnd, "")
	if err != nil {
		return err
	}
	_, err = c.store.DeleteSession(ctx, hashSession(id))
	c.live.Mark(a.ClientID) // other tabs of this browser
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
