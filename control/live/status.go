package live

import (
	"slices"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// State is how a frontend or a route does, in one word.
type State string

const (
	StateUp       State = "up"
	StateDegraded State = "degraded" // some routes do not answer
	StateDown     State = "down"
	StateWaiting  State = "waiting" // a frontend that no connection has reached yet
	StateUnknown  State = "unknown" // a route that was not tried yet
	StateOff      State = "off"

	StateEjected     State = "ejected"     // a route that rests because connects to it failed
	StateDraining    State = "draining"    // a route that takes no new connections
	StateMaintenance State = "maintenance" // the same, and it ends those it has
)

// RouteStatus is what is known about a route. It is observed, never stored.
type RouteStatus struct {
	store.Route
	State       State
	Reason      string // of StateDown and StateEjected, as in the log
	Detail      string // the same for people, as far as it says more
	Since       time.Time
	Active      int
	Total       int64
	Failed      int64
	BytesIn     int64     // from clients
	BytesOut    int64     // to clients
	ClosesAt    time.Time // when a drain closes what is left; zero for never
	ConnectTime time.Duration
	Recent      RouteTraffic
	Checks      Checks        // of a name with several addresses those of the one that does best
	Addresses   []RouteStatus // of a route with a name, each with its address as Dest; empty for others
}

// Status is a frontend with what is known about it now.
type Status struct {
	Record      store.Frontend
	State       State
	Connections int // open now
	Waiting     int
	QueueLimit  int
	OldestWait  time.Duration // of the first in the queue
	Panic       bool          // health is ignored
	Total       int64
	BytesIn     int64
	BytesOut    int64
	Routes      []RouteStatus
	Removed     []RouteStatus // not in the frontend any more, while they finish what they have
	Samples     []Sample      // oldest first, one every two seconds, at most 5 minutes

	Certificates int       // neither revoked nor expired
	NextExpiry   time.Time // of the first of them; zero without any
}

// Status is a frontend with what is known about it now.
func (l *Live) Status(id string) (Status, bool) {
	f, known := l.frontends.get(id)
	if !known {
		return Status{}, false
	}
	return l.statusOf(f), true
}

// Statuses lists all frontends of a client, oldest first.
func (l *Live) Statuses(clientID string) []Status {
	var all []Status
	for _, f := range l.holdings.frontendsOf(clientID) {
		all = append(all, l.statusOf(f))
	}
	return all
}

func (l *Live) statusOf(f *frontend) Status {
	s := f.status(l.cfg.Now())
	s.Certificates, s.NextExpiry = l.holdings.goodOf(f.record.ClientID, f.record.UUID, l.cfg.Now())
	return s
}

func (f *frontend) status(now time.Time) Status {
	stats := f.pool.Stats()
	s := Status{
		Record: f.record, Connections: stats.Active, Waiting: stats.Waiting, Total: stats.Total,
		QueueLimit: stats.QueueLimit, OldestWait: stats.OldestWait, Panic: stats.Panic,
		BytesIn: stats.BytesIn, BytesOut: stats.BytesOut, Samples: f.seen.samples(),
	}
	s.Routes = f.routeStatuses(make([]RouteStatus, 0, len(f.record.Routes)), stats.Backends)
	for _, b := range stats.Removed {
		gone := routeStatus(store.Route{Dest: b.Addr, Weight: b.Weight, Backup: b.Backup}, stats.Removed)
		gone.State = StateDraining
		gone.Reason = ""
		gone.Detail = ""
		gone.Since = time.Time{}
		gone.Recent = f.seen.meter.traffic(now, &b)
		s.Removed = append(s.Removed, gone)
	}
	for i := range s.Routes {
		f.addRecent(&s.Routes[i], stats.Backends, now)
	}
	s.State = f.state(s.Routes)
	return s
}

// addRecent adds what a route did lately, all of its addresses together.
func (f *frontend) addRecent(r *RouteStatus, backends []lb.BackendStats, now time.Time) {
	best := -1
	for i := range r.Addresses {
		one := &r.Addresses[i]
		f.addRecent(one, backends, now)
		r.Recent.New += one.Recent.New
		r.Recent.Bytes += one.Recent.Bytes
		r.Recent.Failed += one.Recent.Failed
		r.Recent.Median = max(r.Recent.Median, one.Recent.Median)
		if usability[one.State] > best {
			best = usability[one.State]
			r.Checks = one.Checks
		}
	}
	if len(r.Addresses) > 0 {
		return
	}
	if i := slices.IndexFunc(backends, func(b lb.BackendStats) bool { return b.Addr == r.Dest }); i >= 0 {
		r.Recent = f.seen.meter.traffic(now, &backends[i])
		r.Checks = f.seen.checks.of(r.Dest)
	}
}

// routeStatuses appends the frontend's routes to all.
func (f *frontend) routeStatuses(all []RouteStatus, backends []lb.BackendStats) []RouteStatus {
	for _, route := range f.record.Routes {
		all = append(all, f.routeStatus(route, backends).withName(f.failing[route.Dest]))
	}
	return all
}

// withName says that the name of a route does not resolve. Where its last addresses work the route does
// too, for now; where it has none it cannot.
func (s RouteStatus) withName(failing lb.NameState) RouteStatus {
	if failing.Err == nil || s.Reason != "" && s.Reason != string(lb.ReasonBackendDNS) || s.State == StateDraining || s.State == StateMaintenance {
		return s
	}
	s.Reason = string(lb.ReasonBackendDNS)
	s.Detail = "the name does not resolve: " + lookUpError(failing.Err)
	s.Since = failing.FailsFrom
	if len(failing.Addresses) == 0 {
		s.State = StateDown
	} else {
		s.Detail += "; its last known addresses are used"
	}
	return s
}

// routeStatus sums up the addresses of a route that has a name.
func (f *frontend) routeStatus(route store.Route, backends []lb.BackendStats) RouteStatus {
	found := f.addresses[route.Dest]
	if nameOf(route.Dest) == "" || len(found) == 1 && found[0] == route.Dest {
		return routeStatus(route, backends)
	}
	sum := RouteStatus{Route: route, State: StateUnknown}
	for i, addr := range found {
		one := route
		one.Dest = addr
		s := routeStatus(one, backends)
		sum.Addresses = append(sum.Addresses, s)
		sum.Active += s.Active
		sum.Total += s.Total
		sum.Failed += s.Failed
		sum.BytesIn += s.BytesIn
		sum.BytesOut += s.BytesOut
		sum.ConnectTime = max(sum.ConnectTime, s.ConnectTime)
		sum.ClosesAt = s.ClosesAt
		if i == 0 || usability[s.State] > usability[sum.State] {
			sum.State = s.State
			sum.Reason = s.Reason
			sum.Detail = s.Detail
			sum.Since = s.Since
		}
	}
	return sum
}

// usability orders states: a route with a name is as good as the best of its addresses.
var usability = map[State]int{StateDown: 0, StateEjected: 1, StateMaintenance: 2, StateDraining: 3, StateUnknown: 4, StateUp: 5}

func routeStatus(route store.Route, all []lb.BackendStats) RouteStatus {
	status := RouteStatus{Route: route, State: StateUnknown}
	i := slices.IndexFunc(all, func(b lb.BackendStats) bool { return b.Addr == route.Dest })
	if i < 0 {
		return status
	}
	b := all[i]
	status.Active = b.Active
	status.Total = b.Total
	status.Failed = b.Failed
	status.BytesIn = b.BytesIn
	status.BytesOut = b.BytesOut
	status.ConnectTime = b.ConnectTime
	status.State, status.Reason, status.Since = routeState(b)
	if status.Reason != "" {
		status.Detail = b.Health.Detail
	}
	status.ClosesAt = b.ClosesAt
	return status
}

// routeState is what is known about a route: what its owner wants, then what checks found, then what the
// last connect says.
func routeState(b lb.BackendStats) (State, string, time.Time) {
	switch {
	case b.State == lb.Drain:
		return StateDraining, "", time.Time{}
	case b.State == lb.Maintenance:
		return StateMaintenance, "", time.Time{}
	case b.Health.State == lb.Down:
		return StateDown, string(b.Health.Reason), b.Health.Since
	case b.Health.State == lb.Ejected:
		return StateEjected, string(b.Health.Reason), b.Health.Since
	case b.LastErrorReason != "" && b.Health.State != lb.Up:
		return StateDown, string(b.LastErrorReason), b.LastErrorAt
	case b.Health.State == lb.Up || b.Total > 0:
		return StateUp, "", b.Health.Since
	}
	return StateUnknown, "", time.Time{}
}

// state sums the routes up. Without traffic nothing is known, and it says so.
func (f *frontend) state(routes []RouteStatus) State {
	if !f.record.Active {
		return StateOff
	}
	down := 0
	tried := 0
	for _, r := range routes {
		switch r.State {
		case StateDown, StateEjected:
			down += 1
			tried += 1
		case StateUp:
			tried++
		}
	}
	switch {
	case tried == 0 && f.record.FirstByteAt.IsZero():
		return StateWaiting
	case down > 0 && down == len(routes):
		return StateDown
	case down > 0:
		return StateDegraded
	}
	return StateUp
}
