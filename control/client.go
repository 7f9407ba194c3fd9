package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/xdire/xlb/store"
)

// Client is a tenant.
type Client struct {
	ID        string
	Name      string
	Admin     bool
	Disabled  bool
	CreatedAt time.Time
	Revision  uint64

	KeyAt       time.Time // when the key was made
	OldKeyUntil time.Time // how long the key before the last rotation goes on; zero: it does not
	// KeyID and OldKeyID name the keys: tokens say for which of them they were issued. OldKeyID is empty without OldKeyUntil.
	KeyID, OldKeyID string
}

func clientOf(r store.Client) Client {
	client := Client{
		ID: r.UUID, Name: r.Name, Admin: r.Admin, Disabled: r.Disabled, CreatedAt: r.CreatedAt, Revision: r.Revision, OldKeyUntil: r.OldKeyUntil,
		KeyAt: r.KeyAt, KeyID: keyID(r.KeyHash),
	}
	if client.KeyAt.IsZero() {
		client.KeyAt = r.CreatedAt
	}
	if !r.OldKeyUntil.IsZero() {
		client.OldKeyID = keyID(r.OldKeyHash)
	}
	return client
}

// keyID names a key. It is made of its hash, and tells nothing of that.
func keyID(hash []byte) string {
	sum := sha256.Sum256(append([]byte("key id "), hash...))
	return hex.EncodeToString(sum[:8])
}

// Authenticate checks a client's id and key. Unknown ids take as long as known ones. The right key always gets in: it
// has 256 random bits and is checked in microseconds, so only failures are counted, by the source that they come
// from. A count by client would let anybody who knows its id, which stands in every certificate, lock it out.
func (c *Control) Authenticate(ctx context.Context, clientID, key string) (Client, error) {
	ctx, a, err := c.may(ctx, actClientAuth, "")
	if err != nil {
		return Client{}, err
	}
	id := canonicalID(clientID)
	record, exists := c.recordOrDummy(id)
	if !c.matches(record, key) || !exists {
		c.logAct(ctx, "log-in failed", a, actClientAuth, id) // the id is one that somebody typed: it need not exist
		if wait := c.failures.take(sourceKey(a.Address), c.cfg.Now()); wait > 0 {
			return Client{}, tooMany("Too many failed log-ins.", wait)
		}
		return Client{}, &Error{Kind: KindUnauthenticated, Message: "That id and key do not match. Check that both come from the same file."}
	}
	if record.Disabled {
		return Client{}, &Error{Kind: KindForbidden, Message: "This client is disabled. Ask the administrator."}
	}
	a.ClientID = record.UUID
	c.logAct(ctx, "log-in", a, actClientAuth, "")
	return clientOf(record), nil
}

// recordOrDummy is a client's record in force, or one that nobody has the key of. It comes from memory: the store takes
// longer to read a record than to find that there is none, which told who guessed an id that it exists.
func (c *Control) recordOrDummy(id string) (record store.Client, exists bool) {
	client, exists := c.live.Client(id)
	if !exists {
		client = c.dummy
	}
	return client.Record(), exists
}

// matches compares a key with the client's, and with its old one while that goes on. It does the same work whether there is
// an old one or not.
func (c *Control) matches(record store.Client, key string) bool {
	old := c.dummyHash
	if c.cfg.Now().Before(record.OldKeyUntil) {
		old = record.OldKeyHash
	}
	got := hashKey(strings.TrimSpace(key))
	return subtle.ConstantTimeCompare(got, record.KeyHash)|subtle.ConstantTimeCompare(got, old) == 1
}

// OwnClient is the actor's own record.
func (c *Control) OwnClient(ctx context.Context) (Client, error) {
	ctx, a, err := c.may(ctx, actClientRead, "")
	if err != nil {
		return Client{}, err
	}
	record, err := c.store.Client(ctx, a.ClientID)
	return clientOf(record), fromStore(err, "client")
}

// Holdings is what a client has, and what ends when it is deleted.
type Holdings struct {
	Frontends    int
	Certificates int // neither revoked nor expired
	Connections  int // open now, through this process
}

// OwnHoldings is what the actor's client has.
func (c *Control) OwnHoldings(ctx context.Context) (Holdings, error) {
	_, a, err := c.may(ctx, actClientRead, "")
	if err != nil {
		return Holdings{}, err
	}
	return c.holdingsOf(a.ClientID), nil
}

func (c *Control) holdingsOf(clientID string) Holdings {
	frontends, _ := c.live.Count(clientID)
	return Holdings{Frontends: frontends, Certificates: c.live.GoodCertificates(clientID), Connections: c.live.ConnectionsOf(clientID)}
}

// hashKey hashes a client key. The key is 256 random bits, so a slow hash would add nothing but load.
func hashKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// newID is a time-ordered uuid (RFC 9562, version 7), so that lists come in order of creation.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// canonicalID is the one spelling of a uuid; anything else becomes the empty string, which nothing has.
func canonicalID(text string) string {
	id, err := uuid.Parse(strings.TrimSpace(text))
	if err != nil || len(strings.TrimSpace(text)) != 36 {
		return ""
	}
	return id.String()
}

// maxLabel is the longest name of a client or frontend, in characters.
const maxLabel = 64

// label checks a name that people give: it is shown in pages, logs and file names.
func label(field, text string) (string, *Error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", invalid(field, "Enter a name.")
	case utf8.RuneCountInString(text) > maxLabel:
		return "", invalid(field, "At most %d characters.", maxLabel)
	case strings.ContainsFunc(text, func(r rune) bool { return !inLabel(r) }):
		return "", invalid(field, "Use letters, digits, spaces, dots, dashes and underscores.")
	}
	return text, nil
}

func inLabel(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune(" .-_", r))
}
