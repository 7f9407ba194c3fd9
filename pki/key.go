package pki

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/xdire/xlb/internal/turns"
)

// KeyType names a kind of key pair.
type KeyType string

const (
	RSA2048   KeyType = "rsa-2048"
	RSA3072   KeyType = "rsa-3072"
	RSA4096   KeyType = "rsa-4096"
	ECDSAP256 KeyType = "ecdsa-p256"
	Ed25519   KeyType = "ed25519"
)

// KeyTypes lists what [GenerateKey] makes.
var KeyTypes = []KeyType{RSA2048, RSA3072, RSA4096, ECDSAP256, Ed25519}

// ErrKeyType is a kind of key that we do not make.
var ErrKeyType = errors.New("unknown key type; use rsa-2048, rsa-3072, rsa-4096, ecdsa-p256 or ed25519")

// GenerateKey makes a key pair. RSA takes from tens of milliseconds to seconds; [KeyPool] bounds it.
func GenerateKey(kind KeyType) (crypto.Signer, error) {
	switch kind {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, ErrKeyType
}

// EncodeKey writes a private key as PEM: RSA as PKCS#1, which old programs need, others as PKCS#8.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	if k, isRSA := key.(*rsa.PrivateKey); isRSA {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	}
	return EncodeKeyPKCS8(key)
}

// EncodeKeyPKCS8 writes any private key as PKCS#8 (RFC 5208), the only form that Java reads.
func EncodeKeyPKCS8(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM key found")
	}
	if block.Type == "RSA PRIVATE KEY" {
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a signing key")
	}
	return signer, nil
}

// KeyPoolConfig configures a [KeyPool].
type KeyPoolConfig struct {
	Type KeyType     // what is made ahead; empty: rsa-3072
	Size int         // how many are kept ready; zero: 4
	Busy func() bool // no key is made ahead while it returns true; nil: never busy
}

// KeyPool makes key pairs ahead, so that most callers need not wait. RSA keys are made one at a time, those of 4096
// bits, which take seconds, beside the others, so that a burst queues instead of burning the machine; whoever asks
// comes by turns. Other keys take microseconds and wait for nothing. It is safe for concurrent use.
type KeyPool struct {
	cfg   KeyPoolConfig
	ready chan crypto.Signer
	turn  turns.Turns   // to make a key of the pool's type, or of another that takes long
	large turns.Turns   // the same for the largest
	taken chan struct{} // wakes Run

	mu     sync.Mutex
	served map[string]time.Time // who took a key that was ready, and when last
}

// servedLately is how long one who took a key that was ready leaves half of them to others.
const servedLately = 10 * time.Second

// NewKeyPool returns an empty pool; Run fills it.
func NewKeyPool(cfg KeyPoolConfig) *KeyPool {
	if cfg.Type == "" {
		cfg.Type = RSA3072
	}
	if cfg.Size <= 0 {
		cfg.Size = 4
	}
	return &KeyPool{cfg: cfg, ready: make(chan crypto.Signer, cfg.Size), taken: make(chan struct{}, 1), served: map[string]time.Time{}}
}

// Get returns a key of the pool's type that nobody else gets: a ready one at once, otherwise one that is made in its
// own turn. whose says who asks. It fails only when ctx ends.
func (p *KeyPool) Get(ctx context.Context, whose string) (crypto.Signer, error) {
	defer p.wake()
	if key := p.takeReady(whose); key != nil {
		return key, nil
	}
	if err := p.turn.Take(ctx, whose); err != nil {
		return nil, err
	}
	defer p.turn.Pass()
	if key := p.takeReady(whose); key != nil { // made while it waited
		return key, nil
	}
	return GenerateKey(p.cfg.Type)
}

// takeReady returns a key that is ready, or nil. Half of them are for those who have not had one lately.
func (p *KeyPool) takeReady(whose string) crypto.Signer {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for who, at := range p.served {
		if now.Sub(at) >= servedLately {
			delete(p.served, who)
		}
	}
	if _, lately := p.served[whose]; lately && len(p.ready) <= cap(p.ready)/2 {
		return nil
	}
	select {
	case key := <-p.ready:
		p.served[whose] = now
		return key
	default:
		return nil
	}
}

// Generate makes a key of any type. whose says who asks.
func (p *KeyPool) Generate(ctx context.Context, kind KeyType, whose string) (crypto.Signer, error) {
	switch kind {
	case p.cfg.Type:
		return p.Get(ctx, whose)
	case RSA2048, RSA3072, RSA4096:
	default:
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return GenerateKey(kind)
	}
	turn := &p.turn
	if kind == RSA4096 {
		turn = &p.large
	}
	if err := turn.Take(ctx, whose); err != nil {
		return nil, err
	}
	defer turn.Pass()
	return GenerateKey(kind)
}

// Ready is how many keys are made and not taken.
func (p *KeyPool) Ready() int { return len(p.ready) }

func (p *KeyPool) wake() {
	select {
	case p.taken <- struct{}{}:
	default:
	}
}

// busyPause is how long refilling rests while the machine is busy.
const busyPause = 2 * time.Second

// Run keeps the pool full until ctx ends. A key that is being made is finished first.
func (p *KeyPool) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		switch {
		case len(p.ready) == cap(p.ready):
			wait(ctx, p.taken, time.Hour)
		case p.cfg.Busy != nil && p.cfg.Busy():
			wait(ctx, nil, busyPause)
		default:
			if err := p.refill(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *KeyPool) refill(ctx context.Context) error {
	if p.turn.Take(ctx, "") != nil {
		return nil // it ends
	}
	defer p.turn.Pass()
	key, err := GenerateKey(p.cfg.Type)
	if err != nil {
		return fmt.Errorf("make a key ahead: %w", err)
	}
	select {
	case p.ready <- key:
	default:
	}
	return nil
}

func wait(ctx context.Context, wake <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}
