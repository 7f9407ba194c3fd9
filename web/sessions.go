package web

import (
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"github.com/xdire/xlb/control"
)

const (
	// sessionCookie has the prefix that makes browsers insist on Secure, Path=/ and no Domain.
	sessionCookie = "__Host-xlb"
	sessionID     = "id"
)

// cookieSessions keeps browsers logged in. The cookie, signed and encrypted, holds an opaque id and
// nothing else; control has the record, so that a log-out ends the session on the server too.
type cookieSessions struct {
	control *control.Control
	store   *sessions.CookieStore
}

func newCookieSessions(c *control.Control) *cookieSessions {
	store := sessions.NewCookieStore(c.CookieKeys()...)
	// Lax, not Strict: a link in a mail or a chat leads to a page and not to the log-in. Nothing changes on GET.
	store.Options = &sessions.Options{Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	store.MaxAge(int(control.SessionLife / time.Second))
	return &cookieSessions{control: c, store: store}
}

// Start logs the browser in as a client, always under a new id, and ends the session it had: an id that somebody else
// has put into the browser before the log-in must not be one that is logged in after it.
func (s *cookieSessions) Start(w http.ResponseWriter, r *http.Request, clientID string) error {
	id, err := s.control.StartSession(r.Context(), clientID, r.UserAgent())
	if err != nil {
		return err
	}
	if old := s.id(r); old != "" {
		s.endOld(r, old)
	}
	http.SetCookie(w, &http.Cookie{
		Name: knownCookie, Value: "1", Path: "/", MaxAge: 365 * 24 * 3600, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return s.save(w, r, id, s.store.Options.MaxAge)
}

// endOld ends a session whose id came with a log-in. That it is left is no reason to refuse the log-in.
func (s *cookieSessions) endOld(r *http.Request, id string) {
	a, err := s.control.SessionActor(r.Context(), id)
	if err != nil {
		return
	}
	s.control.EndSession(control.WithActor(r.Context(), a), id)
}

// End logs the browser out, here and in the browser.
func (s *cookieSessions) End(w http.ResponseWriter, r *http.Request) error {
	if id := s.id(r); id != "" {
		if err := s.control.EndSession(r.Context(), id); err != nil {
			return err
		}
	}
	return s.save(w, r, "", -1)
}

// knownCookie says that somebody has logged in with this browser at some time. It outlives the session.
const knownCookie = "xlb-known"

func wasHere(r *http.Request) bool {
	_, err := r.Cookie(knownCookie)
	return err == nil
}

// Forget takes the session out of the browser.
func (s *cookieSessions) Forget(w http.ResponseWriter, r *http.Request) error {
	return s.save(w, r, "", -1)
}

// id is the session id in the request's cookie, empty without one or when it is not ours.
func (s *cookieSessions) id(r *http.Request) string {
	session, err := s.store.New(r, sessionCookie)
	if err != nil {
		return "" // damaged, or of another server under the same name: nobody's, and no error of the reader's
	}
	id, _ := session.Values[sessionID].(string)
	return id
}

func (s *cookieSessions) save(w http.ResponseWriter, r *http.Request, id string, maxAge int) error {
	session := sessions.NewSession(s.store, sessionCookie)
	options := *s.store.Options
	options.MaxAge = maxAge
	session.Options = &options
	if id != "" {
		session.Values[sessionID] = id
	}
	return session.Save(r, w)
}
