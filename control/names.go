package control

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/xdire/xlb/lb"
)

// addresses are what the routes of a frontend stand for, by destination: the route itself, or the
// addresses of its name.
type addresses map[string][]string

// newNames follows the names in routes.
func (c *Control) newNames() *lb.Names {
	return lb.NewNames(lb.NamesConfig{Resolver: c.cfg.Resolver, Interval: c.cfg.NamesInterval, Changed: func(id string) { c.index.readdress(id) }})
}

// expand looks up what the routes of a frontend stand for now.
func (c *Control) expand(f Frontend) addresses {
	all := make(addresses, len(f.Routes))
	dests := make([]string, 0, len(f.Routes))
	for _, r := range f.Routes {
		dests = append(dests, r.Dest)
	}
	c.names.Set(f.ID, dests)
	for _, dest := range dests {
		all[dest] = c.names.Expand(dest)
	}
	return all
}

// nameOf is the name in a destination, empty when it has an address.
func nameOf(dest string) string {
	host, _, err := net.SplitHostPort(dest)
	if _, isAddress := netip.ParseAddr(host); err != nil || isAddress == nil {
		return ""
	}
	return host
}

// readdress gives the pool of a frontend the addresses that its names have by now.
func (x *index) readdress(id string) {
	x.frontendMu.Lock()
	defer x.frontendMu.Unlock()
	old, known := x.frontends.get(id)
	if !known {
		return
	}
	state := *old
	state.addresses = x.c.expand(state.record)
	state.pool.Update(x.c.pool(state.record, state.addresses))
	x.c.health.put(state.record, state.pool, state.addresses)
	x.setFrontend(&state)
}

// settleTime bounds the wait for names at the start.
const settleTime = 2 * time.Second

// Settle waits until every name in a route has been looked up once, but not for long. Without it the first
// connections after a start would be to a route without addresses.
func (c *Control) Settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for _, f := range c.index.frontends.all() {
		for _, r := range f.record.Routes {
			name := nameOf(r.Dest)
			for name != "" && ctx.Err() == nil {
				if s := c.names.State(name); s.Err != nil || !s.LastGood.IsZero() {
					break
				}
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}
}
