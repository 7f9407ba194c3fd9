package store

import (
	"context"
	"net/netip"
	"time"
)

// Name is what a name in routes stood for when it was looked up last, for a start while it does not resolve.
type Name struct {
	Host      string       `json:"host"` // lower case
	Addresses []netip.Addr `json:"addresses"`
	At        time.Time    `json:"at"` // of the look-up

	Revision uint64 `json:"-"` // that wrote it
}

func (n *Name) setRevision(rev uint64) { n.Revision = rev }

// MaxNamesAtOnce is how many names one PutNames or DeleteNames takes.
const MaxNamesAtOnce = 50

// PutNames adds names or replaces them. Errors: ErrInvalid for a host that is no key, and for too many.
func (s *Store) PutNames(ctx context.Context, names []Name) error {
	hosts := make([]string, len(names))
	for i, n := range names {
		hosts[i] = n.Host
	}
	return s.eachName(ctx, hosts, func(tx Txn, i int) error { return set(tx, key(kindName, hosts[i]), names[i]) })
}

// DeleteNames removes names; those that do not exist are no error.
func (s *Store) DeleteNames(ctx context.Context, hosts []string) error {
	return s.eachName(ctx, hosts, func(tx Txn, i int) error { tx.Delete(key(kindName, hosts[i])); return nil })
}

func (s *Store) eachName(ctx context.Context, hosts []string, do func(tx Txn, i int) error) error {
	if len(hosts) == 0 {
		return nil
	}
	if len(hosts) > MaxNamesAtOnce {
		return ErrInvalid
	}
	if err := checkIDs(hosts...); err != nil {
		return err
	}
	_, err := s.engine.Update(ctx, func(tx Txn) error {
		for i := range hosts {
			if err := do(tx, i); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Names lists all names.
func (s *Store) Names(ctx context.Context) ([]Name, error) {
	return view(ctx, s, func(r Reader) ([]Name, error) { return list[Name](r, under(kindName), "", 0) })
}
