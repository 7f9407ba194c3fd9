package web

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// readyTimeout bounds one look at whether the store answers.
const readyTimeout = 2 * time.Second

// OpsHandler answers health checks, scrapes and, where they are asked for, profiles. It asks for no credentials: keep its
// port private.
func (s *Server) OpsHandler() http.Handler {
	mux := http.NewServeMux()
	// It says that the process answers, and asks nothing else: a restart mends no store and no route.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", metricsOf(s.control.ReadMetrics, s.cfg))
	if s.cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return withoutBody(s.askedByName(mux))
}

// withoutBody lets no request wait for a body that never comes: answers of this port have no time-out, since profiles and
// scrapes take as long as they take.
func withoutBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.URL.Path == "/debug/pprof/symbol" { // go tool pprof asks with one
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(readHeaderTimeout))
			next.ServeHTTP(w, r)
			return
		}
		if r.ContentLength != 0 {
			dropBody(w)
			writeText(w, http.StatusBadRequest, "no request here has a body")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// askedByName refuses requests for names that are not the operations port's. A page in a browser can make its own name
// mean this machine (DNS rebinding), and would read the answers as its own.
func (s *Server) askedByName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil && host != "localhost" && !slices.Contains(s.cfg.OpsHosts, host) {
			writeText(w, http.StatusMisdirectedRequest, "ask by an address, as localhost, or by a name of -ops-host")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ready tells whether new work may come.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		writeText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	stale, degraded := s.control.Ready(ctx)
	switch { // connections are served, so they may come
	case stale > 0:
		writeText(w, http.StatusOK, fmt.Sprintf("degraded: connections are served as things were %.0f s ago: %v", math.Ceil(stale.Seconds()), degraded))
	case degraded != nil:
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
