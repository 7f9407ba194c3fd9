package web

import (
	"context"
	"net/http"
	"net/http/pprof"
	"time"
)

// readyTimeout bounds one look at whether the store answers.
const readyTimeout = 2 * time.Second

// OpsHandler answers health checks, scrapes and profiles. It asks for no credentials: keep its port private.
func (s *Server) OpsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", metricsOf(s.control.ReadMetrics, s.cfg))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// ready tells whether new work may come.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		writeText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	degraded, err := s.control.Ready(ctx)
	switch {
	case err != nil:
		writeText(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
	case degraded != nil: // connections are served, so they may come
		writeText(w, http.StatusOK, "degraded: "+degraded.Error())
	default:
		writeText(w, http.StatusOK, "ready")
	}
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write([]byte(text + "\n"))
}
