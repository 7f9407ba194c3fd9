package control

import (
	"context"
	"errors"

	"golang.org/x/time/rate"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
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

// limitNames are the limits by their names in the API and in the store.
var limitNames = []struct {
	name      string
	at        func(*Limits) *int
	otherwise int
}{
	{"frontends", func(l *Limits) *int { return &l.Frontends }, 100},
	{"routesPerFrontend", func(l *Limits) *int { return &l.RoutesPerFrontend }, 256},
	{"certificates", func(l *Limits) *int { return &l.Certificates }, 1000},
	{"connections", func(l *Limits) *int { return &l.Connections }, 10_000},
	{"connectionsPerSec", func(l *Limits) *int { return &l.ConnectionsPerSecond }, -1},
	{"bytesPerSec", func(l *Limits) *int { return &l.BytesPerSecond }, -1},
	{"requestsPerSec", func(l *Limits) *int { return &l.RequestsPerSecond }, 100},
}

func (l Limits) withDefaults() Limits {
	for _, n := range limitNames {
		if at := n.at(&l); *at == 0 {
			*at = n.otherwise
		}
	}
	return l
}

// with is the limits of a client for which the administrator has set some. There, 0 is no bound.
func (l Limits) with(own map[string]int) Limits {
	for _, n := range limitNames {
		if value, set := own[n.name]; set {
			if *n.at(&l) = value; value == 0 {
				*n.at(&l) = -1
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
		fresh.connections, fresh.requests = old.connections, old.requests
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
func (c *Control) limitsOf(clientID string) *clientLimits {
	if state, known := c.index.clients.get(clientID); known {
		return state.limits
	}
	return newClientLimits(c.cfg.Limits, nil)
}

// Usage is one limit of a client against its use.
type Usage struct {
	Name string // as in the API
	Max  int    // 0: no bound
	Used int    // now; 0 of rates, which have no use that lasts
}

// Usage lists the actor's limits with their use. Of routes, it counts those of the largest frontend.
func (c *Control) Usage(ctx context.Context) ([]Usage, error) {
	a, err := c.may(ctx, actClientRead, "")
	if err != nil {
		return nil, err
	}
	limits := c.limitsOf(a.ClientID)
	used := map[string]int{"connections": limits.connections.InUse(), "certificates": c.certificatesOf(a.ClientID)}
	c.index.frontends.each(func(_ string, f *frontendState) {
		if f.record.ClientID == a.ClientID {
			used["frontends"]++
			used["routesPerFrontend"] = max(used["routesPerFrontend"], len(f.record.Routes))
		}
	})
	all := make([]Usage, 0, len(limitNames))
	for _, n := range limitNames {
		all = append(all, Usage{Name: n.name, Max: max(0, *n.at(&limits.Limits)), Used: used[n.name]})
	}
	return all, nil
}

// certificatesOf is how many certificates of a client are neither revoked nor expired.
func (c *Control) certificatesOf(clientID string) int {
	n, now := 0, c.cfg.Now()
	for _, cert := range c.index.certificatesOf(clientID) {
		if !cert.revoked && now.Before(cert.notAfter) {
			n++
		}
	}
	return n
}

const maxLimit = 1 << 40

// SetLimits changes limits of a client, by their names in the API: 0 is no bound, negative takes the
// server's default again; a limit that is not named stays. They are in force when it returns; what is over
// them already stays. For the administrator.
func (c *Control) SetLimits(ctx context.Context, id string, changes map[string]int) (Client, error) {
	if _, err := c.may(ctx, actAdminLimits, id); err != nil {
		return Client{}, err
	}
	var problems []error
	for name, value := range changes {
		if value > maxLimit {
			problems = append(problems, invalid("limits."+name, "Use at most %d; 0 is no bound.", maxLimit))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Client{}, err
	}
	return c.changeClient(ctx, canonicalID(id), 0, func(r *store.Client) {
		own := map[string]int{}
		for name, value := range r.Limits {
			own[name] = value
		}
		for name, value := range changes {
			if own[name] = value; value < 0 {
				delete(own, name)
			}
		}
		r.Limits = own
	})
}

// OwnLimits are the limits of the actor's client, for saying what they are.
func (c *Control) OwnLimits(ctx context.Context) Limits {
	return c.limitsOf(ActorFrom(ctx).ClientID).Limits
}
