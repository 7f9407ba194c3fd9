package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// frontendRow is one frontend as shown.
func frontendRow(s control.Status) views.Frontend {
	f := views.Frontend{
		ID: s.ID, Name: s.Name, AccessKey: s.AccessKey, Active: s.Active, State: string(s.State),
		RouteTimeoutSec: s.RouteTimeoutSec, Connections: s.Connections, Waiting: s.Waiting, Panic: s.Panic, Total: s.Total,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
		Certificates: s.Certificates, NextExpiry: s.NextExpiry,
	}
	if n := int(s.Strategy); n >= 0 && n < len(views.Strategies) {
		f.Strategy = views.Strategies[n]
	}
	for _, r := range s.Routes {
		f.Routes = append(f.Routes, routeRow(r))
	}
	for _, r := range s.Removed {
		row := routeRow(r)
		row.Removed = true
		f.Routes = append(f.Routes, row)
	}
	for _, point := range s.Samples {
		f.ConnSamples = append(f.ConnSamples, point.Active)
		f.NewSamples = append(f.NewSamples, point.New)
		f.ByteSamples = append(f.ByteSamples, point.In+point.Out)
	}
	if n := len(s.Samples); n > 0 {
		last := s.Samples[n-1]
		f.NewPerSec = last.New
		f.InPerSec = last.In
		f.OutPerSec = last.Out
	}
	return f
}

func routeRow(r control.RouteStatus) views.Route {
	return views.Route{
		Dest: r.Dest, Capacity: r.Capacity, State: string(r.State), Reason: views.RouteReason(r.Reason), Since: r.Since,
		Active: r.Active, Total: r.Total, Failed: r.Failed, BytesIn: r.BytesIn, BytesOut: r.BytesOut, ConnectTime: r.ConnectTime,
		ClosesAt: r.ClosesAt, Weight: max(1, r.Weight), Backup: r.Backup, Addresses: len(r.Addresses),
	}
}

// setRoute drains a route, takes it out or lets it take connections again.
func (p *Pages) setRoute(w http.ResponseWriter, r *http.Request) error {
	id := idOf(r)
	dest := r.PostForm.Get("dest")
	verb := r.PostForm.Get("state")
	state := verb
	if state == "ready" {
		state = ""
	}
	changed, err := p.Control.UpdateFrontend(r.Context(), id, control.Update{Edit: func(spec *control.FrontendSpec) error {
		for i := range spec.Routes {
			if spec.Routes[i].Dest == dest {
				spec.Routes[i].State = state
				return nil
			}
		}
		return &control.Error{Kind: control.KindNotFound, Message: "That route is not in the frontend any more."}
	}})
	if err != nil {
		return err
	}
	back := "/frontends/" + id
	if page := r.PostForm.Get("routes"); page != "" {
		back += "?" + url.Values{"routes": {page}}.Encode()
	}
	setNotice(w, "route-"+verb, strconv.FormatUint(changed.Revision, 10))
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}

func frontendRows(all []control.Status) []views.Frontend {
	rows := make([]views.Frontend, 0, len(all))
	for _, s := range all {
		rows = append(rows, frontendRow(s))
	}
	return rows
}

// frontendTable is the list of the frontends that q selects.
func (p *Pages) frontendTable(r *http.Request, chosen url.Values) (views.FrontendTableProps, error) {
	all, err := p.Control.Statuses(r.Context())
	if err != nil {
		return views.FrontendTableProps{}, err
	}
	q := strings.TrimSpace(chosen.Get("q"))
	table := views.FrontendTableProps{Now: time.Now(), Query: q, Total: len(all), Limit: max(0, p.Control.OwnLimits(r.Context()).Frontends)}
	for _, row := range frontendRows(all) {
		if matches(row, q) {
			table.Rows = append(table.Rows, row)
		}
	}
	table.Pager = pager(len(table.Rows), "/frontends", chosen, "page")
	table.Rows = table.Rows[table.Pager.From:table.Pager.To]
	return table, nil
}

func matches(f views.Frontend, q string) bool {
	q = strings.ToLower(strings.TrimSpace(q))
	if strings.Contains(strings.ToLower(f.Name), q) || strings.Contains(f.AccessKey, q) {
		return true
	}
	for _, route := range f.Routes {
		if strings.Contains(strings.ToLower(route.Dest), q) {
			return true
		}
	}
	return false
}

func (p *Pages) frontends(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	table, err := p.frontendTable(r, q)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleFrontends, "frontends")
	page.Live = liveURL("frontends", q)
	return p.show(w, r, http.StatusOK, views.Frontends(views.FrontendsProps{Page: page, Table: table}))
}

// frontendLive is what the page of a frontend shows of its state.
func (p *Pages) frontendLive(r *http.Request, id string, q url.Values) (views.FrontendLiveProps, error) {
	s, err := p.Control.Status(r.Context(), id)
	if err != nil {
		return views.FrontendLiveProps{}, err
	}
	f := frontendRow(s)
	shown := pager(len(f.Routes), "/frontends/"+f.ID, q, "routes")
	return views.FrontendLiveProps{Now: time.Now(), Frontend: f, Routes: f.Routes[shown.From:shown.To], Pager: shown}, nil
}

func (p *Pages) frontend(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	shown, err := p.frontendLive(r, idOf(r), q)
	if err != nil {
		return err
	}
	f := shown.Frontend
	issued, err := p.Control.Certificates(r.Context(), f.ID, "", 0)
	if err != nil {
		return err
	}
	page := p.base(r, f.Name, "frontends")
	page.Undo = p.undo(r, f.ID)
	page.Live = liveURL("frontend", q, "id", f.ID)
	rows := certificateRows(issued, map[string]string{f.ID: f.Name}, page.Now)
	part := pager(len(rows), "/frontends/"+f.ID, q, "page")
	return p.show(w, r, http.StatusOK, views.FrontendPage(views.FrontendProps{
		Page: page, Frontend: f, Live: shown, Certificates: rows[part.From:part.To], Pager: part,
	}))
}

func (p *Pages) settingsForm(w http.ResponseWriter, r *http.Request) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	form := formOf(f)
	return p.show(w, r, http.StatusOK, views.Settings(p.settingsProps(r, f, form)))
}

// settingsProps shows form over the frontend as it is saved now.
func (p *Pages) settingsProps(r *http.Request, saved control.Frontend, form newForm) views.SettingsProps {
	props := views.SettingsProps{
		Page: p.base(r, views.TitleSettings(saved.Name), "frontends"), FrontendID: saved.ID, FrontendName: saved.Name,
		Revision: strconv.FormatUint(saved.Revision, 10), Name: form.name, Active: form.active, Strategy: form.strategy,
		RouteTimeoutSec: form.timeout, Routes: form.routes, Options: form.options.shown(),
	}
	if r.Method == http.MethodGet {
		props.Page.Undo = p.undo(r, saved.ID)
	}
	if s, err := p.Control.Status(r.Context(), saved.ID); err == nil {
		props.Connections = s.Connections
	}
	return props
}

func (p *Pages) saveSettings(w http.ResponseWriter, r *http.Request) error {
	form := readForm(r)
	id := idOf(r)
	revision, err := strconv.ParseUint(r.PostForm.Get("revision"), 10, 64)
	if err != nil {
		revision = 0 // a form without one, as a script may send, changes what is there now
	}
	var rows []int
	changed, err := p.Control.UpdateFrontend(r.Context(), id, control.Update{IfMatch: revision, Edit: func(spec *control.FrontendSpec) error {
		*spec, rows = form.spec(*spec)
		spec.Active = form.active
		return nil
	}})
	if err == nil {
		setNotice(w, "saved", strconv.FormatUint(changed.Revision, 10))
		http.Redirect(w, r, "/frontends/"+id+"/settings", http.StatusSeeOther)
		return nil
	}
	wrong, is := fieldErrors(err)
	conflict := control.KindOf(err) == control.KindPrecondition
	if !is && !conflict {
		return err
	}
	saved, readErr := p.Control.Frontend(r.Context(), id)
	if readErr != nil {
		return readErr
	}
	status := http.StatusUnprocessableEntity
	if conflict {
		status = http.StatusConflict // and the page shows both, what was typed and what somebody saved meanwhile
	}
	errors := form.place(wrong, rows)
	props := p.settingsProps(r, saved, form)
	props.Errors = errors
	props.Conflict = conflict
	if conflict {
		props.Differences = form.differences(saved)
	}
	return p.show(w, r, status, views.Settings(props))
}

func (p *Pages) deleteForm(w http.ResponseWriter, r *http.Request) error {
	props, err := p.deleteProps(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Delete(props))
}

func (p *Pages) deleteProps(r *http.Request) (views.DeleteProps, error) {
	s, err := p.Control.Status(r.Context(), idOf(r))
	if err != nil {
		return views.DeleteProps{}, err
	}
	return views.DeleteProps{
		Page: p.base(r, views.TitleDelete(s.Name), "frontends"), FrontendID: s.ID, FrontendName: s.Name,
		Connections: s.Connections, Certificates: s.Certificates,
	}, nil
}

func (p *Pages) deleteFrontend(w http.ResponseWriter, r *http.Request) error {
	props, err := p.deleteProps(r)
	if err != nil {
		return err
	}
	// Certificates end with it for good, so a click is not enough.
	if strings.TrimSpace(r.PostForm.Get("name")) != props.FrontendName {
		props.Error = views.NameDiffers
		return p.show(w, r, http.StatusUnprocessableEntity, views.Delete(props))
	}
	if err := p.Control.DeleteFrontend(r.Context(), props.FrontendID); err != nil {
		return err
	}
	return doneAt(w, r, "/frontends", "deleted")
}
