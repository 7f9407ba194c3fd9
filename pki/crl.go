package pki

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"time"
)

// RevokedSerial is an entry of a revocation list.
type RevokedSerial struct {
	Serial string // hex
	At     time.Time
	Reason int // RFC 5280, section 5.3.1
}

// CRLLife is how long a revocation list is good for whoever has fetched it.
const CRLLife = 24 * time.Hour

// RevocationList signs the list of what was revoked (RFC 5280, section 5), DER. number has to grow.
func (a *Authority) RevocationList(entries []RevokedSerial, number int64, now time.Time) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: now.UTC(), NextUpdate: now.Add(CRLLife).UTC()}
	for _, e := range entries {
		serial, ok := new(big.Int).SetString(e.Serial, 16)
		if !ok {
			return nil, ErrSerial
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: e.At.UTC(), ReasonCode: e.Reason,
		})
	}
	return x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
}
