package web

import (
	"slices"
	"time"

	"github.com/xdire/xlb/control"
)

// The label client is the client's uuid, frontend the frontend's, route the address of a route. The name
// of a frontend is in xlb_frontend_info alone: it may change, and every series would change with it.
var (
	frontendInfo        = describe("gauge", "frontend_info", "Always 1; joins a frontend's uuid with its name.", "client", "frontend", "name")
	frontendState       = describe("gauge", "frontend_state", "1 for the state that the frontend is in; other states have no series.", "client", "frontend", "state")
	frontendActive      = describe("gauge", "frontend_active", "Connections that have a route now.", "client", "frontend")
	frontendWaiting     = describe("gauge", "frontend_waiting", "Connections that wait for a free route.", "client", "frontend")
	frontendAccepted    = describe("counter", "frontend_connections_accepted_total", "Connections that the certificate let in.", "client", "frontend")
	frontendConnections = describe("counter", "frontend_connections_total", "Connections that were let in and have ended, by why.", "client", "frontend", "reason")
	frontendRefused     = describe("counter", "frontend_refused_total", "Connections turned away with a certificate of the frontend; nobody has shown that they held its key.", "client", "frontend", "reason")
	frontendBytes       = describe("counter", "frontend_bytes_total", "Bytes: in is from clients, out is to them. Counts while connections are open.", "client", "direction", "frontend")
	frontendWait        = describe("histogram", "frontend_wait_seconds", "Time that connections waited for a free route.", "client", "frontend")
	frontendDuration    = describe("histogram", "frontend_connection_seconds", "Time from accept to end of connections that a route took.", "client", "frontend")

	certificates      = describe("gauge", "certificates", "Certificates that are neither revoked nor expired.", "client", "frontend")
	certificateExpiry = describe("gauge", "certificate_expiry_timestamp_seconds", "When the first of the valid certificates expires.", "client", "frontend")
	certificateLast   = describe("gauge", "certificate_last_expiry_timestamp_seconds", "When the last of the valid certificates expires.", "client", "frontend")

	routeUp          = describe("gauge", "route_up", "1 while the route answers, 0 while it is down or ejected; no series while that is unknown or its owner has taken it out.", "frontend", "route")
	routeActive      = describe("gauge", "route_connections_active", "Connections of the route open now.", "frontend", "route")
	routeConnections = describe("counter", "route_connections_total", "Connections that the route took.", "frontend", "route")
	routeFailed      = describe("counter", "route_connect_failures_total", "Connects to the route that failed.", "frontend", "route")
	routeBytes       = describe("counter", "route_bytes_total", "Bytes: in is from clients, out is to them. Counts while connections are open.", "direction", "frontend", "route")
	routeConnect     = describe("histogram", "route_connect_seconds", "Time that successful connects to the route took.", "frontend", "route")
)

// row is what series are written of: a frontend, or the sum of all of a client's, or of all that there are.
type row struct {
	labels pairs
	isSum  bool
	states [len(frontendStates)]int // how many frontends are in each
	*control.FrontendMetrics
}

// frontendStates are those that a frontend can be in.
var frontendStates = [...]control.State{control.StateUp, control.StateDegraded, control.StateDown, control.StateWaiting, control.StateOff}

func (r *row) count(state control.State) {
	if i := slices.Index(frontendStates[:], state); i >= 0 {
		r.states[i]++
	}
}

// writeFrontends writes all series of frontends and routes, family by family.
func writeFrontends(e *exposition, frontends []control.FrontendMetrics, detail MetricsDetail) {
	var sums []row
	if detail == MetricsOfClients || detail == MetricsInTotal {
		sums = sumsOf(frontends, detail == MetricsOfClients)
		frontends = nil
	}
	var r row // one for all: it would be made anew for each family of each frontend
	for _, family := range frontendFamilies {
		for i := range sums {
			family(e, &sums[i])
		}
		for i := range frontends {
			f := &frontends[i]
			r = row{labels: pairs{"client", f.ClientID, "frontend", f.ID}, FrontendMetrics: f}
			r.count(f.State)
			family(e, &r)
		}
	}
}

// frontendFamilies writes one family each for a row. States are always there; what counts is left out while it is zero,
// so that thousands of frontends without traffic cost little.
var frontendFamilies = []func(*exposition, *row){
	func(e *exposition, r *row) {
		if !r.isSum {
			e.gauge(frontendInfo, 1, r.labels, "name", r.Name)
		}
	},
	func(e *exposition, r *row) {
		for i, n := range r.states {
			if n > 0 {
				e.gauge(frontendState, float64(n), r.labels, "state", string(frontendStates[i]))
			}
		}
	},
	func(e *exposition, r *row) { e.gauge(frontendActive, float64(r.Active), r.labels) },
	func(e *exposition, r *row) { e.gauge(frontendWaiting, float64(r.Waiting), r.labels) },
	func(e *exposition, r *row) { e.counted(frontendAccepted, float64(r.Accepted), r.labels) },
	func(e *exposition, r *row) { e.reasons(frontendConnections, r.Closed, r.labels) },
	func(e *exposition, r *row) { e.reasons(frontendRefused, r.Refused, r.labels) },
	func(e *exposition, r *row) {
		e.counted(frontendBytes, float64(r.BytesIn), r.labels, "direction", "in")
		e.counted(frontendBytes, float64(r.BytesOut), r.labels, "direction", "out")
	},
	func(e *exposition, r *row) { e.measured(frontendWait, &r.Wait, r.labels) },
	func(e *exposition, r *row) { e.measured(frontendDuration, &r.Duration, r.labels) },
	func(e *exposition, r *row) { e.gauge(certificates, float64(r.Certificates.Valid), r.labels) },
	func(e *exposition, r *row) { e.moment(certificateExpiry, r.Certificates.First, r.labels) },
	func(e *exposition, r *row) { e.moment(certificateLast, r.Certificates.Last, r.labels) },
	ofRoutes(func(e *exposition, r *control.RouteMetrics, labels pairs) {
		switch r.State { // of a sum it is empty
		case control.StateUp:
			e.gauge(routeUp, 1, labels)
		case control.StateDown, control.StateEjected:
			e.gauge(routeUp, 0, labels)
		}
	}),
	ofRoutes(func(e *exposition, r *control.RouteMetrics, labels pairs) {
		e.gauge(routeActive, float64(r.Active), labels)
	}),
	ofRoutes(func(e *exposition, r *control.RouteMetrics, labels pairs) {
		e.counted(routeConnections, float64(r.Total), labels)
	}),
	ofRoutes(func(e *exposition, r *control.RouteMetrics, labels pairs) {
		e.counted(routeFailed, float64(r.Failed), labels)
	}),
	ofRoutes(func(e *exposition, r *control.RouteMetrics, labels pairs) {
		e.counted(routeBytes, float64(r.BytesIn), labels, "direction", "in")
		e.counted(routeBytes, float64(r.BytesOut), labels, "direction", "out")
	}),
	ofRoutes(func(e *exposition, r *control.RouteMetrics, labels pairs) {
		e.measured(routeConnect, &r.Connect, labels)
	}),
}

func ofRoutes(write func(*exposition, *control.RouteMetrics, pairs)) func(*exposition, *row) {
	return func(e *exposition, r *row) {
		for i := range r.Routes {
			labels := r.labels
			if !r.isSum {
				labels = pairs{"frontend", r.ID, "route", r.Routes[i].Dest}
			}
			write(e, &r.Routes[i], labels)
		}
	}
}

// counted writes a counter that has counted something.
func (e *exposition) counted(m *metric, value float64, labels pairs, more ...string) {
	if value != 0 {
		e.counter(m, value, labels, more...)
	}
}

// measured writes a histogram that has measured something.
func (e *exposition) measured(m *metric, h *control.Histogram, labels pairs) {
	if h.Count > 0 {
		e.histogram(m, h, labels)
	}
}

// moment writes a time, unless there is none.
func (e *exposition) moment(m *metric, at time.Time, labels pairs) {
	if !at.IsZero() {
		e.gauge(m, float64(at.Unix()), labels)
	}
}
