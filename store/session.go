package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Session is one browser that is logged in.
type Session struct {
	IDHash     string    `json:"idhash"` // of the id in the cookie, never the id itself
	ClientID   string    `json:"clientid"`
	CreatedAt  time.Time `json:"createdat"`
	ExpiresAt  time.Time `json:"expiresat"`
	LastSeenAt time.Time `json:"lastseenat"`
	UserAgent  string    `json:"useragent,omitempty"`
	Address    string    `json:"address,omitempty"`

	Revision uint64 `json:"-"` // that wrote it
}

func (s *Session) setRevision(rev uint64) { s.Revision = rev }

func (s *Session) key() string         { return key(kindSession, s.ClientID, s.IDHash) }
func (s *Session) indexID() string     { return key(kindSessionID, s.IDHash) }
func (s *Session) indexExpiry() string { return expiryKey(s.ExpiresAt, s.key()) }

// PutSession adds a session, or replaces the one with the same hash and client. Errors: ErrNotFound
// without the client, ErrExists when the hash is another client's, ErrInvalid.
func (s *Store) PutSession(ctx context.Context, session Session) (uint64, error) {
	if err := checkIDs(session.ClientID, session.IDHash); err != nil {
		return 0, err
	}
	return s.update(ctx, func(tx Txn) error {
		if _, err := liveClient(tx, session.ClientID); err != nil {
			return err
		}
		old, err := findSession(tx, session.IDHash)
		switch {
		case err == nil && old.ClientID != session.ClientID:
			return fmt.Errorf("session: %w", ErrExists)
		case err == nil:
			tx.Delete(old.indexExpiry())
		case !isNotFound(err):
			return err
		}
		tx.Set(session.indexID(), []byte(session.key()))
		tx.Set(session.indexExpiry(), nil)
		return set(tx, session.key(), session)
	})
}

// TouchSession notes that a session was used. It changes nothing when the session is gone, or was seen later already.
func (s *Store) TouchSession(ctx context.Context, idHash string, seen time.Time) error {
	if checkIDs(idHash) != nil {
		return missing(kindSession)
	}
	_, err := s.update(ctx, func(tx Txn) error {
		session, err := findSession(tx, idHash)
		if isNotFound(err) || err == nil && !session.LastSeenAt.Before(seen) {
			return nil
		}
		if err != nil {
			return err
		}
		session.LastSeenAt = seen
		return set(tx, session.key(), session)
	})
	return err
}

// Session returns a session, or ErrNotFound. Whether it has expired is the caller's to judge.
func (s *Store) Session(ctx context.Context, idHash string) (Session, error) {
	if checkIDs(idHash) != nil {
		return Session{}, missing(kindSession)
	}
	return view(ctx, s, func(r Reader) (Session, error) {
		session, err := findSession(r, idHash)
		if err != nil {
			return Session{}, err
		}
		_, err = liveClient(r, session.ClientID)
		return session, err
	})
}

func findSession(from getter, idHash string) (Session, error) {
	record, _, err := from.Get(key(kindSessionID, idHash))
	if err != nil {
		return Session{}, fmt.Errorf("session: %w", err)
	}
	return get[Session](from, string(record))
}

// DeleteSession removes a session. ErrNotFound when there is none.
func (s *Store) DeleteSession(ctx context.Context, idHash string) (uint64, error) {
	if checkIDs(idHash) != nil {
		return 0, missing(kindSession)
	}
	return s.update(Urgent(ctx), func(tx Txn) error {
		session, err := findSession(tx, idHash)
		if err != nil {
			return err
		}
		return removeSession(tx, session.key())
	})
}

// SessionsOf returns all sessions of a client, in no meaningful order.
func (s *Store) SessionsOf(ctx context.Context, clientID string) ([]Session, error) {
	if checkIDs(clientID) != nil {
		return nil, nil
	}
	return view(ctx, s, func(r Reader) ([]Session, error) {
		return list[Session](r, under(kindSession, clientID), "", 0)
	})
}

// DeleteSessionsOf removes all sessions of a client but those with a hash in keep. A session that
// begins meanwhile may stay.
func (s *Store) DeleteSessionsOf(ctx context.Context, clientID string, keep ...string) (uint64, error) {
	if checkIDs(clientID) != nil {
		return 0, missing(kindClient)
	}
	_, rev, err := s.removeAll(ctx, under(kindSession, clientID), 0, func(tx Txn, item Item) error {
		if slices.Contains(keep, below(item.Key)[1]) {
			return nil
		}
		return removeSession(tx, item.Key)
	})
	return rev, err
}

// removeSession deletes the record and its indexes. For one that is gone it does nothing.
func removeSession(tx Txn, record string) error {
	session, err := get[Session](tx, record)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range []string{session.key(), session.indexID(), session.indexExpiry()} {
		tx.Delete(k)
	}
	return nil
}
