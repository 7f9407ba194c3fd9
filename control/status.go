package control

import (
	"context"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/store"
)

// What is observed, see package live.
type (
	State       = live.State
	RouteStatus = live.RouteStatus
	Sample      = live.Sample
	Progress    = live.Progress
	Served      = live.Served
	Attempt     = live.Attempt
	Span        = live.Span
	Traffic     = live.Traffic
	Point       = live.Point
	CheckMark   = live.CheckMark
	Identity    = live.Identity
)

// How far back traffic is shown.
const (
	FiveMinutes = live.FiveMinutes
	OneHour     = live.OneHour
	OneDay      = live.OneDay
)

// The states of frontends and routes.
const (
	StateUp          = live.StateUp
	StateDegraded    = live.StateDegraded
	StateDown        = live.StateDown
	StateWaiting     = live.StateWaiting
	StateUnknown     = live.StateUnknown
	StateOff         = live.StateOff
	StateEjected     = live.StateEjected
	StateDraining    = live.StateDraining
	StateMaintenance = live.StateMaintenance
)

// Status is a frontend with what is known about it now. Its Routes are those of what is observed.
type Status struct {
	Frontend
	live.Status
}

func statusOf(s live.Status) Status { return Status{frontendOf(s.Record), s} }

// Status is one frontend of the actor with what is known about it now.
func (c *Control) Status(ctx context.Context, id string) (Status, error) {
	_, a, err := c.may(ctx, actFrontendRead, id)
	if err != nil {
		return Status{}, err
	}
	s, known := c.live.Status(canonicalID(id))
	if !known || s.Record.ClientID != a.ClientID {
		return Status{}, notFound("frontend")
	}
	return statusOf(s), nil
}

// Traffic is the recent traffic of one frontend of the actor, through this process.
func (c *Control) Traffic(ctx context.Context, id string, span Span) (Traffic, error) {
	_, a, err := c.may(ctx, actFrontendRead, id)
	if err != nil {
		return Traffic{}, err
	}
	f, known := c.live.Frontend(canonicalID(id))
	if !known || f.ClientID != a.ClientID {
		return Traffic{}, notFound("frontend")
	}
	found, _ := c.live.Traffic(f.UUID, span)
	return found, nil
}

// Identities lists the certificates that have connections of one frontend of the actor open, the one with most first.
func (c *Control) Identities(ctx context.Context, id string) ([]Identity, error) {
	_, a, err := c.may(ctx, actConnectionList, id)
	if err != nil {
		return nil, err
	}
	if id, err = c.liveFrontend(a, id); err != nil {
		return nil, err
	}
	return c.live.Identities(id), nil
}

// Statuses lists all frontends of the actor with what is known about them now, oldest first.
func (c *Control) Statuses(ctx context.Context) ([]Status, error) {
	_, a, err := c.may(ctx, actFrontendRead, "")
	if err != nil {
		return nil, err
	}
	var all []Status
	for _, s := range c.live.Statuses(a.ClientID) {
		all = append(all, statusOf(s))
	}
	return all, nil
}

// Count is how many frontends and certificates the actor has, whatever their state.
func (c *Control) Count(ctx context.Context) (frontends, certificates int, err error) {
	_, a, err := c.may(ctx, actFrontendRead, "")
	if err != nil {
		return 0, 0, err
	}
	frontends, certificates = c.live.Count(a.ClientID)
	return frontends, certificates, nil
}

// attemptsShown is how many attempts the connect page lists.
const attemptsShown = 20

// Progress tells how far connections of one frontend of the actor have come since a moment, with the
// attempts that failed: the client's own, and those of nobody from the actor's own address.
func (c *Control) Progress(ctx context.Context, id string, since time.Time) (Progress, error) {
	_, a, err := c.may(ctx, actConnectionActivity, id)
	if err != nil {
		return Progress{}, err
	}
	f, known := c.live.Frontend(canonicalID(id))
	if !known || f.ClientID != a.ClientID {
		return Progress{}, notFound("frontend")
	}
	p, _ := c.live.Progress(f.UUID, a.Address, since, attemptsShown)
	return p, nil
}

// Changes returns a channel that is marked when something of the actor's client has changed, and a func
// that ends it.
func (c *Control) Changes(ctx context.Context) (<-chan struct{}, func(), error) {
	_, a, err := c.may(ctx, actFrontendRead, "")
	if err != nil {
		return nil, nil, err
	}
	ch, end := c.live.SubscribeFrom(a.ClientID, a.Address)
	return ch, end, nil
}

// noteFirstBytes writes down which frontends have carried a byte, once for each, until ctx ends.
func (c *Control) noteFirstBytes(ctx context.Context) error {
	return receive(ctx, c.live.FirstBytes(), func(id string) { c.noteFirstByte(ctx, id) })
}

func (c *Control) noteFirstByte(ctx context.Context, id string) {
	f, known := c.live.Frontend(id)
	if !known {
		return
	}
	_, err := c.store.UpdateFrontend(ctx, f.ClientID, id, func(r *store.Frontend) error {
		if r.FirstByteAt.IsZero() {
			r.FirstByteAt = c.cfg.Now().UTC()
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		c.log.Warn("first byte not noted", "frontend", id, "error", err)
	}
}
