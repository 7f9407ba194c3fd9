package control

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/xdire/xlb/store"
)

// Names of the secrets in the store. Each is sealed with the master key, so that a copy of the store
// alone is worth nothing.
const (
	secretTokenKeys = "token-keys"
	secretCookies   = "cookie-keys"
	secretServer    = "server-certificates"
	secretTickets   = "ticket-keys"
)

// loadSecrets reads the token and cookie keys, and makes them at the first start.
func (c *Control) loadSecrets(ctx context.Context) error {
	sealer, err := newSealer(c.cfg.MasterKey)
	if err != nil {
		return err
	}
	c.sealer = sealer
	if err := c.loadTokenKeys(ctx); err != nil {
		return err
	}
	keys, err := c.secret(ctx, sealer, secretCookies, func() ([]byte, error) { return randomBytes(64 + 32), nil })
	if err != nil {
		return err
	}
	c.cookies = [][]byte{keys[:64], keys[64:]}
	return nil
}

// CookieKeys are the hash key and the block key of session cookies. They survive a restart.
func (c *Control) CookieKeys() [][]byte { return c.cookies }

// secret returns the named secret, made by fresh when there is none.
func (c *Control) secret(ctx context.Context, s *sealer, name string, fresh func() ([]byte, error)) ([]byte, error) {
	found, err := c.store.Secret(ctx, name)
	if err == nil {
		return s.open(name, found.Value)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	plain, err := fresh()
	if err != nil {
		return nil, err
	}
	stored, err := c.store.PutSecretOnce(ctx, store.Secret{Name: name, Value: s.seal(name, plain), CreatedAt: c.cfg.Now()})
	if err != nil {
		return nil, fmt.Errorf("save secret %s: %w", name, err)
	}
	return s.open(name, stored.Value)
}

// sealer encrypts with AES-256-GCM; the name is bound to the text, so that two secrets cannot be swapped.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, errors.New("the master key must have 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

func (s *sealer) seal(name string, plain []byte) []byte {
	nonce := randomBytes(s.aead.NonceSize())
	return s.aead.Seal(nonce, nonce, plain, []byte(name))
}

func (s *sealer) open(name string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("secret %s is damaged", name)
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(name))
	if err != nil {
		return nil, fmt.Errorf("secret %s does not open with this master key; restore the file it was made with", name)
	}
	return plain, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return b
}
