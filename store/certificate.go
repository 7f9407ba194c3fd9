package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Certificate says that an authority issued this serial. It holds no key and not the certificate.
type Certificate struct {
	Serial        string     `json:"serial"`      // lower-case hex; unique with Authority
	Authority     string     `json:"authority"`   // which authority signed it
	Fingerprint   string     `json:"fingerprint"` // of the certificate
	ClientID      string     `json:"clientid"`
	FrontendID    string     `json:"frontendid"`
	Name          string     `json:"name,omitempty"`
	KeyType       string     `json:"keytype"`
	SPKI          string     `json:"spki,omitempty"` // hash of the public key
	NotBefore     time.Time  `json:"notbefore"`
	NotAfter      time.Time  `json:"notafter"`
	IssuedAt      time.Time  `json:"issuedat"`
	RevokedAt     *time.Time `json:"revokedat,omitempty"` // nil while it is good
	RevokedReason string     `json:"revokedreason,omitempty"`
	DrainUntil    *time.Time `json:"drainuntil,omitempty"` // when a revocation closes its connections, nil for at once

	// Renews and RenewsAuthority name the certificate that this one follows, empty for none. ByKey says
	// that the key of that one asked for it, not the client.
	Renews          string `json:"renews,omitempty"`
	RenewsAuthority string `json:"renewsauthority,omitempty"`
	ByKey           bool   `json:"bykey,omitempty"`

	Revision uint64 `json:"-"` // that wrote it
}

func (c *Certificate) setRevision(rev uint64) { c.Revision = rev }

// KeepExpired is how long the record of a certificate stays after the certificate has expired, so
// that people can see what there was.
const KeepExpired = 30 * 24 * time.Hour

func (c *Certificate) key() string {
	return key(kindCertificate, c.ClientID, c.Serial, c.Authority)
}

func (c *Certificate) indexOf() string {
	return key(kindCertificateOf, c.ClientID, c.FrontendID, c.Serial, c.Authority)
}

func (c *Certificate) indexID() string { return key(kindCertificateID, c.Authority, c.Serial) }

func (c *Certificate) indexExpiry() string {
	return expiryKey(c.NotAfter.Add(KeepExpired), c.key())
}

// PutCertificate adds a certificate to a frontend. Errors: ErrNotFound without the frontend, ErrExists
// for the authority and serial, ErrInvalid, ErrCompromised for its key, and ErrRevoked when the one it follows
// is revoked or not there: once a revocation is saved, nothing follows any more.
func (s *Store) PutCertificate(ctx context.Context, c Certificate) (uint64, error) {
	return s.putCertificate(ctx, c, nil)
}

// PutCertificateAsOf does the same for a caller that has counted what the client has: it adds nothing when the
// client got another certificate after the revision that was counted at, and returns ErrConflict and the
// revision to count at again. So a quota holds however many ask at once.
func (s *Store) PutCertificateAsOf(ctx context.Context, c Certificate, counted uint64) (rev uint64, err error) {
	var newest uint64
	rev, err = s.putCertificate(ctx, c, func(tx Txn) error {
		var err error
		if _, newest, err = tx.Get(key(kindIssued, c.ClientID)); err != nil && !isNotFound(err) {
			return err
		}
		if newest > counted {
			return ErrConflict
		}
		tx.Set(key(kindIssued, c.ClientID), nil)
		return nil
	})
	if errors.Is(err, ErrConflict) {
		return newest, err
	}
	return rev, err
}

func (s *Store) putCertificate(ctx context.Context, c Certificate, check func(Txn) error) (uint64, error) {
	if err := checkIDs(c.ClientID, c.FrontendID, c.Serial, c.Authority); err != nil {
		return 0, err
	}
	return s.update(ctx, func(tx Txn) error {
		if _, err := liveFrontend(tx, c.ClientID, c.FrontendID); err != nil {
			return err
		}
		if err := absent(tx, c.indexID(), "certificate"); err != nil {
			return err
		}
		if err := mayFollow(tx, c); err != nil {
			return err
		}
		if err := notCompromised(tx, c.SPKI); err != nil {
			return err
		}
		if check != nil {
			if err := check(tx); err != nil {
				return err
			}
		}
		tx.Set(c.indexID(), []byte(c.key()))
		tx.Set(c.indexOf(), []byte(c.key()))
		tx.Set(c.indexExpiry(), nil)
		return set(tx, c.key(), c)
	})
}

func mayFollow(tx Txn, c Certificate) error {
	if c.Renews == "" {
		return nil
	}
	old, err := certificate(tx, c.RenewsAuthority, c.Renews)
	if err != nil && !isNotFound(err) {
		return err
	}
	if err != nil || old.RevokedAt != nil || old.ClientID != c.ClientID || old.FrontendID != c.FrontendID {
		return fmt.Errorf("the certificate that is followed: %w", ErrRevoked)
	}
	return nil
}

// Certificate returns the record of a serial, or ErrNotFound. It does not ask whether the frontend is
// still there; who does must look at ClientID and FrontendID.
func (s *Store) Certificate(ctx context.Context, authority, serial string) (Certificate, error) {
	if checkIDs(authority, serial) != nil {
		return Certificate{}, missing(kindCertificate)
	}
	return view(ctx, s, func(r Reader) (Certificate, error) { return certificate(r, authority, serial) })
}

func certificate(from getter, authority, serial string) (Certificate, error) {
	record, _, err := from.Get(key(kindCertificateID, authority, serial))
	if err != nil {
		return Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return get[Certificate](from, string(record))
}

// Certificates returns a client's certificates, those of one frontend or of all when frontendID is
// empty, in the order of their serials, at most limit (0 for all) after the serial `after`.
// What belonged to a deleted client or frontend is in it until it is swept.
func (s *Store) Certificates(ctx context.Context, clientID, frontendID, after string, limit int) ([]Certificate, error) {
	if checkIDs(clientID) != nil || frontendID != "" && checkIDs(frontendID) != nil {
		return nil, nil
	}
	return view(ctx, s, func(r Reader) ([]Certificate, error) {
		if frontendID == "" {
			return list[Certificate](r, under(kindCertificate, clientID), afterSerial(after, kindCertificate, clientID), limit)
		}
		return certificatesOf(r, clientID, frontendID, after, limit)
	})
}

// afterSerial begins after every authority's certificate with the serial.
func afterSerial(after string, parts ...string) string {
	return afterKey(after, append(parts, after, "\xff")...)
}

func certificatesOf(r Reader, clientID, frontendID, after string, limit int) ([]Certificate, error) {
	var all []Certificate
	from := afterSerial(after, kindCertificateOf, clientID, frontendID)
	for item, err := range r.Scan(under(kindCertificateOf, clientID, frontendID), from, limit) {
		if err != nil {
			return nil, err
		}
		c, err := get[Certificate](r, string(item.Value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", item.Key, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// UpdateCertificate changes a certificate's record: change receives what is stored, perhaps more than
// once, and an error from it stops the update. What identifies the certificate stays. It goes through
// on an almost full disk, because a revocation must.
func (s *Store) UpdateCertificate(ctx context.Context, authority, serial string, change func(*Certificate) error) (uint64, error) {
	if checkIDs(authority, serial) != nil {
		return 0, missing(kindCertificate)
	}
	return s.update(Urgent(ctx), func(tx Txn) error {
		old, err := certificate(tx, authority, serial)
		if err != nil {
			return err
		}
		c := old
		if err := change(&c); err != nil {
			return err
		}
		c.Serial = old.Serial
		c.Authority = old.Authority
		c.ClientID = old.ClientID
		c.FrontendID = old.FrontendID
		if c.indexExpiry() != old.indexExpiry() {
			tx.Delete(old.indexExpiry())
			tx.Set(c.indexExpiry(), nil)
		}
		return set(tx, c.key(), c)
	})
}

// removeCertificate deletes the record and its indexes. For one that is gone it does nothing.
func removeCertificate(tx Txn, record string) error {
	c, err := get[Certificate](tx, record)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range []string{c.key(), c.indexOf(), c.indexID(), c.indexExpiry()} {
		tx.Delete(k)
	}
	return nil
}
