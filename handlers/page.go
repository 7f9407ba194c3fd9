package handlers

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/turns"
	"github.com/xdire/xlb/views"
)

// Sessions keeps browsers logged in. The package that serves implements it.
type Sessions interface {
	// Start logs the browser in as a client and gives it a new session id. It must come before the body.
	Start(w http.ResponseWriter, r *http.Request, clientID string) error
	// End logs the browser out. It must come before the body.
	End(w http.ResponseWriter, r *http.Request) error
	// Forget takes the session out of the browser, of a client that is not there any more.
	Forget(w http.ResponseWriter, r *http.Request) error
}

// PagesConfig is what [NewPages] needs. All fields must be set unless they say otherwise.
type PagesConfig struct {
	Control  *control.Control
	Sessions Sessions
	// Asset returns the URL of a static file, with the hash of its content.
	Asset func(name string) string
	// Log receives the failures that a page hides from its reader. Nil discards.
	Log *slog.Logger
	// Version marks the build; an open page that hears of another one says so.
	Version string
}

// Pages is the face for people: forms in, HTML out.
type Pages struct {
	PagesConfig
	streams   streamTable
	rendering turns.Turns
}

// NewPages returns the pages over a control.
func NewPages(cfg PagesConfig) *Pages {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pages{PagesConfig: cfg}
	// A long page takes as much of the processor as a hundred handshakes: half of it is left to the balancer.
	p.rendering.Slots = max(1, runtime.GOMAXPROCS(0)/2)
	return p
}

// Route is one page.
type Route struct {
	Method, Pattern string
	Open            bool // no log-in needed
	Handler         http.HandlerFunc
}

// Routes lists all pages. Nothing changes on GET.
func (p *Pages) Routes() []Route {
	get := func(pattern string, h pageFunc) Route {
		return Route{Method: "GET", Pattern: pattern, Handler: p.shared(p.page(h))}
	}
	post := func(pattern string, h pageFunc) Route {
		return Route{Method: "POST", Pattern: pattern, Handler: p.page(h)}
	}
	open := func(r Route) Route { r.Open = true; return r }
	return []Route{
		open(get("/signup", p.signupForm)),
		open(post("/signup", p.signup)),
		open(get("/login", p.loginForm)),
		open(post("/login", p.login)),
		post("/logout", p.logout),
		open(post("/account/theme", p.setTheme)),

		get("/", p.overview),
		get("/frontends", p.frontends),
		get("/frontends/new", p.newForm),
		post("/frontends/new", p.create),
		post("/frontends/check-route", p.checkRoute),
		get("/frontends/{uuid}", p.frontend),
		get("/frontends/{uuid}/route", p.routeQuestion),
		post("/frontends/{uuid}/route", p.setRoute),
		get("/frontends/{uuid}/certificates", p.frontendCertificates),
		get("/frontends/{uuid}/certificate", p.certificateForm),
		post("/frontends/{uuid}/certificate", p.issueBundle),
		get("/frontends/{uuid}/certificates/revoke", p.revokeBeforeForm),
		post("/frontends/{uuid}/certificates/revoke", p.revokeBefore),
		get("/frontends/{uuid}/certificates/{serial}", p.certificate),
		post("/frontends/{uuid}/certificates/{serial}/renew", p.renewBundle),
		get("/frontends/{uuid}/certificates/{serial}/revoke", p.revokeForm),
		post("/frontends/{uuid}/certificates/{serial}/revoke", p.revoke),
		get("/frontends/{uuid}/connect", p.connect),
		get("/frontends/{uuid}/connections", p.connections),
		post("/frontends/{uuid}/connections", p.closeConnections),
		get("/frontends/{uuid}/refused", p.refused),
		get("/frontends/{uuid}/test", p.testForm),
		post("/frontends/{uuid}/test", p.runTest),
		get("/frontends/{uuid}/settings", p.settingsForm),
		post("/frontends/{uuid}/settings", p.saveSettings),
		get("/frontends/{uuid}/revisions/{number}", p.revisionForm),
		post("/frontends/{uuid}/revisions/{number}", p.restore),
		get("/frontends/{uuid}/off", p.switchOffForm),
		post("/frontends/{uuid}/off", p.switchOff),
		post("/frontends/{uuid}/on", p.switchOn),
		get("/frontends/{uuid}/delete", p.deleteForm),
		post("/frontends/{uuid}/delete", p.deleteFrontend),
		get("/certificates", p.certificates),
		get("/certificates/new", p.newCertificateForm),
		post("/certificates/new", p.issueBundle),
		get("/activity", p.activity),
		get("/activity.csv", p.exportActivity),
		get("/account", p.account),
		post("/account", p.rename),
		post("/account/key", p.replaceKey),
		post("/account/shortcuts", p.setShortcuts),
		get("/account/delete", p.deleteAccountForm),
		post("/account/delete", p.deleteAccount),
		post("/account/sessions", p.endSessions),
		post("/account/sessions/{id}", p.endSession),
		post("/account/keys", p.createKey),
		get("/account/keys/{id}", p.revokeKeyForm),
		post("/account/keys/{id}", p.revokeKey),
		get("/admin", p.admin),
		post("/admin/invites", p.createInvite),
		post("/admin/invites/{id}", p.deleteInvite),
		get("/admin/authorities", p.authorities),
		post("/admin/authorities", p.addAuthority),
		post("/admin/authorities/{id}", p.changeAuthority),
		get("/admin/clients/{uuid}", p.adminClient),
		post("/admin/clients/{uuid}", p.changeClient),
		get("/admin/clients/{uuid}/delete", p.deleteClientForm),
		post("/admin/clients/{uuid}/delete", p.deleteClient),
		post("/events/view", p.turnStream),
		{Method: "GET", Pattern: "/events", Handler: p.page(p.events)}, // shares each time that it renders
	}
}

// pageFunc answers a request, or returns why it cannot: one place turns that into an error page.
type pageFunc func(w http.ResponseWriter, r *http.Request) error

func (p *Pages) page(h pageFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if err := r.ParseForm(); err != nil {
				p.Error(w, r, formStatus(err))
				return
			}
		}
		if err := h(w, r); err != nil { // nothing has been written: pages are made before they are sent
			p.Fail(w, r, err)
		}
	}
}

// compressed is for answers to GET alone: what shows a secret is an answer to POST, and how well a secret compresses
// beside a reader's own words tells it to whoever can see lengths (BREACH, CVE-2013-3587). Tables shrink to a tenth.
var compressed = func() func(http.Handler) http.HandlerFunc {
	wrapper, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return wrapper
}()

// shared makes a page in its turn: few are made at once, and clients come round. To send it is not part of that, because
// readers may be slow.
func (p *Pages) shared(page http.HandlerFunc) http.HandlerFunc {
	next := compressed(page)
	return func(w http.ResponseWriter, r *http.Request) {
		if err := p.rendering.Take(r.Context(), control.ActorFrom(r.Context()).ClientID); err != nil {
			p.Fail(w, r, err)
			return
		}
		made := &madePage{ResponseWriter: w}
		func() {
			defer p.rendering.Pass()
			next(made, r)
		}()
		made.send()
	}
}

// madePage keeps an answer until it is complete.
type madePage struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader keeps the status.
func (m *madePage) WriteHeader(status int) { m.status = status }

// Write keeps a part of the body.
func (m *madePage) Write(p []byte) (int, error) { return m.body.Write(p) }

func (m *madePage) send() {
	if m.status != 0 {
		m.ResponseWriter.WriteHeader(m.status)
	}
	m.ResponseWriter.Write(m.body.Bytes()) // fails only when there is nobody to tell
}

func formStatus(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// Fail shows the error page for what an operation returned.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	problems := control.Problems(err)
	if r.Context().Err() != nil { // the browser has gone on: nobody reads an answer
		p.Log.DebugContext(r.Context(), "page aborted", "path", r.URL.Path, "request", control.ActorFrom(r.Context()).RequestID)
		return
	}
	if len(problems) == 0 {
		p.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "request", control.ActorFrom(r.Context()).RequestID, "error", err)
		p.Error(w, r, http.StatusInternalServerError)
		return
	}
	if problems[0].Kind == control.KindUnauthenticated { // the session ended between identifying and the operation
		http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.Path}}.Encode(), http.StatusSeeOther)
		return
	}
	setRetryAfter(w, problems[0])
	p.showError(w, r, statusOf(problems[0]), problems[0].Message)
}

// Error shows the error page for a status, with the request id and two ways on.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, status int) {
	p.showError(w, r, status, "")
}

// show renders a page. A page of somebody's own is kept by no cache.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, c templ.Component) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	forgetNotice(w, r)
	w.WriteHeader(status)
	return c.Render(r.Context(), w)
}

// base is what every page shows around its content.
func (p *Pages) base(r *http.Request, title, nav string) views.Page {
	a := control.ActorFrom(r.Context())
	page := views.Page{
		Title: title, Nav: nav, Endpoint: p.Control.Endpoint(), Asset: p.Asset, Theme: theme(r), KeysOff: shortcutsOff(r),
		Now: time.Now(), RequestID: a.RequestID, Flash: noticeText(r), Toast: noticeIsToast(r),
	}
	if a.ClientID != "" {
		page.Client.ID = a.ClientID
		if client, err := p.Control.OwnClient(r.Context()); err == nil {
			page.Client.Name = client.Name
			page.Admin = client.Admin
		}
		if frontends, certificates, err := p.Control.Count(r.Context()); err == nil {
			page.Frontends = frontends
			page.Certs = certificates
		}
	}
	return page
}

// cookieOf is a cookie of a page: for this server alone, and for no script. age is in seconds, negative to forget it.
func cookieOf(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// preferenceAge is how long a browser remembers what was chosen in it, in seconds.
const preferenceAge = 30 * 24 * 3600

// preference is what was chosen in this browser last time; empty for nothing.
func preference(r *http.Request, cookie string) string {
	if c, err := r.Cookie(cookie); err == nil {
		return c.Value
	}
	return ""
}

const themeCookie = "xlb-theme"

func theme(r *http.Request) string {
	if chosen := preference(r, themeCookie); chosen == "light" || chosen == "dark" {
		return chosen
	}
	return ""
}

func (p *Pages) setTheme(w http.ResponseWriter, r *http.Request) error {
	choice := r.PostForm.Get("theme")
	age := 365 * 24 * 3600
	if choice != "light" && choice != "dark" {
		choice = ""
		age = -1 // the system's
	}
	http.SetCookie(w, cookieOf(themeCookie, choice, age))
	http.Redirect(w, r, local(r.PostForm.Get("next"), "/account"), http.StatusSeeOther)
	return nil
}

// local returns a path on this server, never another site's: the text comes from the URL.
func local(path, otherwise string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return otherwise
	}
	return path
}

// fieldErrors sorts what is wrong by field, and returns false when err is anything but wrong values.
func fieldErrors(err error) (map[string]string, bool) {
	problems := control.Problems(err)
	byField := map[string]string{}
	for _, problem := range problems {
		if problem.Kind != control.KindInvalid && problem.Kind != control.KindLimit && problem.Kind != control.KindForbidden {
			return nil, false
		}
		if byField[problem.Field] == "" {
			byField[problem.Field] = problem.Message
		}
	}
	return byField, len(problems) > 0
}
