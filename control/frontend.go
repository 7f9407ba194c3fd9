package control

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// Strategy is how a frontend picks a route. The numbers are part of the API.
type Strategy int

const (
	RoundRobin         = Strategy(lb.RoundRobin)
	LeastConnections   = Strategy(lb.LeastConnections)
	WeightedRoundRobin = Strategy(lb.WeightedRoundRobin)
	TwoChoices         = Strategy(lb.TwoChoices)
	Random             = Strategy(lb.Random)
	SourceHash         = Strategy(lb.SourceHash)
	IdentityHash       = Strategy(lb.IdentityHash)
)

// Strategies lists the names of all strategies, in the order of their numbers.
var Strategies = []string{
	RoundRobin: "round-robin", LeastConnections: "least-connections", WeightedRoundRobin: "weighted-round-robin",
	TwoChoices: "two-choices", Random: "random", SourceHash: "source-hash", IdentityHash: "identity-hash",
}

func (s Strategy) String() string {
	if int(s) < 0 || int(s) >= len(Strategies) {
		return fmt.Sprintf("strategy %d", int(s))
	}
	return Strategies[s]
}

const defaultRouteTimeout = 30 // seconds

// Bounds of a frontend and its routes: seconds, connections at once, share.
const (
	MaxRouteTimeout = 300
	MaxCapacity     = 1_000_000
	MaxWeight       = 256
)

// Route is one destination of a frontend. It is kept as it is given, so the record's type serves.
type Route = store.Route

// FrontendSpec is what a client decides about a frontend.
type FrontendSpec struct {
	Name            string // a label, need not be unique; empty: suggested from the first port
	Active          bool
	Strategy        Strategy
	RouteTimeoutSec int // one budget for waiting and all dials, 1 to 300
	Routes          []Route
	Options         Options
	// RouteKey is a new key for Options.RouteTLS.Certificate, PEM. It is sealed into the options when the
	// frontend is saved. Empty keeps the one that is there.
	RouteKey string
}

// DefaultFrontend is what an omitted field means.
func DefaultFrontend() FrontendSpec {
	return FrontendSpec{Active: true, Strategy: RoundRobin, RouteTimeoutSec: defaultRouteTimeout, Options: DefaultOptions()}
}

// Frontend is a pool of routes behind an identity.
type Frontend struct {
	FrontendSpec
	ID        string
	ClientID  string
	AccessKey string // the CN of its certificates, 64 hex digits
	CreatedAt time.Time
	UpdatedAt time.Time
	FirstByte time.Time // when the first byte came back through it; zero: never
	Revision  uint64
	Number    uint64 // of its last change: the revision that is how it is now
}

func frontendOf(r store.Frontend) Frontend {
	f := Frontend{
		FrontendSpec: FrontendSpec{Name: r.Name, Active: r.Active, Strategy: Strategy(r.Strategy), RouteTimeoutSec: r.RouteTimeoutSec},
		ID:           r.UUID, ClientID: r.ClientID, AccessKey: r.AccessKey,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, FirstByte: r.FirstByteAt, Revision: r.Revision, Number: r.Number,
	}
	f.Routes = append([]Route{}, r.Routes...) // a copy: the record may be shared, and callers edit
	if f.Options = DefaultOptions(); r.Options != nil {
		f.Options = *r.Options
	}
	return f
}

// into writes what the client decides into the record.
func (s FrontendSpec) into(r *store.Frontend) {
	r.Name = s.Name
	r.Active = s.Active
	r.Strategy = int(s.Strategy)
	r.RouteTimeoutSec = s.RouteTimeoutSec
	r.Routes = append([]Route{}, s.Routes...)
	r.Options = &s.Options
}

// RouteStates lists what an owner may want of a route; the empty text is ready.
var RouteStates = []string{"", store.RouteDrain, store.RouteMaintenance}

// CreateFrontend saves a frontend for the actor. It is live when the call returns.
func (c *Control) CreateFrontend(ctx context.Context, spec FrontendSpec) (_ Frontend, err error) {
	ctx, a, err := c.may(ctx, actFrontendCreate, "")
	if err != nil {
		return Frontend{}, err
	}
	defer c.noteFailed(ctx, &err)
	if spec, err = c.checkFrontend(ctx, spec, FrontendSpec{}); err != nil {
		return Frontend{}, err
	}
	if err := c.payFor(a, spec.Routes); err != nil {
		return Frontend{}, err
	}
	now := c.cfg.Now().UTC()
	record := store.Frontend{
		UUID: newID(), ClientID: a.ClientID, AccessKey: hex.EncodeToString(randomBytes(32)),
		CreatedAt: now, UpdatedAt: now,
	}
	spec.into(&record)
	most := c.live.Limits(a.ClientID).Frontends
	rev, err := c.store.CreateFrontend(ctx, record, most)
	if errors.Is(err, store.ErrLimit) {
		return Frontend{}, &Error{Kind: KindLimit, Message: fmt.Sprintf("You use all %d frontends. Delete one or ask for more.", most)}
	}
	if err != nil {
		return Frontend{}, fromStore(err, "client")
	}
	record.Revision = rev
	return frontendOf(record), c.waitFor(ctx, rev)
}

// Frontend is one frontend of the actor.
func (c *Control) Frontend(ctx context.Context, id string) (Frontend, error) {
	ctx, a, err := c.may(ctx, actFrontendRead, id)
	if err != nil {
		return Frontend{}, err
	}
	record, err := c.store.Frontend(ctx, a.ClientID, canonicalID(id))
	return frontendOf(record), fromStore(err, "frontend")
}

// Frontends lists the actor's frontends in order of creation, at most limit of them after the id
// `after` (empty: from the first). A limit that is not positive means all.
func (c *Control) Frontends(ctx context.Context, after string, limit int) ([]Frontend, error) {
	ctx, a, err := c.may(ctx, actFrontendRead, "")
	if err == nil && len(a.Frontends) > 0 {
		return c.boundFrontends(ctx, a, after, limit)
	}
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 1 << 20
	}
	records, err := c.store.Frontends(ctx, a.ClientID, after, limit)
	all := make([]Frontend, 0, len(records))
	for _, r := range records {
		all = append(all, frontendOf(r))
	}
	return all, fromStore(err, "client")
}

// Update says how to change a frontend.
type Update struct {
	IfMatch uint64 // the revision that was read: nothing is changed when there is another one; zero: any
	// Drain is how long live connections may go on when the frontend is switched off. Zero closes them at
	// once; at most a day. They keep that end if it is switched on again.
	Drain time.Duration
	// Edit receives what is stored and changes it, perhaps more than once.
	Edit func(*FrontendSpec) error
}

// UpdateFrontend changes a frontend of the actor. It is live when the call returns; no connection of an
// unchanged route is touched.
func (c *Control) UpdateFrontend(ctx context.Context, id string, u Update) (_ Frontend, err error) {
	ctx, a, err := c.may(ctx, actFrontendUpdate, id)
	if err != nil {
		return Frontend{}, err
	}
	defer c.noteFailed(ctx, &err)
	if u.Drain < 0 || u.Drain > maxDrain {
		return Frontend{}, invalid("drain", "Use 0 to %d seconds; 0 is at once.", int(maxDrain.Seconds()))
	}
	return c.updateFrontend(ctx, a, id, u)
}

// updateFrontend edits what is there, again when somebody else was faster.
func (c *Control) updateFrontend(ctx context.Context, a Actor, id string, u Update) (Frontend, error) {
	for try := range updateTries {
		old, err := c.store.Frontend(ctx, a.ClientID, canonicalID(id))
		if err != nil {
			return Frontend{}, fromStore(err, "frontend")
		}
		if u.IfMatch != 0 && old.Revision != u.IfMatch {
			return Frontend{}, errStale()
		}
		spec, err := c.editFrontend(ctx, frontendOf(old), u.Edit)
		if err != nil {
			return Frontend{}, err
		}
		if try == 0 { // an edit that starts over has paid already
			if err := c.payFor(a, spec.Routes); err != nil {
				return Frontend{}, err
			}
		}
		changed, err := c.replaceFrontend(ctx, old, spec, u.Drain)
		if KindOf(err) == KindPrecondition && u.IfMatch == 0 {
			continue // somebody was faster: edit what is there now
		}
		if err != nil {
			return Frontend{}, err
		}
		return changed, c.waitFor(ctx, changed.Revision)
	}
	return Frontend{}, errStale()
}

// updateTries bounds how often an edit starts over because somebody else was faster: of so many at once each
// gets its turn.
const updateTries = 100

func errStale() error {
	return &Error{Kind: KindPrecondition, Message: "This frontend changed since you read it. Read it again and repeat."}
}

// editFrontend lets edit change a copy of what f is made of, and validates the result. It looks names
// up, so it must not run inside a transaction.
func (c *Control) editFrontend(ctx context.Context, f Frontend, edit func(*FrontendSpec) error) (FrontendSpec, error) {
	spec := f.FrontendSpec
	spec.Routes = append([]Route(nil), spec.Routes...)
	if err := edit(&spec); err != nil {
		return spec, err
	}
	return c.checkFrontend(ctx, spec, f.FrontendSpec)
}

// replaceFrontend saves spec unless the record is another one than old by now.
func (c *Control) replaceFrontend(ctx context.Context, old store.Frontend, spec FrontendSpec, drain time.Duration) (Frontend, error) {
	if old.Active && !spec.Active {
		ctx = store.Urgent(ctx)
	}
	var changed store.Frontend
	rev, err := c.store.UpdateFrontend(ctx, old.ClientID, old.UUID, func(r *store.Frontend) error {
		if r.Revision != old.Revision {
			return errStale()
		}
		spec.into(r)
		r.UpdatedAt = c.cfg.Now().UTC()
		switch {
		case spec.Active:
			r.DrainUntil = time.Time{}
		case old.Active && drain > 0:
			r.DrainUntil = r.UpdatedAt.Add(drain)
		}
		changed = *r
		return nil
	})
	changed.Revision = rev
	return frontendOf(changed), fromStore(err, "frontend")
}

// DeleteFrontend ends a frontend of the actor: its certificates are refused and its live connections
// are closed when the call returns.
func (c *Control) DeleteFrontend(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actFrontendDelete, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	rev, err := c.store.DeleteFrontend(ctx, a.ClientID, canonicalID(id))
	if err != nil {
		return fromStore(err, "frontend")
	}
	return c.waitFor(ctx, rev)
}

// checkFrontend validates spec and returns its canonical form. The routes that it had before were accepted then, and are
// not looked up again.
func (c *Control) checkFrontend(ctx context.Context, spec, before FrontendSpec) (FrontendSpec, error) {
	routes, found, problems := c.checkRoutes(ctx, spec.Routes, before.Routes)
	if len(problems) == 0 {
		problems = c.checkShared(ActorFrom(ctx).ClientID, routes, found, spec.Options.Proxy > 0, before)
	}
	spec.Routes = routes
	if spec.Name == "" && len(routes) > 0 {
		spec.Name = SuggestName(routes[0].Dest)
	}
	name, problem := label("name", spec.Name)
	if problem != nil && len(routes) > 0 {
		problems = append(problems, problem)
	}
	spec.Name = name
	if spec.Strategy < 0 || int(spec.Strategy) >= len(Strategies) {
		problems = append(problems, invalid("strategy", "Use 0 to %d, or a name: %s.", len(Strategies)-1, strings.Join(Strategies, ", ")))
	}
	if spec.RouteTimeoutSec < 1 || spec.RouteTimeoutSec > MaxRouteTimeout {
		problems = append(problems, invalid("routeTimeoutSec", "Use 1 to %d seconds.", MaxRouteTimeout))
	}
	problems = append(problems, checkOptions(&spec)...)
	if problem := c.checkRouteKey(&spec); problem != nil {
		problems = append(problems, problem)
	}
	return spec, errors.Join(problems...)
}

// boundFrontends is Frontends for an API key that is bound to some.
func (c *Control) boundFrontends(ctx context.Context, a Actor, after string, limit int) (all []Frontend, err error) {
	records, err := c.store.Frontends(ctx, a.ClientID, after, 0)
	if err != nil {
		return nil, fromStore(err, "client")
	}
	for _, r := range records {
		if a.reaches(r.UUID) && (limit <= 0 || len(all) < limit) {
			all = append(all, frontendOf(r))
		}
	}
	return all, nil
}
