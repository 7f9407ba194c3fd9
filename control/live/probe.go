package live

import (
	"crypto/x509"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
)

// Probe is a certificate that is good for one connection, of which everything is told. It is in no store, and in no list.
type Probe struct {
	// Events are what happens to its connection, in order, each with the moment.
	Events <-chan ProbeEvent

	live   *Live
	key    CertificateKey
	events chan ProbeEvent
}

// ProbeEvent is a moment of the connection of a probe.
type ProbeEvent struct {
	At time.Time
	lb.Event
}

// StartProbe lets a certificate of a client's frontend, issued by one of our authorities, in until End.
func (l *Live) StartProbe(clientID, frontendID, name, authority string, leaf *x509.Certificate) *Probe {
	// One connection has at most one event for each route that is tried, and five others; more are not kept.
	events := make(chan ProbeEvent, 64)
	p := &Probe{live: l, key: CertificateKey{authority, pki.FormatSerial(leaf.SerialNumber)}, Events: events, events: events}
	l.probing.Add(1)
	l.probes.set(p.key.Serial, p)
	l.certificates.set(p.key, &Certificate{
		ClientID: clientID, FrontendID: frontendID, Name: name, NotAfter: leaf.NotAfter,
		keys: []string{clientKey(clientID), frontendKey(frontendID), serialKey(p.key.Authority, p.key.Serial)},
	})
	return p
}

// End lets the certificate in no more, and closes a connection that is left.
func (p *Probe) End() {
	l := p.live
	l.certificates.remove(p.key)
	l.drop(serialKey(p.key.Authority, p.key.Serial), lb.ReasonClientEOF) // whoever made the connection has closed it
	l.probes.remove(p.key.Serial)
	l.probing.Add(-1)
}

// tellProbe passes an event on to the probe that it is about, if it is about one.
func (l *Live) tellProbe(b *Holder, e *lb.Event) {
	if l.probing.Load() == 0 {
		return
	}
	serial := ""
	switch {
	case b != nil:
		serial = b.Certificate.Serial
	case e.Leaf != nil:
		serial = pki.FormatSerial(e.Leaf.SerialNumber)
	default:
		return
	}
	if p, known := l.probes.get(serial); known {
		select {
		case p.events <- ProbeEvent{time.Now(), *e}:
		default:
		}
	}
}
