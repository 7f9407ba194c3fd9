package control

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/xdire/xlb/store"
)

// maxAPIKeys is how many keys a client may have beside its own.
const maxAPIKeys = 50

const (
	// APIKeyLife is how long an API key is good when nothing else is asked for.
	APIKeyLife    = 90 * 24 * time.Hour
	minAPIKeyLife = time.Minute
	maxAPIKeyLife = 2 * 365 * 24 * time.Hour
)

// APIKey is a further key of a client, for one program or person.
type APIKey struct {
	ID         string
	Name       string
	Scope      string   // read, write, issue, or several with spaces between
	Frontends  []string // that it is bound to; none: all
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time // the day; zero: never
	LastUsedBy string    // an address
}

// NewAPIKey is a key that has just been made. Key is shown this once.
type NewAPIKey struct {
	APIKey
	Key string
}

// APIKeyRequest is what a client decides about a key.
type APIKeyRequest struct {
	Name      string
	Scope     string
	Frontends []string
	Lifetime  time.Duration // from a minute to two years; zero: 90 days
}

func apiKeyOf(r store.APIKey) APIKey {
	return APIKey{
		ID: r.ID, Name: r.Name, Scope: r.Scope, Frontends: r.Frontends, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
		LastUsedAt: r.LastUsedAt, LastUsedBy: r.LastUsedBy,
	}
}

// The form of a key is xlb_<id>_<secret>_<checksum>: a scanner for secrets that have leaked knows one by its beginning,
// and by its end that it is none of something else.
const apiKeyStart = "xlb_"

var apiKeyText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newAPIKey() (id, key string) {
	id = apiKeyText.EncodeToString(randomBytes(10))
	body := apiKeyStart + id + "_" + apiKeyText.EncodeToString(randomBytes(32))
	return id, body + "_" + apiKeyChecksum(body)
}

func apiKeyChecksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

// apiKeyID is the id in a key, empty for a text that is none.
func apiKeyID(key string) string {
	parts := strings.Split(key, "_")
	if len(parts) != 4 || !strings.HasPrefix(key, apiKeyStart) || parts[3] != apiKeyChecksum(strings.TrimSuffix(key, "_"+parts[3])) {
		return ""
	}
	return parts[1]
}

// apiKeyActor is who an API key belongs to. What is wrong with a key is not told apart.
func (c *Control) apiKeyActor(ctx context.Context, raw string) (Actor, error) {
	refused := &Error{Kind: KindUnauthenticated, Message: "The API key is not valid, has expired or was revoked."}
	id := apiKeyID(raw)
	clientID, record, known := c.live.APIKey(id)
	right := subtle.ConstantTimeCompare(hashKey(raw), record.Hash) == 1
	if !known || !right || !c.cfg.Now().Before(record.ExpiresAt) {
		return Actor{}, refused
	}
	client, known := c.live.Client(clientID)
	if !known {
		return Actor{}, refused
	}
	if client.Disabled {
		return Actor{}, errDisabled
	}
	a := Actor{ClientID: clientID, Via: "api", APIKey: id, Scope: record.Scope, Frontends: record.Frontends}
	c.noteKeyUse(record, clientID, ActorFrom(ctx).Address.String())
	return a, nil
}

// keyUse is a use of an API key that is to be written down.
type keyUse struct {
	clientID, keyID, address string
	day                      time.Time
}

// noteKeyUse remembers the first use of a key on each day, or from another address. A use that finds no room is noted the
// next time.
func (c *Control) noteKeyUse(record store.APIKey, clientID, address string) {
	day := c.cfg.Now().UTC().Truncate(24 * time.Hour)
	if record.LastUsedAt.Equal(day) {
		return
	}
	select {
	case c.keyUses <- keyUse{clientID, record.ID, address, day}:
	default:
	}
}

// writeKeyUses writes down when keys were used, until ctx ends.
func (c *Control) writeKeyUses(ctx context.Context) error {
	return receive(ctx, c.keyUses, func(use keyUse) {
		_, record, known := c.live.APIKey(use.keyID)
		if !known || record.LastUsedAt.Equal(use.day) {
			return // another request of the same day was faster
		}
		rev, err := c.store.UpdateClient(ctx, use.clientID, func(r *store.Client) error {
			r.UseAPIKey(use.keyID, use.day, use.address)
			return nil
		})
		if err == nil {
			err = c.waitFor(ctx, rev)
		}
		if err != nil && ctx.Err() == nil {
			c.log.LogAttrs(ctx, slog.LevelWarn, "the use of an API key is not noted", slog.String("key", use.keyID), slog.Any("error", err))
		}
	})
}

func (c *Control) checkAPIKey(a Actor, r APIKeyRequest) (APIKeyRequest, error) {
	var problems []error
	name, problem := label("name", r.Name)
	if problem != nil {
		problems = append(problems, problem)
	}
	scope, problem := checkScope(r.Scope)
	if problem != nil {
		problems = append(problems, problem)
	}
	if r.Lifetime == 0 {
		r.Lifetime = APIKeyLife
	}
	if r.Lifetime < minAPIKeyLife || r.Lifetime > maxAPIKeyLife {
		problems = append(problems, invalid("lifetimeSec", "Use %d (a minute) to %d (two years).", int(minAPIKeyLife.Seconds()), int(maxAPIKeyLife.Seconds())))
	}
	var bound []string
	for i, id := range r.Frontends {
		f, known := c.live.Frontend(canonicalID(id))
		if !known || f.ClientID != a.ClientID {
			problems = append(problems, invalid(fmt.Sprintf("frontends[%d]", i), "There is no such frontend."))
			continue
		}
		if !slices.Contains(bound, f.UUID) {
			bound = append(bound, f.UUID)
		}
	}
	r.Name = name
	r.Scope = scope
	r.Frontends = bound
	return r, errors.Join(problems...)
}

// CreateAPIKey makes a key for the actor's client. It works when the call returns.
func (c *Control) CreateAPIKey(ctx context.Context, r APIKeyRequest) (_ NewAPIKey, err error) {
	ctx, a, err := c.may(ctx, actKeyCreate, "")
	if err != nil {
		return NewAPIKey{}, err
	}
	defer c.noteFailed(ctx, &err)
	if r, err = c.checkAPIKey(a, r); err != nil {
		return NewAPIKey{}, err
	}
	now := c.cfg.Now().UTC()
	id, key := newAPIKey()
	record := store.APIKey{
		ID: id, Name: r.Name, Hash: hashKey(key), Scope: r.Scope, Frontends: r.Frontends, CreatedAt: now, ExpiresAt: now.Add(r.Lifetime),
	}
	full := false
	_, err = c.changeClient(ctx, a.ClientID, 0, func(client *store.Client) {
		// Expired ones go here: nothing else has a reason to look at them.
		good := slices.DeleteFunc(slices.Clone(client.APIKeys), func(k store.APIKey) bool { return !now.Before(k.ExpiresAt) })
		if full = len(good) >= maxAPIKeys; !full {
			client.APIKeys = append(good, record)
		}
	})
	if err == nil && full {
		err = &Error{Kind: KindLimit, Message: fmt.Sprintf("You have all %d API keys. Revoke one.", maxAPIKeys)}
	}
	if err != nil {
		return NewAPIKey{}, err
	}
	return NewAPIKey{APIKey: apiKeyOf(record), Key: key}, nil
}

// APIKeys lists the API keys of the actor's client, oldest first. Expired ones stay until the next is made.
func (c *Control) APIKeys(ctx context.Context) ([]APIKey, error) {
	ctx, a, err := c.may(ctx, actKeyRead, "")
	if err != nil {
		return nil, err
	}
	record, err := c.store.Client(ctx, a.ClientID)
	all := make([]APIKey, 0, len(record.APIKeys))
	for _, k := range record.APIKeys {
		all = append(all, apiKeyOf(k))
	}
	return all, fromStore(err, "client")
}

// APIKey is one API key of the actor's client.
func (c *Control) APIKey(ctx context.Context, id string) (APIKey, error) {
	all, err := c.APIKeys(ctx)
	if err != nil {
		return APIKey{}, err
	}
	i := slices.IndexFunc(all, func(k APIKey) bool { return k.ID == id })
	if i < 0 {
		return APIKey{}, notFound("API key")
	}
	return all[i], nil
}

// RevokeAPIKey ends a key of the actor's client. It is refused when the call returns.
func (c *Control) RevokeAPIKey(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actKeyRevoke, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	found := false
	_, err = c.changeClient(store.Urgent(ctx), a.ClientID, 0, func(client *store.Client) {
		left := slices.DeleteFunc(slices.Clone(client.APIKeys), func(k store.APIKey) bool { return k.ID == id })
		found = len(left) < len(client.APIKeys)
		client.APIKeys = left
	})
	if err == nil && !found {
		return notFound("API key")
	}
	return err
}
