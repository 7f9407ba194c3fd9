package live

import (
	"time"

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
	// NewDestinationsPerHour is how many destinations may be tried that no saved route has, and how many such saved,
	// so that a client cannot scan a network. All of them at once; what was used comes back over an hour. Default 1,000.
	NewDestinationsPerHour int
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
	{"newDestinationsPerHour", func(l *Limits) *int { return &l.NewDestinationsPerHour }, 1000},
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

// byName is a limit by its name in the API.
func (l Limits) byName(name string) int {
	for _, n := range LimitNames {
		if n.Name == name {
			return *n.At(&l)
		}
	}
	return 0
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
	tries       *rate.Limiter // of destinations; nil: unbounded
	saves       *rate.Limiter // of destinations; nil: unbounded
}

// newClientLimits brings the limits up to date; what is in use of old ones stays in use.
func newClientLimits(l Limits, old *clientLimits) *clientLimits {
	fresh := &clientLimits{Limits: l, connections: &lb.Limit{}}
	if old != nil {
		fresh.connections = old.connections
		fresh.requests = old.requests
		fresh.tries = old.tries
		fresh.saves = old.saves
	}
	fresh.connections.SetMax(max(0, l.Connections))
	fresh.connections.SetRate(max(0, l.ConnectionsPerSecond))
	fresh.connections.SetBandwidth(int64(max(0, l.BytesPerSecond)))
	perHour := rate.Limit(float64(l.NewDestinationsPerHour) / 3600)
	fresh.requests = setRate(fresh.requests, rate.Limit(l.RequestsPerSecond), l.RequestsPerSecond)
	fresh.tries = setRate(fresh.tries, perHour, l.NewDestinationsPerHour)
	fresh.saves = setRate(fresh.saves, perHour, l.NewDestinationsPerHour)
	return fresh
}

// setRate changes a rate, or makes it; a negative burst is no bound.
func setRate(l *rate.Limiter, perSecond rate.Limit, burst int) *rate.Limiter {
	switch {
	case burst < 0:
		return nil
	case l == nil:
		return rate.NewLimiter(perSecond, burst)
	}
	l.SetLimit(perSecond)
	l.SetBurst(burst)
	return l
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

// TakeTries counts n destinations that a client tries and no saved route has. It returns zero, or how long to wait.
func (l *Live) TakeTries(clientID string, n int) time.Duration {
	return takeFrom(l.limitsOf(clientID).tries, n, l.cfg.Now())
}

// TakeDestinations counts n destinations that a client saves for the first time. It returns zero, or how long to wait.
func (l *Live) TakeDestinations(clientID string, n int) time.Duration {
	return takeFrom(l.limitsOf(clientID).saves, n, l.cfg.Now())
}

// takeFrom takes n events, all or none. More than there can ever be are as long to wait for as all.
func takeFrom(bucket *rate.Limiter, n int, now time.Time) time.Duration {
	if bucket == nil || bucket.AllowN(now, n) {
		return 0
	}
	missing := min(float64(n), float64(bucket.Burst())) - bucket.TokensAt(now)
	if bucket.Limit() <= 0 {
		return time.Hour
	}
	return max(time.Second, time.Duration(missing/float64(bucket.Limit())*float64(time.Second)).Round(time.Second))
}
