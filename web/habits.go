package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// What HTTP clients take for granted (RFC 9110): HEAD wherever there is GET, OPTIONS, conditional requests, and
// the way from a path with a slash too many.

// getOnly tells whether a path has no HEAD: GET makes something new there, as the contract wants, or does not end.
func getOnly(path string) bool {
	return isAPIPath(path) && strings.HasSuffix(path, "/tls") || isStream(path)
}

// headAsGet routes HEAD as GET where there is no route of its own. net/http leaves the body out.
func headAsGet(routes chi.Routes) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && isAPI(r) && !getOnly(r.URL.Path) && routes.Match(chi.NewRouteContext(), http.MethodGet, r.URL.Path) {
				chi.RouteContext(r.Context()).RouteMethod = http.MethodGet
			}
			next.ServeHTTP(w, r)
		})
	}
}

// allowed lists the methods of a path.
func allowed(routes chi.Routes, path string) (all []string) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if routes.Match(chi.NewRouteContext(), method, path) {
			all = append(all, method)
		}
		if method == http.MethodHead && slices.Contains(all, http.MethodGet) && !slices.Contains(all, http.MethodHead) && isAPIPath(path) && !getOnly(path) {
			all = append(all, http.MethodHead)
		}
	}
	return all
}

// methodNotAllowed lists what is allowed, which chi does only while it writes the answer itself; OPTIONS asks for
// nothing else.
func (s *Server) methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		methods := append(allowed(routes, r.URL.Path), http.MethodOptions)
		w.Header().Set("Allow", strings.Join(methods, ", "))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.refuse(w, r, http.StatusMethodNotAllowed, "Use one of the methods in the Allow header.")
	}
}

// notFound leads from a path with a slash at its end to the one without, if that is there.
func (s *Server) notFound(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		short := strings.TrimRight(r.URL.Path, "/")
		if short != r.URL.Path && len(short) > 1 && short[1] != '/' && len(allowed(routes, short)) > 0 {
			target := *r.URL
			target.Scheme = ""
			target.Host = ""
			target.Path = short
			target.RawPath = ""
			http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
			return
		}
		s.refuse(w, r, http.StatusNotFound, "")
	}
}

// conditional answers 304 to a GET of the API whose answer the client has already.
func conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if known := r.Header.Get("If-None-Match"); known != "" && isAPI(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			w = &notModified{ResponseWriter: w, known: known}
		}
		next.ServeHTTP(w, r)
	})
}

// notModified leaves an answer out whose entity tag is known. It compares weakly (RFC 9110, section 13.1.2).
type notModified struct {
	http.ResponseWriter
	known string
	began bool
	empty bool
}

// WriteHeader decides.
func (n *notModified) WriteHeader(status int) {
	tag := n.Header().Get("ETag")
	if !n.began && status == http.StatusOK && tag != "" && n.has(tag) {
		n.empty = true
		n.Header().Del("Content-Type")
		n.Header().Del("Content-Length")
		status = http.StatusNotModified
	}
	n.began = true
	n.ResponseWriter.WriteHeader(status)
}

func (n *notModified) has(tag string) bool {
	for one := range strings.SplitSeq(n.known, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// Write leaves the body out.
func (n *notModified) Write(p []byte) (int, error) {
	if !n.began {
		n.WriteHeader(http.StatusOK)
	}
	if n.empty {
		return len(p), nil
	}
	return n.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (n *notModified) Unwrap() http.ResponseWriter { return n.ResponseWriter }
