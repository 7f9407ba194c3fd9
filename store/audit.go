package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Audit is one record of who did what to a client's things, or tried to. The records of a client are numbered from 1 and
// chained: the hash of each is made over the hash of the one before and everything that is in it.
type Audit struct {
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"`

	ClientID   string `json:"client"`               // whose chain it is in
	ActorID    string `json:"actor"`                // who did it: that client, or an administrator
	Credential string `json:"credential,omitempty"` // with what: key, session, token or certificate, and which
	Via        string `json:"via,omitempty"`        // api, page, renewal, command
	Address    string `json:"address,omitempty"`
	RequestID  string `json:"request,omitempty"`

	Action  string        `json:"action"`
	Object  string        `json:"object,omitempty"`
	Outcome string        `json:"outcome"` // AuditDone or AuditRefused
	Reason  string        `json:"reason,omitempty"`
	Changes []AuditChange `json:"changes,omitempty"`

	Revision uint64 `json:"-"` // of the change, which the record was written with
	Hash     string `json:"-"`
}

// Outcomes of what was asked for.
const (
	AuditDone    = "done"
	AuditRefused = "refused"
)

// AuditChange is what became of one record: the fields that are different, before and after.
type AuditChange struct {
	Kind   string                     `json:"kind"` // client, frontend, certificate, invite, session, authorities
	ID     string                     `json:"id"`
	Before map[string]json.RawMessage `json:"before,omitempty"`
	After  map[string]json.RawMessage `json:"after,omitempty"`
}

type auditKey struct{}

// WithAudit makes every change of the context's operation write a record in the same transaction: a change whose record
// cannot be written is not made. ClientID, ActorID, Action and Outcome must be set; the store numbers it and adds what
// changed. An entry may be written to several chains.
func WithAudit(ctx context.Context, entries ...Audit) context.Context {
	return context.WithValue(ctx, auditKey{}, entries)
}

// AuditOf returns the record that changes of the context's operation write to the chain of who does it.
func AuditOf(ctx context.Context) (entry Audit, known bool) {
	entries, _ := ctx.Value(auditKey{}).([]Audit)
	if len(entries) == 0 {
		return Audit{}, false
	}
	return entries[0], true
}

// WithoutAudit is for what the server does by itself within an operation, such as keeping count.
func WithoutAudit(ctx context.Context) context.Context {
	return context.WithValue(ctx, auditKey{}, nil)
}

// update is the engine's, with the records that the context asks for: of who did it, and of the request that asked.
func (s *Store) update(ctx context.Context, fn func(Txn) error) (uint64, error) {
	entries, _ := ctx.Value(auditKey{}).([]Audit)
	answered, remembers := ctx.Value(answeredKey{}).(Answered)
	if len(entries) == 0 && !remembers {
		return s.engine.Update(ctx, fn)
	}
	return s.engine.Update(ctx, func(tx Txn) error {
		watched := &auditedTxn{Txn: tx}
		if err := fn(watched); err != nil {
			return err
		}
		changes, err := watched.changes()
		if err != nil || len(changes) == 0 {
			return err
		}
		if remembers {
			if err := answered.remember(tx); err != nil {
				return err
			}
		}
		for _, entry := range entries {
			entry.Changes = changes
			if err := appendAudit(tx, entry); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutAudit writes a record about something that changed nothing, such as what was refused.
func (s *Store) PutAudit(ctx context.Context, entry Audit) error {
	if err := checkIDs(entry.ClientID); err != nil {
		return err
	}
	_, err := s.engine.Update(ctx, func(tx Txn) error { return appendAudit(tx, entry) })
	return err
}

// auditHead is the end of a chain, or the place where its beginning was cut off.
type auditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

func auditRecordKey(client string, seq uint64) string {
	return key(kindAudit, client, fmt.Sprintf("%016x", seq))
}

// appendAudit adds a record to its chain.
func appendAudit(tx Txn, entry Audit) error {
	at := key(kindAuditHead, entry.ClientID)
	head, err := get[auditHead](tx, at)
	if err != nil && !isNotFound(err) {
		return err
	}
	entry.Seq = head.Seq + 1
	body, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encode an audit record: %w", err)
	}
	hash := chainHash(head.Hash, body)
	// The hash stands before the body and is made over its bytes, so that no bit of either can change unseen.
	tx.Set(auditRecordKey(entry.ClientID, entry.Seq), slices.Concat([]byte(hash+"\n"), body))
	return set(tx, at, auditHead{entry.Seq, hash})
}

func chainHash(before string, body []byte) string {
	sum := sha256.Sum256(slices.Concat([]byte(before+"\n"), body))
	return hex.EncodeToString(sum[:])
}

// readAudit takes a stored record apart, and returns its body as it was hashed.
func readAudit(item Item) (record Audit, body []byte, err error) {
	hash, body, found := bytes.Cut(item.Value, []byte("\n"))
	if !found {
		return record, nil, fmt.Errorf("decode %s: %w", item.Key, ErrUnreadable)
	}
	if err := json.Unmarshal(body, &record); err != nil {
		return record, nil, fmt.Errorf("decode %s: %w: %v", item.Key, ErrUnreadable, err)
	}
	record.Hash = string(hash)
	record.Revision = item.Revision
	return record, body, nil
}

// Audits lists a client's records before the number `before` (0: from the newest), newest first, those that wanted says,
// at most limit of them (0 for all). It looks at no more than scan records (0 for all), and returns the number of the
// last one that it looked at, 0 when it has seen the oldest.
func (s *Store) Audits(ctx context.Context, client string, before uint64, limit, scan int, wanted func(Audit) bool) (found []Audit, last uint64, err error) {
	if checkIDs(client) != nil {
		return nil, 0, nil
	}
	err = s.engine.View(ctx, func(r Reader) error {
		found = nil
		head, err := get[auditHead](r, key(kindAuditHead, client))
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		seq := head.Seq + 1
		if before > 0 {
			seq = min(before, seq)
		}
		for last = seq; last > 1; {
			if limit > 0 && len(found) == limit || scan > 0 && seq-last == uint64(scan) {
				return nil
			}
			value, rev, err := r.Get(auditRecordKey(client, last-1))
			if isNotFound(err) { // kept no longer
				break
			}
			if err != nil {
				return err
			}
			last--
			record, _, err := readAudit(Item{Key: auditRecordKey(client, last), Value: value, Revision: rev})
			if err != nil {
				return err
			}
			if wanted == nil || wanted(record) {
				found = append(found, record)
			}
		}
		last = 0
		return nil
	})
	return found, last, err
}

// AuditCheck is what came of following a chain.
type AuditCheck struct {
	Records     int
	First, Last uint64 // numbers of the records that there are; 0 without any
	// Broken is the number of the first record that does not fit to the one before it, or is missing; 0 when all fit.
	Broken uint64
}

// CheckAudit follows a client's chain from where it was cut to its end.
func (s *Store) CheckAudit(ctx context.Context, client string) (check AuditCheck, err error) {
	if checkIDs(client) != nil {
		return check, nil
	}
	err = s.engine.View(ctx, func(r Reader) error {
		check = AuditCheck{}
		head, err := get[auditHead](r, key(kindAuditHead, client))
		if err != nil && !isNotFound(err) && !errors.Is(err, ErrUnreadable) {
			return err
		}
		anchor, err := get[auditHead](r, key(kindAuditAnchor, client))
		if err != nil && !isNotFound(err) && !errors.Is(err, ErrUnreadable) {
			return err
		}
		expected := anchor
		for item, err := range r.Scan(under(kindAudit, client), "", 0) {
			if err != nil {
				return err
			}
			expected.Seq++
			hash, body, _ := bytes.Cut(item.Value, []byte("\n"))
			expected.Hash = chainHash(expected.Hash, body)
			if item.Key != auditRecordKey(client, expected.Seq) || string(hash) != expected.Hash {
				check.Broken = expected.Seq
				return nil
			}
			check.Records++
			if check.First == 0 {
				check.First = expected.Seq
			}
			check.Last = expected.Seq
		}
		if head != expected { // records are missing at the end, or the head was changed
			check.Broken = expected.Seq + 1
		}
		return nil
	})
	return check, err
}

// SweepAudit removes the records of all chains that are older than a moment, and notes where each chain was cut: what is
// left is still checked from there. It removes at most limit records (0 for all) and returns how many.
func (s *Store) SweepAudit(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	clients, err := view(ctx, s, func(r Reader) (all []string, err error) {
		for item, err := range r.Scan(under(kindAuditHead), "", 0) {
			if err != nil {
				return nil, err
			}
			all = append(all, below(item.Key)[0])
		}
		return all, nil
	})
	for _, client := range clients {
		for err == nil && (limit == 0 || removed < limit) {
			var n int
			n, err = s.cutAudit(WithoutAudit(ctx), client, before)
			removed += n
			if n == 0 {
				break
			}
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, err
}

// cutAudit removes some of the oldest records of a chain, in one transaction with the note of where it begins now.
func (s *Store) cutAudit(ctx context.Context, client string, before time.Time) (int, error) {
	old, err := view(ctx, s, func(r Reader) (all []Item, err error) {
		for item, err := range r.Scan(under(kindAudit, client), "", sweepBatch) {
			if err != nil {
				return nil, err
			}
			record, _, err := readAudit(item)
			if err == nil && !record.At.Before(before) {
				break
			}
			all = append(all, item) // one that cannot be read any more goes too: its neighbours tell its age
		}
		return all, nil
	})
	if err != nil || len(old) == 0 {
		return 0, err
	}
	last := old[len(old)-1]
	seq, err := strconv.ParseUint(last.Key[strings.LastIndexByte(last.Key, '/')+1:], 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", last.Key, ErrUnreadable)
	}
	hash, _, _ := bytes.Cut(last.Value, []byte("\n"))
	_, err = s.engine.Update(Urgent(ctx), func(tx Txn) error {
		for _, item := range old {
			tx.Delete(item.Key)
		}
		return set(tx, key(kindAuditAnchor, client), auditHead{seq, string(hash)})
	})
	return len(old), err
}
