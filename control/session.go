package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
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
	a.Session = digest(id)
	ctx = c.audited(ctx, a, actSessionCreate, "")
	_, err = c.store.PutSession(store.Urgent(ctx), store.Session{
		IDHash: digest(id), ClientID: clientID, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(SessionLife),
		UserAgent: clip(userAgent, 200), Address: a.Address.String(),
	})
	return id, fromStore(err, "session")
}

// SessionActor is the client of a session id. The error is KindUnauthenticated when the session has ended; any other says
// that it cannot be told.
func (c *Control) SessionActor(ctx context.Context, id string) (Actor, error) {
	if len(id) != 64 {
		return Actor{}, errSessionEnded
	}
	session, err := c.liveSession(ctx, digest(id))
	if err != nil {
		return Actor{}, err
	}
	if now := c.cfg.Now().UTC(); now.Sub(session.LastSeenAt) >= sessionSeenEvery {
		select {
		case c.sessionUses <- sessionUse{session.IDHash, now}:
		default: // the next request notes it
		}
	}
	admin, _ := c.clientNow(session.ClientID)
	return Actor{ClientID: session.ClientID, Admin: admin, Via: "page", Session: session.IDHash}, nil
}

// sessionSeenEvery is how exactly it is known when a session was used last: each note is a write.
const sessionSeenEvery = time.Minute

// sessionUse is a use of a session that is to be written down.
type sessionUse struct {
	hash string
	at   time.Time
}

// writeSessionUses writes down when sessions were used, until ctx ends.
func (c *Control) writeSessionUses(ctx context.Context) error {
	return receive(ctx, c.sessionUses, func(use sessionUse) {
		if err := c.store.TouchSession(ctx, use.hash, use.at); err != nil && ctx.Err() == nil {
			c.log.LogAttrs(ctx, slog.LevelWarn, "the use of a session is not noted", slog.Any("error", err))
		}
	})
}

var errSessionEnded = &Error{Kind: KindUnauthenticated, Message: "Your session ended. Log in to go on."}

func (c *Control) liveSession(ctx context.Context, hash string) (store.Session, error) {
	session, err := c.store.Session(ctx, hash)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // nobody knows: that logs nobody out
		return store.Session{}, fromStore(err, "session")
	}
	if err != nil || !c.cfg.Now().Before(session.ExpiresAt) {
		return store.Session{}, errSessionEnded
	}
	if client, known := c.live.Client(session.ClientID); !known || !client.HasSession(session) {
		return store.Session{}, errSessionEnded
	}
	return session, nil
}

// CheckSession tells whether the session that the actor came with still lives, with the errors of SessionActor. A stream that goes on after its
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
func (c *Control) EndSession(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actSessionEnd, "")
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	_, err = c.store.DeleteSession(ctx, digest(id))
	c.live.Mark(a.ClientID) // other tabs of this browser
	if KindOf(fromStore(err, "session")) == KindNotFound {
		return nil
	}
	return fromStore(err, "session")
}

// Session is one browser that is logged in.
type Session struct {
	ID        string // names it, and opens nothing
	UserAgent string // what the browser says it is
	Address   string // that it logged in from
	CreatedAt time.Time
	UsedAt    time.Time // last, to the minute
	ExpiresAt time.Time
	Own       bool // the one that asks
}

// sessionID names a session by the beginning of its hash: enough to tell a client's sessions apart.
func sessionID(hash string) string { return clip(hash, 16) }

// Sessions lists the sessions of the actor's client that have not ended, the newest first.
func (c *Control) Sessions(ctx context.Context) ([]Session, error) {
	ctx, a, err := c.may(ctx, actSessionRead, "")
	if err != nil {
		return nil, err
	}
	return c.sessionsOf(ctx, a.ClientID, a.Session)
}

// sessionsOf lists the sessions of a client, newest first. own is the hash of the one that asks.
func (c *Control) sessionsOf(ctx context.Context, clientID, own string) ([]Session, error) {
	records, err := c.liveSessions(ctx, clientID)
	all := make([]Session, 0, len(records))
	for _, r := range records {
		all = append(all, Session{
			ID: sessionID(r.IDHash), UserAgent: r.UserAgent, Address: r.Address, CreatedAt: r.CreatedAt, UsedAt: r.LastSeenAt, ExpiresAt: r.ExpiresAt, Own: r.IDHash == own,
		})
	}
	return all, err
}

func (c *Control) liveSessions(ctx context.Context, clientID string) ([]store.Session, error) {
	records, err := c.store.SessionsOf(ctx, clientID)
	if err != nil {
		return nil, fromStore(err, "client")
	}
	client, known := c.live.Client(clientID)
	records = slices.DeleteFunc(records, func(r store.Session) bool {
		return !known || !client.HasSession(r) || !c.cfg.Now().Before(r.ExpiresAt)
	})
	slices.SortFunc(records, func(a, b store.Session) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return records, nil
}

// EndOneSession logs a browser of the actor's client out, by the id that Sessions gives it.
func (c *Control) EndOneSession(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actSessionEnd, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	records, err := c.liveSessions(ctx, a.ClientID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(records, func(r store.Session) bool { return sessionID(r.IDHash) == id })
	if i < 0 {
		return notFound("session")
	}
	_, err = c.store.DeleteSession(ctx, records[i].IDHash)
	c.live.Mark(a.ClientID) // its open pages notice
	return fromStore(err, "session")
}

// EndSessions logs all browsers of the actor's client out, the one that asks too or without it.
func (c *Control) EndSessions(ctx context.Context, own bool) (err error) {
	ctx, a, err := c.may(ctx, actSessionEnd, "")
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	keep := a.Session
	if own {
		keep = ""
	}
	_, err = c.changeClient(store.Urgent(ctx), a.ClientID, 0, func(r *store.Client) { c.endSessions(r, keep) })
	return err
}

// digest names a secret text in the store by its SHA-256, in hex.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most]
}
