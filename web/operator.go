package web

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/handlers"
	"github.com/xdire/xlb/internal/relay"
)

// adminPrefix is what is answered on the operator's socket.
const adminPrefix = "/api/v1/admin/"

// ServeOperator answers the administrator's part of the API on l until ctx ends, without a log-in: l has to be a socket
// that only those can reach who run the server. It has none of the shares of the other ports, so it works when these are
// full and when everybody is locked out.
func (s *Server) ServeOperator(ctx context.Context, l net.Listener) error {
	srv := s.newHTTP(s.OperatorHandler())
	return s.serveUntil(ctx, srv, func() error { return srv.Serve(l) })
}

// OperatorHandler is what ServeOperator answers with.
func (s *Server) OperatorHandler() http.Handler {
	r := chi.NewRouter()
	r.Use(s.operatorInfo, s.logAccess, s.recoverPanics, s.deadlines, s.limitBody, s.adminOnly)
	// These are here and nowhere else.
	r.Get(adminPrefix+"backup", s.backup)
	r.Post(adminPrefix+"reload", s.reload)
	r.Get(relay.Path, s.changes)
	handlers.RegisterAPI(humachi.New(r, handlers.APIConfig(s.cfg.Version)), s.control, s.log)
	r.NotFound(s.notFound(r))
	r.MethodNotAllowed(s.methodNotAllowed(r))
	return r
}

func (s *Server) operatorInfo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := control.Actor{Operator: true, Via: "command", RequestID: requestID(r.Header.Get("X-Request-Id"))}
		w.Header().Set("X-Request-Id", a.RequestID)
		next.ServeHTTP(w, r.WithContext(control.WithActor(r.Context(), a)))
	})
}

// adminOnly hides everything else: what is open to strangers would be done in nobody's name.
func (s *Server) adminOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, adminPrefix) {
			s.refuse(w, r, http.StatusNotFound, "Through this socket one administers, and nothing else.")
			return
		}
		next.ServeHTTP(w, r)
	})
}
