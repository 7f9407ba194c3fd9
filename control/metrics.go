package control

import (
	"context"
	"time"

	"github.com/xdire/xlb/control/live"
)

// What the data plane counts, see package live.
type (
	FrontendMetrics    = live.FrontendMetrics
	RouteMetrics       = live.RouteMetrics
	CertificateMetrics = live.CertificateMetrics
	ReasonCount        = live.ReasonCount
	Histogram          = live.Histogram
)

// Metrics is what the server is doing and has done since it started, in numbers. There are no secrets, no addresses
// of clients and no serials in it.
type Metrics struct {
	live.Metrics
	AuthorityExpiry time.Time
	KeysReady       int // made ahead
	StoreReady      bool
	StoreFree       int64 // bytes; negative when nobody knows
}

// ReadMetrics reads all numbers into m, whose memory it uses again. It costs about a microsecond for each route and
// certificate.
func (c *Control) ReadMetrics(ctx context.Context, m *Metrics) {
	c.live.ReadMetrics(&m.Metrics)
	health := c.store.Health()
	_, degraded := c.Ready(ctx)
	m.AuthorityExpiry = c.issuer().Certificate().NotAfter
	m.KeysReady = c.keys.Ready()
	m.StoreReady = health.Err == nil && degraded == nil
	m.StoreFree = health.Free
}
