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
		Serial: c.Serial, Name: c.Name, Connections: open.Total,
	}))
}

func (p *Pages) revoke(w http.ResponseWriter, r *http.Request) error {
	id, drain := idOf(r), atoi(r.PostForm.Get("drain"), 0)
	done, err := p.Control.RevokeCertificate(r.Context(), id, r.PathValue("serial"), control.Revocation{
		Reason: r.PostForm.Get("reason"), Drain: time.Duration(drain) * time.Second,
	})
	if err != nil {
		return err
	}
	code := fmt.Sprintf("revoked-%d-%d", done.Closed, done.Took.Milliseconds())
	if drain > 0 {
		code = "revoked-drain"
	}
	http.Redirect(w, r, "/frontends/"+id+"?done="+code, http.StatusSeeOther)
	return nil
}
