package live

import (
	"time"
)

// Metrics is what the data plane is doing and has done since it started, in numbers. There are no secrets,
// no addresses of clients and no serials in it.
type Metrics struct {
	Accepted    int64 // TCP connections, ever
	Connections int   // open now, handshakes included
	Handshakes  int   // in flight
	// Refused counts connections that were turned away although their certificate belongs to a client,
	// RefusedNobody all others that were.
	Refused, RefusedNobody []ReasonCount
	// Handshake is the time from accept to the end of a handshake, Resumed that of resumed sessions.
	Handshake, Resumed Histogram

	Clients       int
	Frontends     []FrontendMetrics // in no order
	StoreRevision uint64            // applied here
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

// Metrics reads all numbers. It costs about a microsecond for each route and certificate.
func (l *Live) Metrics() Metrics {
	server := l.balancer.Stats()
	m := Metrics{
		Accepted: server.Accepted, Connections: server.Live, Handshakes: server.Handshaking,
		Refused: l.meter.refused.snapshot(), RefusedNobody: l.meter.refusedNobody.snapshot(),
		Handshake: l.meter.handshake.snapshot(handshakeBounds), Resumed: l.meter.resumed.snapshot(handshakeBounds),
		Clients: l.clients.len(), StoreRevision: l.Revision(),
	}
	certificates := l.certificateMetrics()
	frontends := l.frontends.all()
	m.Frontends = make([]FrontendMetrics, 0, len(frontends))
	for id, f := range frontends {
		one := f.metrics()
		one.Certificates = certificates[id]
		m.Frontends = append(m.Frontends, one)
	}
	return m
}

func (f *frontend) metrics() FrontendMetrics {
	stats := f.pool.Stats()
	meter := &f.seen.meter
	m := FrontendMetrics{
		ID: f.record.UUID, ClientID: f.record.ClientID, Name: f.record.Name, State: f.state(f.routeStatuses(stats.Backends)),
		Active: stats.Active, Waiting: stats.Waiting, Accepted: meter.accepted.Load(),
		Closed: meter.closed.snapshot(), Refused: meter.refused.snapshot(), BytesIn: stats.BytesIn, BytesOut: stats.BytesOut,
		Wait: meter.wait.snapshot(waitBounds), Duration: meter.duration.snapshot(durationBounds),
	}
	m.Routes = make([]RouteMetrics, len(stats.Backends))
	for i, b := range stats.Backends {
		state, _, _ := routeState(b)
		m.Routes[i] = RouteMetrics{
			Dest: b.Addr, State: state,
			Active: b.Active, Total: b.Total, Failed: b.Failed, BytesIn: b.BytesIn, BytesOut: b.BytesOut,
			Connect: meter.connectTimes(b.Addr),
		}
	}
	return m
}

// certificateMetrics sums up by frontend the certificates that are neither revoked nor expired.
func (l *Live) certificateMetrics() map[string]CertificateMetrics {
	now := l.cfg.Now()
	all := map[string]CertificateMetrics{}
	l.certificates.each(func(_ CertificateKey, cert *Certificate) {
		if cert.Revoked || !now.Before(cert.NotAfter) {
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
	return all
}

// meterOf is the meter of a frontend, nil when there is no such frontend.
func (l *Live) meterOf(frontendID string) *meter {
	if state, known := l.frontends.get(frontendID); known {
		return &state.seen.meter
	}
	return nil
}
