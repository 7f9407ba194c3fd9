package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func (p *Pages) revokeForm(w http.ResponseWriter, r *http.Request) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	c, err := p.Control.Certificate(r.Context(), f.ID, r.PathValue("serial"))
	if err != nil {
		return err
	}
	open, err := p.Control.Connections(r.Context(), f.ID, control.ConnectionQuery{Text: c.Serial, Limit: 1})
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Revoke(views.RevokeProps{
		Page: p.base(r, views.TitleRevoke(f.Name), "frontends"), FrontendID: f.ID, FrontendName: f.Name,
		Serial: c.Serial, Name: c.Name, Connections: open.Total, DrainSec: drainSec,
	}))
}

func (p *Pages) revoke(w http.ResponseWriter, r *http.Request) error {
	id := idOf(r)
	drain := atoi(r.PostForm.Get("drain"), 0)
	done, err := p.Control.RevokeCertificate(r.Context(), id, r.PathValue("serial"), control.Revocation{
		Reason: r.PostForm.Get("reason"), Drain: time.Duration(drain) * time.Second,
	})
	if err != nil {
		return err
	}
	code := fmt.Sprintf("revoked-%d-%d", done.Closed, done.Took.Milliseconds())
	if drain > 0 { // nothing is closed yet, so there is no number to tell
		code = "revoked-drain"
	}
	return doneAt(w, r, "/frontends/"+id, code)
}

// revokeBeforeForm asks for a moment, and shows what it means once it is there.
func (p *Pages) revokeBeforeForm(w http.ResponseWriter, r *http.Request) error {
	return p.askBefore(w, r, r.URL.Query().Get("before"))
}

// pickedMoment is a date and time as a browser lets people pick them (HTML, a local date and time string). Pages speak of
// UTC, so that it is.
const pickedMoment = "2006-01-02T15:04:05"

// momentOf reads a date and time as it is picked, with seconds or without them, or with its zone (RFC 3339).
func momentOf(text string) (time.Time, error) {
	for _, layout := range []string{pickedMoment, "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Parse(time.RFC3339, text)
}

func (p *Pages) askBefore(w http.ResponseWriter, r *http.Request, text string) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	props := views.RevokeBeforeProps{
		Page: p.base(r, views.TitleRevoke(f.Name), "frontends"), FrontendID: f.ID, FrontendName: f.Name, Text: text, DrainSec: drainSec,
	}
	status := http.StatusOK
	if text == "" {
		props.Text = time.Now().UTC().Add(time.Second).Format(pickedMoment) // whole seconds: what was issued in this one is before it
	} else if props.Before, err = momentOf(text); err != nil {
		props.Error = views.NotAMoment
		status = http.StatusUnprocessableEntity
	} else if props.Certificates, props.Connections, err = p.Control.IssuedBefore(r.Context(), f.ID, props.Before); err != nil {
		return err
	}
	return p.show(w, r, status, views.RevokeBefore(props))
}

func (p *Pages) revokeBefore(w http.ResponseWriter, r *http.Request) error {
	id := idOf(r)
	drain := atoi(r.PostForm.Get("drain"), 0)
	text := r.PostForm.Get("before")
	before, err := momentOf(text)
	if err != nil {
		return p.askBefore(w, r, text)
	}
	done, err := p.Control.RevokeIssuedBefore(r.Context(), id, before, control.Revocation{
		Reason: r.PostForm.Get("reason"), Drain: time.Duration(drain) * time.Second,
	})
	if err != nil {
		return err
	}
	code := fmt.Sprintf("revoked-all-%d-%d-%d", done.Certificates, done.Closed, done.Took.Milliseconds())
	if drain > 0 {
		code = "revoked-drain"
	}
	return doneAt(w, r, "/frontends/"+id, code)
}
