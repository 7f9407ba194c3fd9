package live

import (
	"golang.org/x/time/rate"

	"github.com/xdire/xlb/lb"
)

// Limits are the bounds of one client. Zero takes the default, negative means unbounded.
type Limits struct {
	Frontends            int // default 100
	RoutesPerFrontend    int // default 256
	Certificates         int // neither revoked nor expired, default 1,000
	Connections          int // at once, default 10,000
	ConnectionsPerSecond int // new ones, default unbounded
	BytesPerSecond       int // both directions together, default unbounded
	RequestsPerSecond    int // of the API, default 100
}

// LimitNames are the limits by their names in the API and in the store.
var LimitNames = []struct {
	Name    string
	At      func(*Limits) *int
	Default int
}{
	{"frontends", func(l *Limits) *int { return &l.Frontends }, 100},
	{"routesPerFrontend", func(l *Limits) *int { return &l.RoutesPerFrontend }, 256},
	{"certificates", func(l *Limits) *int { return &l.Certificates }, 1000},
	{"connections", func(l *Limits) *int { return &l.Connections }, 10_000},
	{"connectionsPerSec", func(l *Limits) *int { return &l.ConnectionsPerSecond }, -1},
	{"bytesPerSec", func(l *Limits) *int { return &l.BytesPerSecond }, -1},
	{"requestsPerSec", func(l *Limits) *int { return &l.RequestsPerSecond }, 100},
}

// WithDefaults has the default of each limit that is zero.
func (l Limits) WithDefaults() Limits {
	for _, n := range LimitNames {
		if at := n.At(&l); *at == 0 {
			*at = n.Default
		}
	}
	return l
}

// with is the limits of a client for which the administrator has set some. There, 0 is no bound.
func (l Limits) with(own map[string]int) Limits {
	for _, n := range LimitNames {
		if value, set := own[n.Name]; set {
			if *n.At(&l) = value; value == 0 {
				*n.At(&l) = -1
			}
		}
	}
	return l
}

// clientLimits are the limits of a client in force.
type clientLimits struct {
	Limits
	connections *lb.Limit     // shared by all pools of the client
	requests    *rate.Limiter // nil: unbounded
}

// newClientLimits brings the limits up to date; what is in use of old ones stays in use.
func newClientLimits(l Limits, old *clientLimits) *clientLimits {
	fresh := &clientLimits{Limits: l, connections: &lb.Limit{}}
	if old != nil {
		fresh.connections = old.connections
		fresh.requests = old.requests
	}
	fresh.connections.SetMax(max(0, l.Connections))
	fresh.connections.SetRate(max(0, l.ConnectionsPerSecond))
	fresh.connections.SetBandwidth(int64(max(0, l.BytesPerSecond)))
	switch perSecond := l.RequestsPerSecond; {
	case perSecond < 0:
		fresh.requests = nil
	case fresh.requests == nil:
		fresh.requests = rate.NewLimiter(rate.Limit(perSecond), perSecond)
	default:
		fresh.requests.SetLimit(rate.Limit(perSecond))
		fresh.requests.SetBurst(perSecond)
	}
	return fresh
}

// limitsOf are the limits of a client; those of the server for one that does not exist.
func (l *Live) limitsOf(clientID string) *clientLimits {
	if state, known := l.clients.get(clientID); known {
		return state.limits
	}
	return newClientLimits(l.cfg.Limits, nil)
}

// Limits are the limits of a client in force; those of the server for one that does not exist.
func (l *Live) Limits(clientID string) Limits { return l.limitsOf(clientID).Limits }

// ConnectionsInUse is how many connections of a client are open, as its limit counts them.
func (l *Live) ConnectionsInUse(clientID string) int { return l.limitsOf(clientID).connections.InUse() }

// AllowRequest counts a request of a client, and tells whether it is within its rate.
func (l *Live) AllowRequest(clientID string) bool {
	bucket := l.limitsOf(clientID).requests
	return bucket == nil || bucket.AllowN(l.cfg.Now(), 1)
}
