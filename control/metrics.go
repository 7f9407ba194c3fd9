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

// Metrics reads all numbers. It costs about a microsecond for each route and certificate.
func (c *Control) Metrics(ctx context.Context) Metrics {
	health := c.store.Health()
	_, notReady := c.Ready(ctx)
	return Metrics{
		Metrics: c.live.Metrics(), AuthorityExpiry: c.cfg.Authority.Certificate().NotAfter, KeysReady: c.keys.Ready(),
		StoreReady: health.Err == nil && notReady == nil, StoreFree: health.Free,
	}
}
