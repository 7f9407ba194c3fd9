package control

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Certificate is the record of an issued certificate. There is none of its private key.
type Certificate struct {
	Serial      string // minimal lower-case hex
	Authority   string
	Fingerprint string // SHA-256
	FrontendID  string
	Name        string // what its owner calls it, may be empty
	KeyType     string
	NotBefore   time.Time
	NotAfter    time.Time
	IssuedAt    time.Time
	Retired     bool // its authority is trusted no more
	Revoked     bool
	RevokedAt   time.Time // zero while it is good
	Reason      string    // of the revocation, as given
	Renews      string    // serial of the one that it follows, empty for none
}

// States of a certificate.
const (
	CertificateActive  = "active"
	CertificateExpired = "expired"
	CertificateRevoked = "revoked"
	CertificateGone    = "gone"    // its frontend does not exist any more
	CertificateRetired = "retired" // its authority is trusted no more
)

// State is what the certificate is worth at a moment, where its frontend exists or not.
func (c Certificate) State(exists bool, now time.Time) string {
	switch {
	case c.Revoked:
		return CertificateRevoked
	case !exists:
		return CertificateGone
	case !now.Before(c.NotAfter):
		return CertificateExpired
	case c.Retired:
		return CertificateRetired
	}
	return CertificateActive
}

func (c *Control) certificateOf(r store.Certificate) Certificate {
	cert := Certificate{
		Serial: r.Serial, Authority: r.Authority, Fingerprint: r.Fingerprint, FrontendID: r.FrontendID,
		Name: r.Name, KeyType: r.KeyType, NotBefore: r.NotBefore, NotAfter: r.NotAfter, IssuedAt: r.IssuedAt, Revoked: r.RevokedAt != nil,
		Reason: r.RevokedReason, Renews: r.Renews,
	}
	if m, known := c.set().Get(r.Authority); !known || !m.State.Trusted() {
		cert.Retired = true
	}
	if cert.Revoked {
		cert.RevokedAt = *r.RevokedAt
	}
	return cert
}

// Issued is a certificate with its private key, which is nowhere else.
type Issued struct {
	Certificate
	CertificatePEM []byte // with those of the authorities between it and a root
	KeyPEM         []byte // RSA as PKCS#1 unless PKCS#8 was asked for, others as PKCS#8
	AuthorityPEM   []byte
}

// CertificateDays is how long a certificate is valid when nothing else is asked for.
const CertificateDays = int(pki.DefaultLifetime / (24 * time.Hour))

// MaxCertificateDays is the longest that a certificate may be valid.
const MaxCertificateDays = int(pki.MaxLifetime / (24 * time.Hour))

// issueTimeout bounds the wait for a key when many ask at once.
const issueTimeout = 60 * time.Second

// IssueRequest is what a client may choose about a certificate. The zero value is right for most.
type IssueRequest struct {
	KeyType string // empty: rsa-3072
	// KeyFormat is how the private key is written: pkcs8, or pkcs1, which only RSA keys have. Empty: pkcs1 for RSA.
	KeyFormat string
	Lifetime  time.Duration // from a minute to 397 days; zero: 90 days
	Name      string        // a label, need not be unique; empty: none
	// CSR is a certificate request in PEM whose public key is used, and nothing else of it. Empty: a new key
	// pair is made, of KeyType.
	CSR string
	// Renews is the serial of a certificate of the same frontend, in any spelling, that the new one is to
	// follow: key type, lifetime and name are that one's unless they are given. Empty: none.
	Renews string
	// Format is how a bundle is packed: zip, tar.gz, pem, p12, p12-legacy or k8s. Empty: zip.
	Format string
}

const minLifetime = time.Minute

// Values of IssueRequest.KeyFormat.
const keyPKCS1, keyPKCS8 = "pkcs1", "pkcs8"

// check returns the request with its defaults filled in, or all that is wrong with it.
func (r IssueRequest) check() (IssueRequest, error) {
	var problems []error
	if r.CSR != "" && r.KeyType != "" {
		problems = append(problems, invalid("keyType", "Leave it out: the request has a key already."))
	}
	if r.KeyType == "" {
		r.KeyType = string(pki.RSA3072)
	}
	if !slices.Contains(pki.KeyTypes, pki.KeyType(r.KeyType)) {
		problems = append(problems, invalid("keyType", "Use rsa-3072, rsa-2048, rsa-4096, ecdsa-p256 or ed25519."))
	}
	switch isRSA := strings.HasPrefix(r.KeyType, "rsa-"); {
	case r.KeyFormat != "" && r.CSR != "":
		problems = append(problems, invalid("keyFormat", "Leave it out: the key stays with you."))
	case r.KeyFormat != "" && r.KeyFormat != keyPKCS1 && r.KeyFormat != keyPKCS8:
		problems = append(problems, invalid("keyFormat", "Use pkcs1 or pkcs8."))
	case r.KeyFormat == keyPKCS1 && !isRSA:
		problems = append(problems, invalid("keyFormat", "Use pkcs8: only RSA keys can be written as pkcs1."))
	}
	if r.Lifetime == 0 {
		r.Lifetime = pki.DefaultLifetime
	}
	if r.Lifetime < minLifetime || r.Lifetime > pki.MaxLifetime {
		problems = append(problems, invalid("lifetimeSec", "Use %d (a minute) to %d (397 days).", int(minLifetime.Seconds()), int(pki.MaxLifetime.Seconds())))
	}
	if r.Format == "" {
		r.Format = string(pki.Zip)
	}
	switch f := pki.Format(r.Format); {
	case !slices.Contains(pki.Formats, f):
		problems = append(problems, invalid("format", "Use zip, tar.gz, pem, p12, p12-legacy or k8s."))
	case r.CSR != "" && f.NeedsKey():
		problems = append(problems, invalid("format", "This format needs the private key, and with a signing request it stays with you. Use zip, tar.gz or pem."))
	}
	if r.Name != "" {
		name, problem := label("name", r.Name)
		if problem != nil {
			problems = append(problems, problem)
		}
		r.Name = name
	}
	return r, errors.Join(problems...)
}

// IssueCertificate makes a key pair and a certificate for a frontend of the actor.
func (c *Control) IssueCertificate(ctx context.Context, frontendID string, r IssueRequest) (_ Issued, err error) {
	ctx, a, err := c.may(ctx, actCertificateIssue, frontendID)
	if err != nil {
		return Issued{}, err
	}
	defer c.noteFailed(ctx, &err)
	frontend, err := c.store.Frontend(ctx, a.ClientID, canonicalID(frontendID))
	if err != nil {
		return Issued{}, fromStore(err, "frontend")
	}
	var old *store.Certificate
	if r.Renews != "" {
		if old, err = c.renewed(ctx, a, frontend.UUID, r.Renews); err != nil {
			return Issued{}, err
		}
		r = r.following(*old)
	}
	if r, err = r.check(); err != nil {
		return Issued{}, err
	}
	if err := c.mayAsk(a.ClientID, a.ClientID); err != nil {
		return Issued{}, err
	}
	return c.issue(ctx, frontend, r, old, false)
}

// mayAsk refuses a key to a client that has all certificates it may, before one is made, and to who asks too
// often.
func (c *Control) mayAsk(clientID, asking string) error {
	if _, err := c.mayHaveMore(clientID); err != nil {
		return err
	}
	if wait := c.issues.take(asking, c.cfg.Now()); wait > 0 {
		return tooMany("Too many certificates in a minute.", wait)
	}
	return nil
}

// mayHaveMore refuses one more certificate to a client that has all it may. counted is the revision up to which
// they were counted.
func (c *Control) mayHaveMore(clientID string) (counted uint64, err error) {
	counted = c.live.Revision()
	if most := c.live.Limits(clientID).Certificates; most >= 0 && c.live.GoodCertificates(clientID) >= most {
		return 0, &Error{Kind: KindLimit, Message: fmt.Sprintf("You have all %d certificates that you may. Revoke one or ask for more.", most)}
	}
	return counted, nil
}

// putCertificate saves a certificate within its client's quota: when others were saved since they were counted
// it counts again.
func (c *Control) putCertificate(ctx context.Context, record store.Certificate) (uint64, error) {
	for {
		counted, err := c.mayHaveMore(record.ClientID)
		if err != nil {
			return 0, err
		}
		rev, err := c.store.PutCertificateAsOf(ctx, record, counted)
		if !errors.Is(err, store.ErrConflict) || rev == 0 {
			return rev, err
		}
		if err := c.waitFor(ctx, rev); err != nil {
			return 0, err
		}
	}
}

// issue makes the certificate. old is the one that it follows, nil for none; byKey tells that its key asks.
func (c *Control) issue(ctx context.Context, f store.Frontend, r IssueRequest, old *store.Certificate, byKey bool) (Issued, error) {
	public, keyType, keyPEM, err := c.keyFor(ctx, f.ClientID, r)
	if err != nil {
		return Issued{}, err
	}
	now := c.cfg.Now()
	authority := c.issuer()
	cert, err := authority.IssueClient(pki.ClientRequest{
		ClientID: f.ClientID, FrontendID: f.UUID, AccessKey: f.AccessKey, PublicKey: public, Lifetime: r.Lifetime, Now: now,
	})
	if errors.Is(err, pki.ErrAuthorityDates) {
		return Issued{}, &Error{Kind: KindUnavailable, Message: "The server's authority has expired or is not valid yet. Ask the administrator.", Err: err}
	}
	if err != nil {
		return Issued{}, fmt.Errorf("issue a certificate: %w", err)
	}
	record := store.Certificate{
		Serial: pki.FormatSerial(cert.SerialNumber), Authority: authority.ID(), Fingerprint: pki.Fingerprint(cert),
		ClientID: f.ClientID, FrontendID: f.UUID, Name: r.Name, KeyType: keyType,
		SPKI: pki.KeyID(public), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, IssuedAt: now.UTC(),
	}
	if old != nil {
		record.Renews = old.Serial
		record.RenewsAuthority = old.Authority
		record.ByKey = byKey
	}
	rev, err := c.putCertificate(ctx, record)
	switch {
	case errors.Is(err, store.ErrRevoked):
		return Issued{}, errRevoked()
	case errors.Is(err, store.ErrCompromised):
		return Issued{}, invalid("csr", "This key was revoked as compromised, and is not certified again. Make a new one.")
	}
	if err != nil {
		return Issued{}, fromStore(err, "frontend")
	}
	issued := Issued{
		Certificate: c.certificateOf(record), CertificatePEM: authority.WithChain(cert), KeyPEM: keyPEM, AuthorityPEM: c.AuthorityPEM(),
	}
	return issued, c.waitFor(ctx, rev)
}

// keyFor is the public key to certify, with the private one in PEM when it was made here.
func (c *Control) keyFor(ctx context.Context, clientID string, r IssueRequest) (public crypto.PublicKey, keyType string, keyPEM []byte, err error) {
	if r.CSR != "" {
		public, keyType, err = pki.ParseRequest([]byte(r.CSR))
		if err != nil {
			return nil, "", nil, invalid("csr", "%s.", sentence(err))
		}
		return public, keyType, nil, nil
	}
	wait, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	key, err := c.keys.Generate(wait, pki.KeyType(r.KeyType), clientID)
	if err != nil {
		return nil, "", nil, &Error{Kind: KindUnavailable, Message: "Too many keys are being made. Try again in a minute.", Err: err}
	}
	encode := pki.EncodeKey
	if r.KeyFormat == keyPKCS8 {
		encode = pki.EncodeKeyPKCS8
	}
	if keyPEM, err = encode(key); err != nil {
		return nil, "", nil, fmt.Errorf("encode a key: %w", err)
	}
	return key.Public(), r.KeyType, keyPEM, nil
}

// sentence begins an error's text with a capital letter.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// Download is a file for the client to keep.
type Download struct {
	Name      string // file name
	MediaType string
	Data      []byte
	Password  string // that it is locked with, kept nowhere; empty for none
}

// IssueBundle makes a certificate for a frontend of the actor, with a key pair unless there is a request for one, and
// packs them with the authority's certificate in the format that r asks for.
func (c *Control) IssueBundle(ctx context.Context, frontendID string, r IssueRequest) (Download, error) {
	issued, err := c.IssueCertificate(ctx, frontendID, r)
	if err != nil {
		return Download{}, err
	}
	frontend, err := c.Frontend(ctx, frontendID)
	if err != nil {
		return Download{}, err
	}
	format := cmp.Or(pki.Format(r.Format), pki.Zip)
	bundle := pki.Bundle{
		Name: frontend.Name, Endpoint: c.Endpoint(), Hostnames: c.cfg.Hostnames,
		Certificate: issued.CertificatePEM, Key: issued.KeyPEM, CA: issued.AuthorityPEM,
		Serial: issued.Serial, Fingerprint: issued.Fingerprint, NotAfter: issued.NotAfter,
	}
	if format.HasPassword() {
		bundle.Password = pki.NewPassword()
	}
	data, err := bundle.Pack(format)
	return Download{
		Name: BundleName(frontend.Name, r.Format), MediaType: format.MediaType(), Data: data, Password: bundle.Password,
	}, err
}

// BundleName is the file name of a frontend's bundle in a format, safe in every shell and file system. Of no format, and
// of one that does not exist, it is the zip's.
func BundleName(frontend, format string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, frontend)
	return "xlb-" + safe + pki.Format(format).Extension()
}

// Certificates lists the certificates of one frontend of the actor, or of all when frontendID is empty,
// at most limit, 0 for all, after the serial `after`.
func (c *Control) Certificates(ctx context.Context, frontendID, after string, limit int) ([]Certificate, error) {
	ctx, a, err := c.may(ctx, actCertificateRead, frontendID)
	if err != nil {
		return nil, err
	}
	if frontendID != "" {
		if _, err := c.store.Frontend(ctx, a.ClientID, canonicalID(frontendID)); err != nil {
			return nil, fromStore(err, "frontend")
		}
		frontendID = canonicalID(frontendID)
	}
	records, err := c.store.Certificates(ctx, a.ClientID, frontendID, after, limit)
	all := make([]Certificate, 0, len(records))
	for _, r := range records {
		all = append(all, c.certificateOf(r))
	}
	return all, fromStore(err, "frontend")
}

// Use is what is known of the use of a certificate through this process.
type Use = live.Use

// CertificateUses tells how the certificates of the actor are used, by serial.
func (c *Control) CertificateUses(ctx context.Context) (map[string]Use, error) {
	_, a, err := c.may(ctx, actCertificateRead, "")
	if err != nil {
		return nil, err
	}
	return c.live.Uses(a.ClientID), nil
}

// shortestSerial is how much of a serial has to be named to find it: less is found in everything.
const shortestSerial = 4

// HasSerial finds serials by a part of them in lower case, and by the whole as people write it.
func HasSerial(serial, text string) bool {
	if parsed, err := pki.ParseSerial(text); err == nil && parsed == serial {
		return true
	}
	return len(text) >= shortestSerial && strings.Contains(serial, text)
}
