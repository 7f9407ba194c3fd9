package web

import (
	"strings"

	"github.com/xdire/xlb/control"
)

// The label client is the client's uuid, frontend the frontend's, route the address of a route. The name
// of a frontend is in xlb_frontend_info alone: it may change, and every series would change with it.
var (
	frontendInfo        = describe("frontend_info", "Always 1; joins a frontend's uuid with its name.", "client", "frontend", "name")
	frontendState       = describe("frontend_state", "1 for the state that the frontend is in; other states have no series.", "client", "frontend", "state")
	frontendActive      = describe("frontend_active", "Connections that have a route now.", "client", "frontend")
	frontendWaiting     = describe("frontend_waiting", "Connections that wait for a free route.", "client", "frontend")
	frontendAccepted    = describe("frontend_connections_accepted_total", "Connections that the certificate let in.", "client", "frontend")
	frontendConnections = describe("frontend_connections_total", "Connections that were let in and have ended, by why.", "reason", "client", "frontend")
	frontendRefused     = describe("frontend_refused_total", "Connections turned away with a certificate of the frontend; nobody has shown that they held its key.", "reason", "client", "frontend")
	frontendBytes       = describe("frontend_bytes_total", "Bytes: in is from clients, out is to them. Counts while connections are open.", "client", "frontend", "direction")
	frontendWait        = describe("frontend_wait_seconds", "Time that connections waited for a free route.", "client", "frontend")
	frontendDuration    = describe("frontend_connection_seconds", "Time from accept to end of connections that a route took.", "client", "frontend")

	certificates      = describe("certificates", "Certificates that are neither revoked nor expired.", "client", "frontend")
	certificateExpiry = describe("certificate_expiry_timestamp_seconds", "When the first of the valid certificates expires.", "client", "frontend")
	certificateLast   = describe("certificate_last_expiry_timestamp_seconds", "When the last of the valid certificates expires.", "client", "frontend")

	routeUp          = describe("route_up", "1 while the route answers, 0 while it is down or ejected; no series while that is unknown or its owner has taken it out.", "frontend", "route")
	routeActive      = describe("route_connections_active", "Connections of the route open now.", "frontend", "route")
	routeConnections = describe("route_connections_total", "Connections that the route took.", "frontend", "route")
	routeFailed      = describe("route_connect_failures_total", "Connects to the route that failed.", "frontend", "route")
	routeBytes       = describe("route_bytes_total", "Bytes: in is from clients, out is to them. Counts while connections are open.", "frontend", "route", "direction")
	routeConnect     = describe("route_connect_seconds", "Time that successful connects to the route took.", "frontend", "route")
)

func (s sink) frontend(f *control.FrontendMetrics) {
	client := f.ClientID
	id := f.ID
	s.gauge(frontendInfo, 1, client, id, strings.ToValidUTF8(f.Name, "?"))
	s.gauge(frontendState, 1, client, id, string(f.State))
	s.gauge(frontendActive, float64(f.Active), client, id)
	s.gauge(frontendWaiting, float64(f.Waiting), client, id)
	s.counter(frontendAccepted, float64(f.Accepted), client, id)
	s.reasons(frontendConnections, f.Closed, client, id)
	s.reasons(frontendRefused, f.Refused, client, id)
	s.counter(frontendBytes, float64(f.BytesIn), client, id, "in")
	s.counter(frontendBytes, float64(f.BytesOut), client, id, "out")
	s.histogram(frontendWait, &f.Wait, client, id)
	s.histogram(frontendDuration, &f.Duration, client, id)
	s.certificates(&f.Certificates, client, id)
	for i := range f.Routes {
		s.route(&f.Routes[i], id)
	}
}

func (s sink) certificates(m *control.CertificateMetrics, client, frontend string) {
	s.gauge(certificates, float64(m.Valid), client, frontend)
	if m.Valid > 0 {
		s.gauge(certificateExpiry, float64(m.First.Unix()), client, frontend)
		s.gauge(certificateLast, float64(m.Last.Unix()), client, frontend)
	}
}

func (s sink) route(r *control.RouteMetrics, frontend string) {
	dest := strings.ToValidUTF8(r.Dest, "?")
	switch r.State {
	case control.StateUp:
		s.gauge(routeUp, 1, frontend, dest)
	case control.StateDown, control.StateEjected:
		s.gauge(routeUp, 0, frontend, dest)
	}
	s.gauge(routeActive, float64(r.Active), frontend, dest)
	s.counter(routeConnections, float64(r.Total), frontend, dest)
	s.counter(routeFailed, float64(r.Failed), frontend, dest)
	s.counter(routeBytes, float64(r.BytesIn), frontend, dest, "in")
	s.counter(routeBytes, float64(r.BytesOut), frontend, dest, "out")
	s.histogram(routeConnect, &r.Connect, frontend, dest)
}
