// Package certfile follows a certificate and its key in two files, such as those of an ACME client, and takes new ones up
// without a restart.
package certfile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often the files are read.
	lookEvery = 2 * time.Second
	// maxFile is the largest file that is read.
	maxFile = 1 << 20
)

// Config is what Open needs.
type Config struct {
	// Cert and Key are files in PEM: the certificate with those between it and a root, and its private key.
	Cert, Key string
	// Changed is called by Run with a certificate that was taken up, or with what is wrong with the files, once until
	// that changes. Nil: nobody.
	Changed func(leaf *x509.Certificate, err error)
}

// Pair is the certificate that is in force. It is safe for concurrent use. A nil one has none, for nobody.
type Pair struct {
	cfg     Config
	current atomic.Pointer[tls.Certificate]
	inForce []byte // what the files had when it was taken up
	pending []byte // what they had at the last look
}

// Open reads the files.
func Open(cfg Config) (*Pair, error) {
	p := &Pair{cfg: cfg}
	cert, key, err := p.read()
	if err != nil {
		return nil, err
	}
	p.pending = both(cert, key)
	_, err = p.take(cert, key)
	return p, err
}

// Leaf is the certificate that is in force.
func (p *Pair) Leaf() *x509.Certificate { return p.current.Load().Leaf }

// For returns the certificate if it is good for the name that a client asks for (RFC 6066, section 3), and nil otherwise.
func (p *Pair) For(hello *tls.ClientHelloInfo) *tls.Certificate {
	if p == nil {
		return nil
	}
	cert := p.current.Load()
	if hello.ServerName == "" || cert.Leaf.VerifyHostname(hello.ServerName) != nil {
		return nil
	}
	return cert
}

// Run takes up what the files have when they change, until ctx ends, and returns nil then. Files that do not fit leave
// the certificate that was.
func (p *Pair) Run(ctx context.Context) error {
	if p == nil {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		changed, err := p.look()
		switch {
		case err != nil && err.Error() != last:
			last = err.Error()
			p.tell(nil, err)
		case err == nil && changed:
			last = ""
			p.tell(p.Leaf(), nil)
		}
	}
}

func (p *Pair) tell(leaf *x509.Certificate, err error) {
	if p.cfg.Changed != nil {
		p.cfg.Changed(leaf, err)
	}
}

// look takes files up that are new and were the same at the look before: who writes two files has written one first.
func (p *Pair) look() (changed bool, err error) {
	cert, key, err := p.read()
	if err != nil {
		return false, err
	}
	now := both(cert, key)
	if bytes.Equal(now, p.inForce) {
		p.pending = now
		return false, nil
	}
	if !bytes.Equal(now, p.pending) {
		p.pending = now
		return false, nil
	}
	return p.take(cert, key)
}

func (p *Pair) take(cert, key []byte) (bool, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("%s and %s: %w", p.cfg.Cert, p.cfg.Key, err)
	}
	p.current.Store(&pair)
	p.inForce = both(cert, key)
	return true, nil
}

func (p *Pair) read() (cert, key []byte, err error) {
	if cert, err = readFile(p.cfg.Cert); err != nil {
		return nil, nil, err
	}
	key, err = readFile(p.cfg.Key)
	return cert, key, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return text, err
}

// both is what two files have, so that it can be compared at once.
func both(cert, key []byte) []byte { return bytes.Join([][]byte{cert, key}, []byte{0}) }
