package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Keys are parts joined by slashes: the kind, then the client's id, so that all there is of a client
// is one prefix in each kind. The kinds that end in "id" are indexes: they find a record whose client
// is not known, and hold the key of the record.
//
//	revision/CLIENT/FRONTEND/NUMBER                    FrontendRevision, compressed
//	audit/CLIENT/NUMBER                                a hash and an Audit
//	audithead/CLIENT                                   the newest of them
//	auditanchor/CLIENT                                 the newest of those that are kept no longer
//	answered/CLIENT/NAMEHASH                           Answered
//	answeredcount/CLIENT                               how many of them there are
//	authorities/server                                 Authorities
//	meta/schema                                        the schema version
//	reader/NODE                                        the schema versions that it reads
//	meta/first                                         the id of the first administrator
//	client/CLIENT                                      Client
//	frontend/CLIENT/FRONTEND                           Frontend
//	accesskeyid/ACCESSKEY                              -> frontend/...
//	certificate/CLIENT/SERIAL/AUTHORITY                Certificate
//	certificateof/CLIENT/FRONTEND/SERIAL/AUTHORITY     -> certificate/...
//	certificateid/AUTHORITY/SERIAL                     -> certificate/...
//	session/CLIENT/IDHASH                              Session
//	sessionid/IDHASH                                   -> session/...
//	secret/NAME                                        Secret
//	invite/CODEHASH                                    Invite
//	compromised/SPKI                                   when
//	issued/CLIENT                                      nothing: its revision is that of the newest certificate
//	name/HOST                                          Name
//	expiry/SECONDS/(certificate|session|client|answered)/...  nothing: what SweepExpired removes, and when
//	sweep/(client|frontend)/CLIENT[/FRONTEND]          nothing: what is deleted but not yet removed
const (
	kindMeta          = "meta"
	kindReader        = "reader"
	kindAuthorities   = "authorities"
	kindClient        = "client"
	kindFrontend      = "frontend"
	kindAccessKey     = "accesskeyid"
	kindCertificate   = "certificate"
	kindCertificateOf = "certificateof"
	kindCertificateID = "certificateid"
	kindSession       = "session"
	kindSessionID     = "sessionid"
	kindSecret        = "secret"
	kindInvite        = "invite"
	kindName          = "name"
	kindCompromised   = "compromised"
	kindIssued        = "issued"
	kindExpiry        = "expiry"
	kindSweep         = "sweep"
	kindAudit         = "audit"
	kindRevision      = "revision"
	kindAuditHead     = "audithead"
	kindAuditAnchor   = "auditanchor"
	kindAnswered      = "answered"
	kindAnsweredCount = "answeredcount"
)

// maxID is the longest id, in bytes, that fits into a key.
const maxID = 200

func key(parts ...string) string { return strings.Join(parts, "/") }

// under is the prefix of all keys below the parts.
func under(parts ...string) string { return strings.Join(parts, "/") + "/" }

// below returns the parts of a key after its kind.
func below(key string) []string { return strings.Split(key, "/")[1:] }

// checkIDs makes sure that every id can be part of a key: without it, an id with a slash could reach
// into another client's records.
func checkIDs(ids ...string) error {
	for _, id := range ids {
		if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == '/' || r >= 0x7f }) {
			return fmt.Errorf("%w: %s", ErrInvalid, strconv.QuoteToASCII(clip(id, 40)))
		}
	}
	return nil
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// expiryKey orders what expires by time. Sixteen hexadecimal digits sort as the numbers do. Seconds are
// rounded up, so that nothing goes early; times before 1970 count as 1970.
func expiryKey(at time.Time, record string) string {
	if at.Nanosecond() > 0 {
		at = at.Add(time.Second)
	}
	return key(kindExpiry, expiryStamp(at), record)
}

func expiryStamp(at time.Time) string {
	return fmt.Sprintf("%016x", max(0, at.Unix()))
}

// checkKey makes sure that an engine can hold a key: not empty, at most 1 kB, and not one of the
// engine's own.
func checkKey(key string) error {
	if key == "" || len(key) > 1<<10 || key[0] == 0 || strings.HasPrefix(key, "!badger!") {
		return fmt.Errorf("%w: key %s", ErrInvalid, strconv.QuoteToASCII(clip(key, 40)))
	}
	return nil
}
