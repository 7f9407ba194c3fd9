package store

import (
	"context"
	"errors"
	"time"
)

// compromised is a public key whose private key is not its owner's alone any more. It stays for good.
type compromised struct {
	At time.Time `json:"at"`

	Revision uint64 `json:"-"`
}

func (c *compromised) setRevision(rev uint64) { c.Revision = rev }

// ErrCompromised: the certificate's key was reported as compromised.
var ErrCompromised = errors.New("compromised key")

// PutCompromised remembers public keys, by Certificate.SPKI: once it returns PutCertificate takes none of
// them any more. Names that are no keys are left out.
func (s *Store) PutCompromised(ctx context.Context, spkis []string, at time.Time) (rev uint64, err error) {
	for len(spkis) > 0 && err == nil {
		batch := spkis[:min(len(spkis), MaxKeys)]
		spkis = spkis[len(batch):]
		rev, err = s.update(Urgent(ctx), func(tx Txn) error {
			for _, spki := range batch {
				if checkIDs(spki) != nil {
					continue
				}
				err := absent(tx, key(kindCompromised, spki), "compromised key")
				if errors.Is(err, ErrExists) {
					continue
				}
				if err == nil {
					err = set(tx, key(kindCompromised, spki), compromised{At: at})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return rev, err
}

func notCompromised(tx Txn, spki string) error {
	if checkIDs(spki) != nil {
		return nil // an earlier version did not note it
	}
	if err := absent(tx, key(kindCompromised, spki), "compromised key"); errors.Is(err, ErrExists) {
		return ErrCompromised
	} else if err != nil {
		return err
	}
	return nil
}
