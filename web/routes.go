package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/handlers"
	"github.com/xdire/xlb/static"
)

// routes is the whole server on one screen. The operations of the API add themselves under /api/v1,
// see handlers; the pages are listed in handlers.Pages.Routes.
func (s *Server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(
		s.requestInfo,     // request id, address
		s.securityHeaders, // on every answer, errors too
		s.logAccess,
		s.recoverPanics,
		s.deadlines,
		s.sameOrigin,
		s.limitBody,
		s.untilShutdown, // event streams
		s.identify,      // bearer on /api, cookie on pages
		s.welcome,
		s.boundInFlight,
		s.streamsAlone,
		headAsGet(r),
		conditional,
	)
	handlers.RegisterAPI(humachi.New(r, handlers.APIConfig(s.cfg.Version)), s.control, s.log)

	for _, page := range s.pages.Routes() {
		handler := page.Handler
		if !page.Open {
			handler = s.needsLogin(handler)
		}
		r.Method(page.Method, page.Pattern, handler)
		if page.Method == http.MethodGet && page.Pattern != eventsPath {
			r.Method(http.MethodHead, page.Pattern, handler)
		}
	}
	r.Get(static.Prefix+"*", s.serveStatic)
	r.Head(static.Prefix+"*", s.serveStatic)

	r.NotFound(s.notFound(r))
	r.MethodNotAllowed(s.methodNotAllowed(r))
	return r
}

const (
	eventsPath    = "/events"
	apiEventsPath = handlers.EventsURL
)

// isImport tells whether a request brings a file of frontends, which may be longer than all other bodies.
func isImport(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == handlers.ImportURL
}

// isStream tells whether an answer on a path goes on until one side ends it.
func isStream(path string) bool { return path == eventsPath || path == apiEventsPath }

func isAPI(r *http.Request) bool { return isAPIPath(r.URL.Path) }

func isAPIPath(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// refuse answers with a status in the words of the face that was asked.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	if isAPI(r) {
		handlers.WriteStatus(w, r, status, detail)
		return
	}
	s.pages.Error(w, r, status)
}

// needsLogin sends browsers that are not logged in to the log-in page, and back afterwards.
func (s *Server) needsLogin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case control.ActorFrom(r.Context()).ClientID != "":
			next(w, r)
		case r.URL.Path == eventsPath:
			s.refuse(w, r, http.StatusUnauthorized, "") // a script asks; a redirect would hide the reason
		// Who tries XLB out has no client yet: the way in is to make one. A browser that was here before goes to the log-in.
		case r.URL.Path == "/" && s.control.IsLocal(r.Context()) && !wasHere(r):
			http.Redirect(w, r, "/signup", http.StatusSeeOther)
		case r.Method == http.MethodGet && r.URL.Path != "/":
			http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		default:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		}
	}
}
