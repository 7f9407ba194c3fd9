package live

import (
	"time"

	"github.com/xdire/xlb/lb"
)

// Metrics is what the data plane is doing and has done since it started, in numbers. There are no secrets,
// no addresses of clients and no serials in it.
type Metrics struct {
	Accepted    int64          // TCP connections, ever
	Connections int            // open now, handshakes included
	Handshakes  int            // in flight
	Loops       []lb.LoopStats // that move the bytes, one after the other; none before the first connection
	// Refused counts connections that were turned away although their certificate belongs to a client,
	// RefusedNobody all others that were.
	Refused, RefusedNobody []ReasonCount
	// Handshake is the time from accept to the end of a handshake, Resumed that of resumed sessions.
	Handshake, Resumed Histogram

	Clients       int
	Frontends     []FrontendMetrics // in no order
	StoreRevision uint64            // applied here
	Unreadable    int               // records that cannot be decoded

	scratch metricsScratch
}

// FrontendMetrics is one frontend in numbers. They end with the frontend.
type FrontendMetrics struct {
	ID, ClientID, Name string
	State              State

	Active, Waiting   int
	Accepted          uint64        // admitted, ever
	Closed            []ReasonCount // of those, by why they ended
	Refused           []ReasonCount // turned away with a certificate of this frontend
	BytesIn, BytesOut int64         // from clients and to them, open connections included
	Wait              Histogram     // for a free route
	Duration          Histogram     // of the connections that a route took
	Routes            []RouteMetrics
	Certificates      CertificateMetrics
}

// RouteMetrics is one route in numbers.
type RouteMetrics struct {
	Dest              string
	State             State
	Active            int
	Total             int64 // connections that it took
	Failed            int64 // dials that failed
	BytesIn, BytesOut int64
	Connect           Histogram // dials that succeeded
}

// CertificateMetrics is about the certificates of a frontend that still open it.
type CertificateMetrics struct {
	Valid       int
	First, Last time.Time // when the first of them expires, and the last; zero without any
}

// ReadMetrics reads all numbers into m. It uses m's memory again, and leaves nothing of what was in it: with thousands of
// frontends a scrape would otherwise double what the process holds. It costs about a microsecond for each route and
// certificate, and lets others go first now and then.
func (l *Live) ReadMetrics(m *Metrics) {
	server := l.balancer.Stats()
	m.Accepted = server.Accepted
	m.Connections = server.Live
	m.Handshakes = server.Handshaking
	m.Loops = server.Loops
	m.Refused = l.meter.refused.appendTo(m.Refused[:0])
	m.RefusedNobody = l.meter.refusedNobody.appendTo(m.RefusedNobody[:0])
	l.meter.handshake.read(handshakeBounds, &m.Handshake)
	l.meter.resumed.read(handshakeBounds, &m.Resumed)
	m.Clients = l.clients.len()
	m.StoreRevision = l.Revision()
	m.Unreadable = l.unreadable.count()

	scratch := &m.scratch
	l.readCertificates(scratch)
	scratch.frontends = l.frontends.values(scratch.frontends[:0])
	m.Frontends = m.Frontends[:0]
	for i, f := range scratch.frontends {
		if i%frontendsAtOnce == 0 {
			time.Sleep(readingRest)
		}
		m.Frontends = grow(m.Frontends)
		one := &m.Frontends[i]
		f.readMetrics(one, scratch)
		one.Certificates = scratch.certificates[f.record.UUID]
	}
	clear(scratch.frontends) // a frontend that ends must not be held until the next scrape
}

const (
	frontendsAtOnce = 64 // are read until others go first
	readingRest     = 100 * time.Microsecond
)

// metricsScratch is memory that readings of the metrics use again.
type metricsScratch struct {
	frontends    []*frontend
	stats        lb.PoolStats
	routes       []RouteStatus
	certificates map[string]CertificateMetrics
}

// grow makes a slice longer by one, which is what stood there before if there was anything: its own slices are used again.
func grow[T any](all []T) []T {
	if len(all) < cap(all) {
		return all[:len(all)+1]
	}
	var none T
	return append(all, none)
}

func (f *frontend) readMetrics(m *FrontendMetrics, scratch *metricsScratch) {
	f.pool.ReadStats(&scratch.stats)
	stats := &scratch.stats
	scratch.routes = f.routeStatuses(scratch.routes[:0], stats.Backends)
	meter := &f.seen.meter
	m.ID = f.record.UUID
	m.ClientID = f.record.ClientID
	m.Name = f.record.Name
	m.State = f.state(scratch.routes)
	m.Active = stats.Active
	m.Waiting = stats.Waiting
	m.Accepted = meter.accepted.Load()
	m.Closed = meter.closed.appendTo(m.Closed[:0])
	m.Refused = meter.refused.appendTo(m.Refused[:0])
	m.BytesIn = stats.BytesIn
	m.BytesOut = stats.BytesOut
	meter.wait.read(waitBounds, &m.Wait)
	meter.duration.read(durationBounds, &m.Duration)
	m.Routes = m.Routes[:0]
	for i := range stats.Backends {
		b := &stats.Backends[i]
		m.Routes = grow(m.Routes)
		r := &m.Routes[i]
		r.Dest = b.Addr
		r.State, _, _ = routeState(*b)
		r.Active = b.Active
		r.Total = b.Total
		r.Failed = b.Failed
		r.BytesIn = b.BytesIn
		r.BytesOut = b.BytesOut
		meter.readConnect(b.Addr, &r.Connect)
	}
}

// readCertificates sums up by frontend the certificates that are neither revoked nor expired.
func (l *Live) readCertificates(scratch *metricsScratch) {
	now := l.cfg.Now()
	if scratch.certificates == nil {
		scratch.certificates = map[string]CertificateMetrics{}
	}
	all := scratch.certificates
	clear(all)
	l.certificates.each(func(_ CertificateKey, cert *Certificate) {
		if cert.Revoked || cert.Retired || !now.Before(cert.NotAfter) {
			return
		}
		m := all[cert.FrontendID]
		m.Valid++
		if m.First.IsZero() || cert.NotAfter.Before(m.First) {
			m.First = cert.NotAfter
		}
		if cert.NotAfter.After(m.Last) {
			m.Last = cert.NotAfter
		}
		all[cert.FrontendID] = m
	})
}

// meterOf is the meter of a frontend, nil when there is no such frontend.
func (l *Live) meterOf(frontendID string) *meter {
	if state, known := l.frontends.get(frontendID); known {
		return &state.seen.meter
	}
	return nil
}
