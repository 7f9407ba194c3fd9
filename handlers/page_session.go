package handlers

import (
	"net/http"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// sessionRows is the part of the account page about sessions.
func (p *Pages) sessionRows(r *http.Request) ([]views.Session, error) {
	found, err := p.Control.Sessions(r.Context())
	rows := make([]views.Session, 0, len(found))
	for _, s := range found {
		rows = append(rows, sessionRow(s))
	}
	return rows, err
}

func sessionRow(s control.Session) views.Session {
	return views.Session{ID: s.ID, Browser: views.BrowserName(s.UserAgent), Address: s.Address, Since: s.CreatedAt, Used: s.UsedAt, Own: s.Own}
}

func (p *Pages) endSession(w http.ResponseWriter, r *http.Request) error {
	if err := p.Control.EndOneSession(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return doneAt(w, r, "/account", "session-ended")
}

func (p *Pages) endSessions(w http.ResponseWriter, r *http.Request) error {
	all := r.PostForm.Get("all") != ""
	if err := p.Control.EndSessions(r.Context(), all); err != nil {
		return err
	}
	if all {
		return p.logout(w, r)
	}
	return doneAt(w, r, "/account", "sessions-ended")
}
