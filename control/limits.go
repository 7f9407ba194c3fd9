package control

import (
	"context"
	"errors"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/store"
)

// Limits are the bounds of one client. Zero takes the default, negative means unbounded.
type Limits = live.Limits

// Usage is one limit of a client against its use.
type Usage struct {
	Name string // as in the API
	Max  int    // 0: no bound
	Used int    // now; 0 of rates, which have no use that lasts
}

// IsNear is whether nearly all of it is used, so that its owner has to hear of it before something is refused.
func (u Usage) IsNear() bool { return live.IsNearLimit(u.Used, u.Max) }

// Usage lists the actor's limits with their use. Of routes, it counts those of the largest frontend.
func (c *Control) Usage(ctx context.Context) ([]Usage, error) {
	_, a, err := c.may(ctx, actClientRead, "")
	if err != nil {
		return nil, err
	}
	return c.usageOf(a.ClientID), nil
}

func (c *Control) usageOf(clientID string) []Usage {
	limits := c.live.Limits(clientID)
	used := map[string]int{"connections": c.live.ConnectionsInUse(clientID), "certificates": c.live.GoodCertificates(clientID)}
	for _, f := range c.live.FrontendsOf(clientID) {
		used["frontends"]++
		used["routesPerFrontend"] = max(used["routesPerFrontend"], len(f.Routes))
	}
	all := make([]Usage, 0, len(live.LimitNames))
	for _, n := range live.LimitNames {
		all = append(all, Usage{Name: n.Name, Max: max(0, *n.At(&limits)), Used: used[n.Name]})
	}
	return all
}

const maxLimit = 1 << 40

// SetLimits changes limits of a client, by their names in the API: 0 is no bound, negative takes the
// server's default again; a limit that is not named stays. They are in force when it returns; what is over
// them already stays. For the administrator.
func (c *Control) SetLimits(ctx context.Context, id string, changes map[string]int) (_ Client, err error) {
	ctx, a, err := c.may(ctx, actAdminLimits, id)
	if err != nil {
		return Client{}, err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminLimits, id, canonicalID(id))
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
	return c.live.Limits(ActorFrom(ctx).ClientID)
}
