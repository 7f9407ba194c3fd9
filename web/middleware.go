package web

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/handlers"
	"github.com/xdire/xlb/static"
)

const (
	// maxBody is a little over what the API allows, so that its own bound speaks first.
	maxBody = 1<<20 + 1<<10

	requestTimeout = 30 * time.Second
	// issueTimeout is for the requests that wait for a key to be made, up to a minute when many ask at once, and for an
	// import, which is long and has many steps.
	issueTimeout = 75 * time.Second

	contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; " +
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	permissionsPolicy = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
)

// requestInfo says where a request comes from, and gives it an id that joins its log lines. The address is
// the socket's: anybody can write a Forwarded header.
func (s *Server) requestInfo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := control.Actor{Via: "page", RequestID: requestID(r.Header.Get("X-Request-Id"))}
		if isAPI(r) {
			a.Via = "api"
		}
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			a.Address = from.Addr().Unmap().WithZone("")
		}
		a.Local = s.isLocal(r, a.Address)
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			a.Certificate = r.TLS.PeerCertificates[0]
		}
		w.Header().Set("X-Request-Id", a.RequestID)
		next.ServeHTTP(w, r.WithContext(control.WithActor(r.Context(), a)))
	})
}

// forwarding are the headers by which one who passes requests on says so.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// isLocal tells whether somebody on this machine sent a request. Through a forwarder all come from loopback: one that
// says so, or that asks for a name which is not this machine's, is not believed.
func (s *Server) isLocal(r *http.Request, from netip.Addr) bool {
	for _, name := range forwarding {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return from.IsLoopback() && s.control.IsOwnName(host)
}

// requestID takes the caller's id when it is harmless in a log, or makes one.
func requestID(given string) string {
	odd := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	}
	if given == "" || len(given) > 64 || strings.ContainsFunc(given, odd) {
		return rand.Text()
	}
	return given
}

// securityHeaders go with every answer. There is no HSTS: on localhost it would break whatever else is there.
func (s *Server) securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", permissionsPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write answers 200 when no status came before.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logAccess writes a line for each request: the path only, as a query may hold what people typed.
func (s *Server) logAccess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			a := control.ActorFrom(r.Context())
			s.log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", rec.status,
				"took", time.Since(started), "address", a.Address, "request", a.RequestID)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recoverPanics answers 500 and goes on serving.
func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { // how a handler says that the connection is to be cut
				panic(p)
			}
			s.log.ErrorContext(r.Context(), "panic", "path", r.URL.Path, "request", control.ActorFrom(r.Context()).RequestID,
				"panic", p, "stack", string(debug.Stack()))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			s.refuse(w, r, http.StatusInternalServerError, "")
		}()
		next.ServeHTTP(w, r)
	})
}

// deadlines bounds how long a request may take to arrive and to be answered. Event streams lift it themselves, once it is
// known who asks: before that anybody could hold a connection for ever.
func (s *Server) deadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var until time.Time
		switch path := r.URL.Path; {
		case isImport(r), strings.HasSuffix(path, "/tls"), strings.HasSuffix(path, "/certificate"), strings.HasSuffix(path, "/renew"):
			until = time.Now().Add(issueTimeout)
		default:
			until = time.Now().Add(requestTimeout)
		}
		// Both, for each request: the server's own time-outs are for whole connections, and HTTP/2 has many requests on one.
		out := http.NewResponseController(w)
		out.SetReadDeadline(until)
		out.SetWriteDeadline(until)
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses what another site makes a browser send. Programs send no Origin.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, http.StatusForbidden, "Another site sent this request.")
	}))
	return protection.Handler(next)
}

func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := int64(maxBody)
		if isImport(r) {
			most = handlers.MaxImportBody
		}
		// A length that is told is refused before a byte is read; one that is not comes to an end in the reader.
		if r.ContentLength > most {
			w.Header().Set("Connection", "close") // the rest is not worth reading
			s.refuse(w, r, http.StatusRequestEntityTooLarge, "")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		next.ServeHTTP(w, r)
	})
}

// identify finds out who asks: a bearer token counts on the API only, a cookie on pages only.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.whoIs(r)
		if err == nil {
			err = s.allow(r, who)
		}
		if err != nil {
			s.refuseWith(w, r, err)
			return
		}
		if who.ClientID != "" {
			r = r.WithContext(control.WithActor(r.Context(), control.ActorFrom(r.Context()).As(who)))
		}
		next.ServeHTTP(w, r)
	})
}

// refuseWith answers what an operation refused, in the words of the face that was asked.
func (s *Server) refuseWith(w http.ResponseWriter, r *http.Request, err error) {
	if isAPI(r) {
		handlers.WriteProblem(w, r, s.log, err)
		return
	}
	s.pages.Fail(w, r, err)
}

// whoIs returns nobody for a request without credentials. On pages an ended session is nobody too.
func (s *Server) whoIs(r *http.Request) (control.Actor, error) {
	// A cookie on the API is not looked at: it comes with whatever another site makes a browser send.
	if isAPI(r) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return control.Actor{}, nil
		}
		return s.control.TokenActor(r.Context(), strings.TrimSpace(token))
	}
	if strings.HasPrefix(r.URL.Path, static.Prefix) { // everybody's, and the same for all: no look at the store for a font
		return control.Actor{}, nil
	}
	id := s.session.id(r)
	if id == "" {
		return control.Actor{}, nil
	}
	a, err := s.control.SessionActor(r.Context(), id)
	if control.KindOf(err) == control.KindUnauthenticated {
		return control.Actor{}, nil // the page leads to the log-in, where an error page would lead nowhere
	}
	return a, err
}

func (s *Server) allow(r *http.Request, who control.Actor) error {
	if !isAPI(r) && strings.HasPrefix(r.URL.Path, static.Prefix) {
		return nil
	}
	return s.control.AllowRequest(who)
}

// dropBody ends the connection with the answer, soon: nobody waits for what was announced.
func dropBody(w http.ResponseWriter) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
	w.Header().Set("Connection", "close")
}

// streamsAlone refuses a body with the request for a stream. A stream has no time-out while it lasts, and would wait for one
// that never comes.
func (s *Server) streamsAlone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isStream(r.URL.Path) && r.ContentLength != 0 {
			dropBody(w)
			if control.ActorFrom(r.Context()).ClientID != "" {
				s.refuse(w, r, http.StatusBadRequest, "A stream of events takes no body.")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// untilShutdown ends a stream when the server stops.
func (s *Server) untilShutdown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isStream(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.streams, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
