package store

import (
	"context"
	"strings"
	"time"
)

// sweepBatch is how many records go in one Update: a certificate and its indexes are four keys, and
// the batch's own bookkeeping is a few more.
const sweepBatch = 20

// SweepExpired removes what needs no request to go: sessions whose time is over, requests that are remembered no longer,
// certificates that expired more than KeepExpired ago, clients that were never used, and what is left of deleted frontends
// and clients. It looks at up
// to limit expired records and up to limit deletions (0 for all), and returns how many records it
// removed. It can be called at any time, by several processes, and is repeated without harm.
func (s *Store) SweepExpired(ctx context.Context, now time.Time, limit int) (removed int, err error) {
	end := key(kindExpiry, expiryStamp(now.Add(time.Second)))
	removed, _, err = s.removeUntil(ctx, under(kindExpiry), end, limit, func(tx Txn, item Item) error {
		return removeExpired(tx, item, now)
	})
	if err != nil {
		return removed, err
	}
	left, err := s.leftToSweep(ctx, limit)
	for _, mark := range left {
		if err != nil {
			break
		}
		var n int
		n, err = s.sweepMark(ctx, mark)
		removed += n
	}
	return removed, err
}

// removeExpired removes the record that an expiry key is for. When the record got more time since, only
// the stale key goes.
func removeExpired(tx Txn, item Item, now time.Time) error {
	record := strings.Join(below(item.Key)[1:], "/")
	current, err := currentExpiry(tx, record)
	if err != nil && !isNotFound(err) {
		return err
	}
	if current == item.Key {
		return removeRecord(tx, record, now)
	}
	tx.Delete(item.Key)
	return nil
}

func currentExpiry(tx Txn, record string) (string, error) {
	if strings.HasPrefix(record, under(kindSession)) {
		session, err := get[Session](tx, record)
		return session.indexExpiry(), err
	}
	if strings.HasPrefix(record, under(kindClient)) {
		client, err := get[Client](tx, record)
		return client.indexExpiry(), err
	}
	if strings.HasPrefix(record, under(kindAnswered)) {
		answered, err := get[Answered](tx, record)
		return answered.indexExpiry(), err
	}
	c, err := get[Certificate](tx, record)
	return c.indexExpiry(), err
}

func removeRecord(tx Txn, record string, now time.Time) error {
	if strings.HasPrefix(record, under(kindClient)) {
		return removeUnused(tx, record, now)
	}
	if strings.HasPrefix(record, under(kindSession)) {
		return removeSession(tx, record)
	}
	if strings.HasPrefix(record, under(kindAnswered)) {
		return removeAnswered(tx, record)
	}
	return removeCertificate(tx, record)
}

// removeUnused marks a client that was never used as deleted; what it had is swept as after DeleteClient.
func removeUnused(tx Txn, record string, now time.Time) error {
	c, err := get[Client](tx, record)
	if err != nil {
		return err
	}
	tx.Delete(c.indexExpiry())
	if c.DeletedAt != nil {
		return nil
	}
	return deleteClient(tx, c, now)
}

// leftToSweep lists the marks of deletions that are not finished, frontends after clients.
func (s *Store) leftToSweep(ctx context.Context, limit int) ([]string, error) {
	return view(ctx, s, func(r Reader) ([]string, error) {
		var marks []string
		for item, err := range r.Scan(under(kindSweep), "", limit) {
			if err != nil {
				return nil, err
			}
			marks = append(marks, item.Key)
		}
		return marks, nil
	})
}

func (s *Store) sweepMark(ctx context.Context, mark string) (int, error) {
	ids := below(mark)
	if ids[0] == kindClient {
		return s.SweepClient(ctx, ids[1])
	}
	return s.SweepFrontend(ctx, ids[1], ids[2])
}

// SweepFrontend removes the revisions and certificates of a deleted frontend and returns how many certificates. It may be stopped
// at any point and called again; for a frontend that is not deleted, or that is swept, it does nothing.
func (s *Store) SweepFrontend(ctx context.Context, clientID, uuid string) (int, error) {
	if checkIDs(clientID, uuid) != nil {
		return 0, nil
	}
	mark := key(kindSweep, kindFrontend, clientID, uuid)
	remove := func(tx Txn, item Item) error { tx.Delete(item.Key); return nil }
	if n, err := s.sweepPrefix(ctx, mark, under(kindRevision, clientID, uuid), remove); err != nil {
		return n, err
	}
	n, err := s.sweepPrefix(ctx, mark, under(kindCertificateOf, clientID, uuid), func(tx Txn, item Item) error {
		return removeCertificate(tx, string(item.Value))
	})
	if err != nil {
		return n, err
	}
	return n, s.finishSweep(ctx, mark)
}

// SweepClient removes everything of a deleted client, the client's record last, and returns how many
// records. It may be stopped at any point and called again; for a client that is not deleted, or that
// is swept, it does nothing.
func (s *Store) SweepClient(ctx context.Context, uuid string) (removed int, err error) {
	if checkIDs(uuid) != nil {
		return 0, nil
	}
	mark := key(kindSweep, kindClient, uuid)
	steps := []struct {
		prefix string
		remove func(Txn, Item) error
	}{
		{under(kindSession, uuid), func(tx Txn, item Item) error { return removeSession(tx, item.Key) }},
		{under(kindFrontend, uuid), removeFrontendOnly},
		{under(kindRevision, uuid), func(tx Txn, item Item) error { tx.Delete(item.Key); return nil }},
		{under(kindCertificate, uuid), func(tx Txn, item Item) error { return removeCertificate(tx, item.Key) }},
		{under(kindAnswered, uuid), func(tx Txn, item Item) error { return removeAnswered(tx, item.Key) }},
		{under(kindSweep, kindFrontend, uuid), func(tx Txn, item Item) error { tx.Delete(item.Key); return nil }},
	}
	for _, step := range steps {
		n, err := s.sweepPrefix(ctx, mark, step.prefix, step.remove)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, s.finishSweep(ctx, mark, key(kindClient, uuid), key(kindIssued, uuid))
}

// removeFrontendOnly removes a frontend of a client that goes as a whole: nothing is counted, and the
// certificates need no mark of their own.
func removeFrontendOnly(tx Txn, item Item) error {
	f, err := get[Frontend](tx, item.Key)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	tx.Delete(key(kindAccessKey, f.AccessKey))
	tx.Delete(item.Key)
	return nil
}

// sweepPrefix removes what is under a prefix, as long as the mark says that it is to go.
func (s *Store) sweepPrefix(ctx context.Context, mark, prefix string, remove func(Txn, Item) error) (int, error) {
	n, _, err := s.removeUntil(ctx, prefix, "", 0, func(tx Txn, item Item) error {
		if _, _, err := tx.Get(mark); err != nil {
			return err
		}
		return remove(tx, item)
	})
	if isNotFound(err) {
		return n, nil
	}
	return n, err
}

// finishSweep takes the mark away, and with it the keys that were kept to the end.
func (s *Store) finishSweep(ctx context.Context, mark string, last ...string) error {
	_, err := s.update(Urgent(ctx), func(tx Txn) error {
		if _, _, err := tx.Get(mark); err != nil {
			return err
		}
		tx.Delete(mark)
		for _, k := range last {
			tx.Delete(k)
		}
		return nil
	})
	if isNotFound(err) {
		return nil
	}
	return err
}

// removeAll is removeUntil to the end of the prefix.
func (s *Store) removeAll(ctx context.Context, prefix string, limit int, remove func(Txn, Item) error) (int, uint64, error) {
	return s.removeUntil(ctx, prefix, "", limit, remove)
}

// removeUntil calls remove for the keys with the prefix and below end ("" for all of them), up to limit
// (0 for all), many in one Update. It returns how many keys it went through, and the last revision.
func (s *Store) removeUntil(ctx context.Context, prefix, end string, limit int, remove func(Txn, Item) error) (n int, rev uint64, err error) {
	after := ""
	for limit == 0 || n < limit {
		most := sweepBatch
		if limit > 0 {
			most = min(most, limit-n)
		}
		items, current, err := s.batch(ctx, prefix, after, end, most)
		if err != nil || len(items) == 0 {
			return n, max(rev, current), err
		}
		rev, err = s.update(Urgent(ctx), func(tx Txn) error {
			for _, item := range items {
				if err := remove(tx, item); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, rev, err
		}
		n += len(items)
		after = items[len(items)-1].Key
	}
	return n, rev, nil
}

// batch reads the next keys to go through, and the revision they were read at.
func (s *Store) batch(ctx context.Context, prefix, after, end string, most int) (items []Item, rev uint64, err error) {
	err = s.engine.View(ctx, func(r Reader) error {
		rev = r.Revision()
		for item, err := range r.Scan(prefix, after, most) {
			if err != nil {
				return err
			}
			if end != "" && item.Key >= end {
				break
			}
			items = append(items, item)
		}
		return nil
	})
	return items, rev, err
}
