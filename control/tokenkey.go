package control

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

const (
	// tokenKeyLife is how long a key signs.
	tokenKeyLife = 30 * 24 * time.Hour
	// tokenKeyAhead is how long before its first use a key is published, so that who keeps a copy of the list knows it in
	// time.
	tokenKeyAhead = 24 * time.Hour
	// tokenKeyPoll is how often is looked whether a key is due, or another process has made one.
	tokenKeyPoll = time.Minute
)

// storedTokenKey is a key in the sealed list of them, which is one secret: so a process sees all of a change or nothing.
type storedTokenKey struct {
	From time.Time `json:"from"` // signs from then on, until the next one does
	DER  []byte    `json:"der"`
}

// tokenKey is a key that tokens may be signed with.
type tokenKey struct {
	from time.Time
	id   string
	key  *rsa.PrivateKey
}

// tokenKeys are the keys that count now, in the order in which they sign. The zero value has none.
type tokenKeys struct {
	keys     atomic.Pointer[[]tokenKey]
	revision uint64 // of the secret that they were read from; of the one goroutine that renews
}

func (t *tokenKeys) all() []tokenKey {
	if keys := t.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// signer is the key that signs now. A clock that was set back finds the oldest.
func (t *tokenKeys) signer(now time.Time) (tokenKey, error) {
	all := t.all()
	for _, k := range slices.Backward(all) {
		if !now.Before(k.from) {
			return k, nil
		}
	}
	if len(all) > 0 {
		return all[0], nil
	}
	return tokenKey{}, errors.New("there is no key to sign tokens with")
}

func (t *tokenKeys) keyFor(token *jwt.Token) (any, error) {
	for _, k := range t.all() {
		if token.Header["kid"] == k.id {
			return k.key.Public(), nil
		}
	}
	return nil, errors.New("unknown key id")
}

// rotateTokenKeys keeps the keys up to date until ctx ends.
func (c *Control) rotateTokenKeys(ctx context.Context) error {
	return live.Every(ctx, tokenKeyPoll, func() {
		if err := c.loadTokenKeys(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("the keys that sign tokens are not rotated", "error", err)
		}
	})
}

// loadTokenKeys reads the keys, makes the one that is due, and lets go of those whose tokens have all expired.
func (c *Control) loadTokenKeys(ctx context.Context) error {
	found, err := c.store.Secret(ctx, secretTokenKeys)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	stored, err := c.openTokenKeys(found)
	if err != nil {
		return err
	}
	now := c.cfg.Now().UTC()
	if _, changed := dueTokenKeys(stored, now, nil); changed {
		fresh, err := pki.NewTokenKey() // takes a while: not inside of the transaction
		if err != nil {
			return err
		}
		found, err = c.store.ChangeSecret(ctx, secretTokenKeys, func(old store.Secret) (store.Secret, error) {
			if stored, err = c.openTokenKeys(old); err != nil {
				return old, err
			}
			stored, changed = dueTokenKeys(stored, now, fresh)
			if !changed { // another process was faster
				return old, nil
			}
			text, err := json.Marshal(stored)
			return store.Secret{Name: secretTokenKeys, Value: c.sealer.seal(secretTokenKeys, text), CreatedAt: now}, err
		})
		if err != nil {
			return fmt.Errorf("save secret %s: %w", secretTokenKeys, err)
		}
	}
	if found.Revision == c.tokens.revision && len(c.tokens.all()) > 0 {
		return nil
	}
	return c.useTokenKeys(stored, found.Revision)
}

func (c *Control) openTokenKeys(found store.Secret) ([]storedTokenKey, error) {
	if len(found.Value) == 0 {
		return nil, nil
	}
	text, err := c.sealer.open(secretTokenKeys, found.Value)
	if err != nil {
		return nil, err
	}
	var stored []storedTokenKey
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("secret %s is damaged", secretTokenKeys)
	}
	return stored, nil
}

// dueTokenKeys is what the list has to be at a time, and whether that differs. fresh is the key to add if one is due.
func dueTokenKeys(keys []storedTokenKey, now time.Time, fresh []byte) (due []storedTokenKey, changed bool) {
	for i, k := range keys {
		// The last token of a key expires so long after the next key began.
		if i+1 < len(keys) && !now.Before(keys[i+1].From.Add(tokenLife+tokenLeeway)) {
			changed = true
			continue
		}
		due = append(due, k)
	}
	switch {
	case len(due) == 0:
		return append(due, storedTokenKey{From: now, DER: fresh}), true
	case !now.Before(due[len(due)-1].From.Add(tokenKeyLife - tokenKeyAhead)):
		from := due[len(due)-1].From.Add(tokenKeyLife)
		// After a long stop it is late: others must have read the list before they see a token of this key.
		if soon := now.Add(2 * tokenKeyPoll); from.Before(soon) {
			from = soon
		}
		return append(due, storedTokenKey{From: from, DER: fresh}), true
	}
	return due, changed
}

func (c *Control) useTokenKeys(stored []storedTokenKey, revision uint64) error {
	keys := make([]tokenKey, 0, len(stored))
	for _, one := range stored {
		key, err := pki.ParseTokenKey(one.DER)
		if err != nil {
			return err
		}
		keys = append(keys, tokenKey{from: one.From, id: pki.KeyID(key.Public()), key: key})
	}
	c.tokens.keys.Store(&keys)
	c.tokens.revision = revision
	return nil
}

// JSONWebKey is a public key that checks tokens (RFC 7517).
type JSONWebKey struct {
	KeyType   string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

// TokenKeys are the public keys that tokens may be signed with, so that others can check them too. The next one is among
// them a day before its first use, the one before until its last token has expired.
func (c *Control) TokenKeys() []JSONWebKey {
	encode := base64.RawURLEncoding.EncodeToString
	var all []JSONWebKey
	for _, k := range c.tokens.all() {
		all = append(all, JSONWebKey{
			KeyType: "RSA", Use: "sig", Algorithm: "RS256", ID: k.id,
			Modulus: encode(k.key.N.Bytes()), Exponent: encode(big.NewInt(int64(k.key.E)).Bytes()),
		})
	}
	return all
}
