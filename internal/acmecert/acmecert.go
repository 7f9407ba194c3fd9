// Package acmecert gets certificates that browsers trust from an authority that speaks ACME (RFC 8555), such as Let's Encrypt,
// and renews them. It answers the authority's challenges on the ports of the caller: TLS-ALPN-01 (RFC 8737) with For, and
// HTTP-01 with Handler.
package acmecert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Keeper keeps the account's key and the certificates with their keys over restarts, and has to keep them secret.
type Keeper interface {
	// Kept returns what was kept under a name, nil for nothing.
	Kept(ctx context.Context, name string) ([]byte, error)
	// Keep keeps a value, nil to keep it no longer.
	Keep(ctx context.Context, name string, value []byte) error
}

// Config is what New needs. Fields without a remark must be set.
type Config struct {
	// Contact is an e-mail address that the authority writes to when something is wrong.
	Contact string
	// Names are the DNS names that there are to be certificates for, in lower case.
	Names []string
	// Directory is the URL of the authority's directory. Empty: Let's Encrypt.
	Directory string
	Keeper    Keeper
	// Changed is called by Run with each new certificate, or with why there is none. Nil: nobody.
	Changed func(name string, leaf *x509.Certificate, err error)
}

// Manager has the certificates. It is safe for concurrent use. The authority's terms are agreed to by using it.
type Manager struct {
	cfg     Config
	manager *autocert.Manager

	mu    sync.RWMutex
	certs map[string]*tls.Certificate // by name
}

// New asks the authority nothing yet: Run does.
func New(cfg Config) *Manager {
	m := &Manager{cfg: cfg, certs: map[string]*tls.Certificate{}}
	m.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: cfg.Contact, HostPolicy: autocert.HostWhitelist(cfg.Names...), Cache: cache{cfg.Keeper},
		Client: &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "xlb", HTTPClient: &http.Client{Timeout: time.Minute}},
	}
	if cfg.Directory == "" {
		m.manager.Client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	return m
}

// Protocol is what a hello offers that comes from the authority (RFC 8737).
const Protocol = acme.ALPNProto

// For returns the certificate for the name that a client asks for, nil when there is none yet or never: no handshake waits
// for the authority.
func (m *Manager) For(hello *tls.ClientHelloInfo) *tls.Certificate {
	if slices.Equal(hello.SupportedProtos, []string{Protocol}) {
		cert, err := m.manager.GetCertificate(hello)
		if err != nil { // there is no challenge for that name
			return nil
		}
		return cert
	}
	if !slices.Contains(hello.SignatureSchemes, tls.ECDSAWithP256AndSHA256) {
		return nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	cert := m.certs[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]
	if cert == nil || time.Now().After(cert.Leaf.NotAfter) {
		return nil
	}
	return cert
}

// Handler answers the authority on port 80, and leads everybody else to https.
func (m *Manager) Handler() http.Handler {
	answers := m.manager.HTTPHandler(nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil { // autocert takes a name with a port for another name
			r.Host = host
		}
		answers.ServeHTTP(w, r)
	})
}

// The pauses between two looks: when all is well, after the first failure, and at most. Authorities count failures.
const (
	lookEvery = 10 * time.Second
	pause     = time.Minute
	pauseMost = time.Hour
)

// Run gets the certificates and takes renewed ones up, until ctx ends, and returns nil then. What fails is tried again.
func (m *Manager) Run(ctx context.Context) error {
	next := map[string]time.Time{}
	pauses := map[string]time.Duration{}
	ticker := time.NewTicker(lookEvery / 2)
	defer ticker.Stop()
	for {
		for _, name := range m.cfg.Names {
			if time.Now().Before(next[name]) {
				continue
			}
			if err := m.look(ctx, name); err != nil && ctx.Err() == nil {
				pauses[name] = min(max(2*pauses[name], pause), pauseMost)
				m.tell(name, nil, fmt.Errorf("%w; the next try is in %v", err, pauses[name]))
			} else {
				pauses[name] = 0
			}
			next[name] = time.Now().Add(max(pauses[name], lookEvery))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look asks for the certificate of a name: the authority when there is none, memory otherwise. autocert renews it.
func (m *Manager) look(ctx context.Context, name string) error {
	type answer struct {
		cert *tls.Certificate
		err  error
	}
	done := make(chan answer, 1)
	go func() { // it takes no context; it gives up after five minutes
		cert, err := m.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName: name, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
		done <- answer{cert, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-done:
		if got.err != nil {
			return got.err
		}
		return m.take(name, got.cert)
	}
}

func (m *Manager) take(name string, cert *tls.Certificate) error {
	if cert.Leaf == nil {
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			return err
		}
		cert.Leaf = leaf
	}
	m.mu.Lock()
	before := m.certs[name]
	m.certs[name] = cert
	m.mu.Unlock()
	if before == nil || !before.Leaf.Equal(cert.Leaf) {
		m.tell(name, cert.Leaf, nil)
	}
	return nil
}

func (m *Manager) tell(name string, leaf *x509.Certificate, err error) {
	if m.cfg.Changed != nil {
		m.cfg.Changed(name, leaf, err)
	}
}

// cache is a Keeper as autocert wants it.
type cache struct{ keeper Keeper }

func (c cache) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := c.keeper.Kept(ctx, key)
	if err == nil && value == nil {
		err = autocert.ErrCacheMiss
	}
	return value, err
}

func (c cache) Put(ctx context.Context, key string, data []byte) error {
	if len(data) == 0 {
		return errors.New("nothing to keep")
	}
	return c.keeper.Keep(ctx, key, data)
}

func (c cache) Delete(ctx context.Context, key string) error { return c.keeper.Keep(ctx, key, nil) }
