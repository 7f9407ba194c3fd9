package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// RevocationReasons are what may be said about why (RFC 5280, section 5.3.1); empty is unspecified.
var RevocationReasons = []string{"unspecified", keyCompromise, "superseded", "cessation-of-operation"}

const keyCompromise = "key-compromise"

// Revocation is how to revoke. The zero value closes all connections at once.
type Revocation struct {
	Reason string        // one of RevocationReasons, empty for unspecified
	Drain  time.Duration // how long live connections may go on; zero closes them at once, at most a day
}

const maxDrain = 24 * time.Hour

func (r Revocation) check() (Revocation, error) {
	var problems []error
	if r.Reason == "" {
		r.Reason = RevocationReasons[0]
	}
	if !slices.Contains(RevocationReasons, r.Reason) {
		problems = append(problems, invalid("reason", "Use unspecified, key-compromise, superseded or cessation-of-operation."))
	}
	if r.Drain < 0 || r.Drain > maxDrain {
		problems = append(problems, invalid("drain", "Use 0 to %d seconds; 0 is at once.", int(maxDrain.Seconds())))
	}
	return r, errors.Join(problems...)
}

// Revoked is what a revocation did.
type Revoked struct {
	Certificates int // that were good before
	Closed       int // live connections that were closed, or will be when the drain is over
	Took         time.Duration
}

// Certificate is one certificate of a frontend of the actor. The serial may be spelt in any way.
func (c *Control) Certificate(ctx context.Context, frontendID, serial string) (Certificate, error) {
	ctx, a, err := c.may(ctx, actCertificateRead, frontendID+"/certificates/"+serial)
	if err != nil {
		return Certificate{}, err
	}
	record, err := c.certificateRecord(ctx, a, frontendID, serial)
	return c.certificateOf(record), err
}

func (c *Control) certificateRecord(ctx context.Context, a Actor, frontendID, serial string) (store.Certificate, error) {
	frontend, err := c.store.Frontend(ctx, a.ClientID, canonicalID(frontendID))
	if err != nil {
		return store.Certificate{}, fromStore(err, "frontend")
	}
	serial, err = pki.ParseSerial(serial)
	if err != nil {
		return store.Certificate{}, notFound("certificate")
	}
	record, err := c.bySerial(ctx, serial)
	if err != nil {
		return store.Certificate{}, fromStore(err, "certificate")
	}
	if record.ClientID != a.ClientID || record.FrontendID != frontend.UUID {
		return store.Certificate{}, notFound("certificate")
	}
	return record, nil
}

// bySerial finds the record of a certificate, whichever authority has issued it: serials are random, so no two have one.
func (c *Control) bySerial(ctx context.Context, serial string) (record store.Certificate, err error) {
	for _, m := range c.set() {
		record, err = c.store.Certificate(ctx, m.ID(), serial)
		if !errors.Is(err, store.ErrNotFound) {
			return record, err
		}
	}
	return record, err
}

// RevokeCertificate ends a certificate of a frontend of the actor. When it returns, handshakes and
// resumptions with it are refused and its live connections are closed, unless they were given time. A
// certificate that is revoked stays as it is, but its connections are closed all the same. With the reason
// key-compromise, whatever else its key may have opened ends too, see leaked; and the key itself is never
// certified again, nor good anywhere else: see revokeKeys.
func (c *Control) RevokeCertificate(ctx context.Context, frontendID, serial string, r Revocation) (Revoked, error) {
	began := time.Now()
	ctx, a, err := c.may(ctx, actCertificateRevoke, frontendID+"/certificates/"+serial)
	if err != nil {
		return Revoked{}, err
	}
	if r, err = r.check(); err != nil {
		return Revoked{}, err
	}
	record, err := c.certificateRecord(ctx, a, frontendID, serial)
	if err != nil {
		return Revoked{}, err
	}
	done, err := c.revokeAll(ctx, []store.Certificate{record}, r)
	if err == nil && r.Reason == keyCompromise {
		err = c.revokeLeaked(ctx, record, r, &done)
	}
	done.Took = time.Since(began)
	return done, err
}

// revokeLeaked adds to done what goes with a key that is not its owner's alone any more. It looks again
// until nothing is left: a renewal may have been under way, and after its certificate is revoked none is.
func (c *Control) revokeLeaked(ctx context.Context, root store.Certificate, r Revocation, done *Revoked) error {
	for {
		all, err := c.store.Certificates(ctx, root.ClientID, root.FrontendID, "", 0)
		if err != nil {
			return fromStore(err, "frontend")
		}
		found := leaked(all, root)
		if len(found) == 0 {
			return nil
		}
		more, err := c.revokeAll(ctx, found, r)
		done.Certificates += more.Certificates
		done.Closed += more.Closed
		if err != nil {
			return err
		}
	}
}

// leaked lists the good ones among a frontend's certificates that the holder of root's key has or may have
// got: those with the same key, those that a key of these asked for, and so on.
func leaked(all []store.Certificate, root store.Certificate) []store.Certificate {
	serials := map[string]bool{root.Serial: true}
	keys := map[string]bool{root.SPKI: root.SPKI != ""}
	var found []store.Certificate
	for again := true; again; {
		again = false
		for _, r := range all {
			if serials[r.Serial] || !keys[r.SPKI] && !(r.ByKey && serials[r.Renews]) {
				continue
			}
			serials[r.Serial] = true
			keys[r.SPKI] = r.SPKI != ""
			again = true
			if r.RevokedAt == nil {
				found = append(found, r)
			}
		}
	}
	return found
}

// RevokeIssuedBefore ends all certificates of a frontend of the actor that were issued before a moment,
// as RevokeCertificate does.
func (c *Control) RevokeIssuedBefore(ctx context.Context, frontendID string, before time.Time, r Revocation) (Revoked, error) {
	began := time.Now()
	ctx, a, err := c.may(ctx, actCertificateRevoke, frontendID+"/certificates")
	if err != nil {
		return Revoked{}, err
	}
	if r, err = r.check(); err != nil {
		return Revoked{}, err
	}
	if before.IsZero() {
		return Revoked{}, invalid("issuedBefore", "Use a moment, for example 2027-01-31T12:00:00Z.")
	}
	old, err := c.issuedBefore(ctx, a, frontendID, before)
	if err != nil {
		return Revoked{}, err
	}
	done, err := c.revokeAll(ctx, old, r)
	done.Took = time.Since(began)
	return done, err
}

// issuedBefore lists the certificates of a frontend of the actor that were issued before a moment and not
// revoked.
func (c *Control) issuedBefore(ctx context.Context, a Actor, frontendID string, before time.Time) ([]store.Certificate, error) {
	frontend, err := c.store.Frontend(ctx, a.ClientID, canonicalID(frontendID))
	if err != nil {
		return nil, fromStore(err, "frontend")
	}
	all, err := c.store.Certificates(ctx, a.ClientID, frontend.UUID, "", 0)
	return slices.DeleteFunc(all, func(r store.Certificate) bool { return r.RevokedAt != nil || !r.IssuedAt.Before(before) }), fromStore(err, "frontend")
}

// IssuedBefore is what RevokeIssuedBefore would do: how many certificates it would revoke, and how many
// connections these have open.
func (c *Control) IssuedBefore(ctx context.Context, frontendID string, before time.Time) (certificates, connections int, err error) {
	ctx, a, err := c.may(ctx, actCertificateRead, frontendID+"/certificates")
	if err != nil {
		return 0, 0, err
	}
	old, err := c.issuedBefore(ctx, a, frontendID, before)
	serials := map[string]bool{}
	for _, record := range old {
		serials[record.Serial] = true
	}
	for _, one := range c.live.Connections(canonicalID(frontendID)) {
		if serials[one.Serial] {
			connections++
		}
	}
	return len(old), connections, err
}

// revokeKeys ends the keys of certificates for good: none of them is certified any more, and what has one of
// them is revoked, of whatever frontend or client. Whoever got a certificate for a key has shown that it is
// theirs, so a client cannot end the keys of others with it.
func (c *Control) revokeKeys(ctx context.Context, records []store.Certificate, r Revocation) (last uint64, err error) {
	var keys []string
	for _, record := range records {
		if record.SPKI != "" {
			keys = append(keys, record.SPKI)
		}
	}
	last, err = c.store.PutCompromised(ctx, keys, c.cfg.Now().UTC())
	if err != nil {
		return 0, fromStore(err, "certificate")
	}
	if err := c.waitFor(ctx, last); err != nil { // by then all that were issued are in it
		return 0, err
	}
	for _, key := range keys {
		for _, other := range c.live.WithKey(key) {
			rev, err := c.store.UpdateCertificate(ctx, other.Authority, other.Serial, func(stored *store.Certificate) error {
				c.revoke(stored, r)
				return nil
			})
			if err != nil {
				return 0, fromStore(err, "certificate")
			}
			last = max(last, rev)
		}
	}
	return last, nil
}

// rememberCompromised does for keys that were revoked before keys were remembered.
func (c *Control) rememberCompromised(ctx context.Context) error {
	var keys []string
	c.live.EachCertificate(func(_ live.CertificateKey, state *live.Certificate) {
		if state.Revoked && state.Reason == keyCompromise && state.SPKI != "" {
			keys = append(keys, state.SPKI)
		}
	})
	_, err := c.store.PutCompromised(ctx, keys, c.cfg.Now().UTC())
	return err
}

// revokeAll saves the revocations and waits until the data plane has obeyed.
func (c *Control) revokeAll(ctx context.Context, records []store.Certificate, r Revocation) (Revoked, error) {
	var done Revoked
	var last uint64
	before := 0
	for _, record := range records {
		before += c.closedBy(record)
		good := false
		rev, err := c.store.UpdateCertificate(ctx, record.Authority, record.Serial, func(stored *store.Certificate) error {
			good = stored.RevokedAt == nil
			c.revoke(stored, r)
			return nil
		})
		if err != nil {
			return done, fromStore(err, "certificate")
		}
		if last = max(last, rev); good {
			done.Certificates++
		}
	}
	if r.Reason == keyCompromise {
		rev, err := c.revokeKeys(ctx, records, r)
		if err != nil {
			return done, err
		}
		last = max(last, rev)
	}
	err := c.waitFor(ctx, last)
	for _, record := range records {
		done.Closed += c.closedBy(record)
	}
	done.Closed -= before
	return done, err
}

// revoke changes the record of a certificate. The first revocation is the one that counts.
func (c *Control) revoke(stored *store.Certificate, r Revocation) {
	now := c.cfg.Now().UTC()
	if stored.RevokedAt == nil {
		stored.RevokedAt = &now
		stored.RevokedReason = r.Reason
	}
	stored.DrainUntil = nil
	if r.Drain > 0 {
		until := now.Add(r.Drain)
		stored.DrainUntil = &until
	}
}

// closedBy is how many connections the revocation of a certificate has closed so far.
func (c *Control) closedBy(r store.Certificate) int {
	state, known := c.live.Certificate(live.CertificateKey{Authority: r.Authority, Serial: r.Serial})
	if !known {
		return 0
	}
	return state.Closed
}
