package store

import (
	"context"
	"errors"
	"strings"
)

// Record is one change of the records that the data plane lives on: clients, frontends, certificates, authorities.
// At most one of Client, Frontend, Certificate, Authorities and Deleted is set. With none of them set and no Resync
// it only says how far things have come: the revision changed other records.
type Record struct {
	// Revision: everything up to it is known once this record is applied. So it is the revision of
	// the change itself on the last record of a revision, and the one before on the others.
	Revision uint64

	Client      *Client
	Frontend    *Frontend
	Certificate *Certificate
	Authorities *Authorities
	Deleted     Deleted

	// Key is that of the record, in the store.
	Key string
	// Unreadable: what was written cannot be decoded. Deleted names it then, because it counts for nothing until it is
	// written again.
	Unreadable bool

	// Resync means that records were missed: take a Snapshot and apply that, then go on. Records that
	// follow may be in the snapshot already; applying them again does no harm.
	Resync bool
}

// Kind is a kind of record that can be watched. The zero value is none.
type Kind string

// The kinds that can be watched.
const (
	KindClient      Kind = kindClient
	KindFrontend    Kind = kindFrontend
	KindCertificate Kind = kindCertificate
	KindAuthorities Kind = kindAuthorities
)

// Deleted names a record that is gone. In the zero value Kind is empty.
type Deleted struct {
	Kind      Kind
	Client    string // the client's id, but not of authorities
	Frontend  string // of a frontend
	Authority string // of a certificate
	Serial    string // of a certificate
}

// Snapshot is all records of one revision that can be watched. Clients that are deleted but not yet
// swept are left out, with their frontends; certificates whose frontend is gone may be in it.
type Snapshot struct {
	Revision     uint64
	Clients      []Client
	Frontends    []Frontend
	Certificates []Certificate
	Authorities  Authorities // none before the first

	// Unreadable are the keys of records that cannot be decoded, which are left out.
	Unreadable []string
}

// Revision is the newest there is.
func (s *Store) Revision(ctx context.Context) (uint64, error) {
	return view(ctx, s, func(r Reader) (uint64, error) { return r.Revision(), nil })
}

// Snapshot reads all clients, frontends and certificates as of one revision. WatchRecords from that
// revision misses nothing.
func (s *Store) Snapshot(ctx context.Context) (Snapshot, error) {
	return view(ctx, s, func(r Reader) (snap Snapshot, err error) {
		snap.Revision = r.Revision()
		unreadable := func(key string) { snap.Unreadable = append(snap.Unreadable, key) }
		if snap.Clients, err = listReadable[Client](r, under(kindClient), "", 0, unreadable); err != nil {
			return Snapshot{}, err
		}
		if snap.Frontends, err = listReadable[Frontend](r, under(kindFrontend), "", 0, unreadable); err != nil {
			return Snapshot{}, err
		}
		if snap.Certificates, err = listReadable[Certificate](r, under(kindCertificate), "", 0, unreadable); err != nil {
			return Snapshot{}, err
		}
		snap.Authorities, err = get[Authorities](r, authoritiesKey)
		switch {
		case errors.Is(err, ErrUnreadable):
			unreadable(authoritiesKey)
		case err != nil && !isNotFound(err):
			return Snapshot{}, err
		}
		return snap.withoutDeleted(), nil
	})
}

func (s Snapshot) withoutDeleted() Snapshot {
	live := make(map[string]bool, len(s.Clients))
	clients := s.Clients[:0]
	frontends := s.Frontends[:0]
	for _, c := range s.Clients {
		if c.DeletedAt == nil {
			live[c.UUID] = true
			clients = append(clients, c)
		}
	}
	for _, f := range s.Frontends {
		if live[f.ClientID] {
			frontends = append(frontends, f)
		}
	}
	s.Clients = clients
	s.Frontends = frontends
	return s
}

// RecordWatcher delivers changed records in order. The rules of Watcher hold.
type RecordWatcher struct{ watcher *Watcher }

// WatchRecords watches all records changed after the revision from. The caller must Stop it.
func (s *Store) WatchRecords(from uint64) *RecordWatcher {
	return &RecordWatcher{watcher: s.engine.Watch("", from)}
}

// Stop ends the watcher.
func (w *RecordWatcher) Stop() { w.watcher.Stop() }

// Next waits for the next record. Errors: ctx's and ErrClosed.
func (w *RecordWatcher) Next(ctx context.Context) (Record, error) {
	change, err := w.NextChange(ctx)
	return RecordOf(change), err
}

// NextChange is Next with the record as it is stored, for another process to make a Record of. What is nobody's to watch is
// not in it.
func (w *RecordWatcher) NextChange(ctx context.Context) (Change, error) {
	for {
		change, err := w.watcher.Next(ctx)
		if err != nil {
			return Change{}, err
		}
		if kind, _ := kindOf(change.Key); kind != "" || change.Resync {
			return change, nil
		}
		if change.Last {
			return Change{Revision: change.Revision, Last: true}, nil
		}
	}
}

// RecordOf types a change. One of a kind that cannot be watched has nothing but its revision.
func RecordOf(change Change) (record Record) {
	if change.Resync {
		return Record{Revision: change.Revision, Resync: true}
	}
	record.Revision = change.Revision
	if !change.Last {
		record.Revision--
	}
	kind, ids := kindOf(change.Key)
	if kind == "" {
		return record
	}
	record.Key = change.Key
	var err error
	switch {
	case change.Deleted:
		record.Deleted = deletedOf(kind, ids)
	case kind == KindClient:
		err = decodeClient(&record, change)
	case kind == KindFrontend:
		record.Frontend, err = decodeChange[Frontend](change)
	case kind == KindCertificate:
		record.Certificate, err = decodeChange[Certificate](change)
	case kind == KindAuthorities:
		record.Authorities, err = decodeChange[Authorities](change)
	}
	if err != nil {
		record.Unreadable = true
		record.Deleted = deletedOf(kind, ids)
	}
	return record
}

// decodeClient turns a client that is marked as deleted into what it is to a watcher: gone.
func decodeClient(record *Record, change Change) error {
	c, err := decodeChange[Client](change)
	if err != nil {
		return err
	}
	if c.DeletedAt != nil {
		record.Deleted = Deleted{Kind: KindClient, Client: c.UUID}
		return nil
	}
	record.Client = c
	return nil
}

func decodeChange[T any](change Change) (*T, error) {
	record, err := decode[T](change.Key, change.Value, change.Revision)
	if err != nil {
		return nil, err
	}
	return &record, nil
}

// kindOf returns the kind of a record's key and the ids in it, or no kind for keys of other things.
func kindOf(key string) (Kind, []string) {
	parts := strings.Split(key, "/")
	kind := Kind(parts[0])
	ids := parts[1:]
	switch {
	case kind == KindClient && len(ids) == 1,
		kind == KindFrontend && len(ids) == 2,
		kind == KindCertificate && len(ids) == 3,
		kind == KindAuthorities && len(ids) == 1:
		return kind, ids
	}
	return "", nil
}

func deletedOf(kind Kind, ids []string) Deleted {
	gone := Deleted{Kind: kind}
	if kind != KindAuthorities {
		gone.Client = ids[0]
	}
	switch kind {
	case KindFrontend:
		gone.Frontend = ids[1]
	case KindCertificate:
		gone.Serial = ids[1]
		gone.Authority = ids[2]
	}
	return gone
}
