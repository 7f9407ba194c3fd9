package handlers

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// drainSec is how long connections may go on where nothing else is said.
const drainSec = 300

// switchOffForm asks what becomes of open connections.
func (p *Pages) switchOffForm(w http.ResponseWriter, r *http.Request) error {
	s, err := p.Control.Status(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.SwitchOff(views.SwitchOffProps{
		Page: p.base(r, views.TitleSwitchOff(s.Name), "frontends"), FrontendID: s.ID, FrontendName: s.Name, Connections: s.Connections,
		DrainSec: cmp.Or(s.Options.DrainTimeoutSec, drainSec),
	}))
}

func (p *Pages) switchOff(w http.ResponseWriter, r *http.Request) error {
	drain := atoi(r.PostForm.Get("drain"), 0)
	code := "off"
	if drain > 0 {
		code = "off-drain"
	}
	return p.setActive(w, r, false, time.Duration(drain)*time.Second, code)
}

func (p *Pages) switchOn(w http.ResponseWriter, r *http.Request) error {
	return p.setActive(w, r, true, 0, "on")
}

// setActive leads to the frontend, which says what was done and offers a way back.
func (p *Pages) setActive(w http.ResponseWriter, r *http.Request, active bool, drain time.Duration, code string) error {
	changed, err := p.Control.UpdateFrontend(r.Context(), idOf(r), control.Update{Drain: drain, Edit: func(spec *control.FrontendSpec) error {
		spec.Active = active
		return nil
	}})
	if err != nil {
		return err
	}
	setNotice(w, code, strconv.FormatUint(changed.Revision, 10))
	http.Redirect(w, r, "/frontends/"+changed.ID, http.StatusSeeOther)
	return nil
}
