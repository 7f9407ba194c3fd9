package control

import (
	"context"
	"time"
)

// Metrics is what the server is doing and has done since it started, in numbers. There are no secrets,
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

	Clients         int
	Frontends       []FrontendMetrics // in no order
	AuthorityExpiry time.Time
	KeysReady       int // made ahead

	StoreReady    bool
	StoreRevision uint64 // applied here
	StoreFree     int64  // bytes; negative when nobody knows
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
func (c *Control) Metrics(ctx context.Context) Metrics {
	server, health := c.balancer.Stats(), c.store.Health()
	_, notReady := c.Ready(ctx)
	m := Metrics{
		Accepted: server.Accepted, Connections: server.Live, Handshakes: server.Handshaking,
		Refused: c.meter.refused.snapshot(), RefusedNobody: c.meter.refusedNobody.snapshot(),
		Handshake: c.meter.handshake.snapshot(handshakeBounds), Resumed: c.meter.resumed.snapshot(handshakeBounds),
		Clients: c.index.clients.len(), AuthorityExpiry: c.cfg.Authority.Certificate().NotAfter, KeysReady: c.keys.Ready(),
		StoreReady: health.Err == nil && notReady == nil, StoreFree: health.Free, StoreRevision: c.index.revision(),
	}
	certificates := c.certificateMetrics()
	frontends := c.index.frontends.all()
	m.Frontends = make([]FrontendMetrics, 0, len(frontends))
	for id, f := range frontends {
		one := f.metrics()
		one.Certificates = certificates[id]
		m.Frontends = append(m.Frontends, one)
	}
	return m
}

func (f *frontendState) metrics() FrontendMetrics {
	stats, meter := f.pool.Stats(), &f.seen.meter
	m := FrontendMetrics{
		ID: f.record.ID, ClientID: f.record.ClientID, Name: f.record.Name, State: f.state(f.routeStatuses(stats.Backends)),
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
func (c *Control) certificateMetrics() map[string]CertificateMetrics {
	now, all := c.cfg.Now(), map[string]CertificateMetrics{}
	c.index.certificates.each(func(_ certificateKey, cert *certificateState) {
		if cert.revoked || !now.Before(cert.notAfter) {
			return
		}
		m := all[cert.frontendID]
		m.Valid++
		if m.First.IsZero() || cert.notAfter.Before(m.First) {
			m.First = cert.notAfter
		}
		if cert.notAfter.After(m.Last) {
			m.Last = cert.notAfter
		}
		all[cert.frontendID] = m
	})
	return all
}

// meterOf is the meter of a frontend, nil when there is no such frontend.
func (c *Control) meterOf(frontendID string) *meter {
	if state, known := c.index.frontends.get(frontendID); known {
		return &state.seen.meter
	}
	return nil
}

// revision is up to where the store's changes have been applied.
func (x *index) revision() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.applied
}
