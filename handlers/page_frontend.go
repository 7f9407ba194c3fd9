package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
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
		NewPerSec: r.Recent.New, BytesPerSec: r.Recent.Bytes, Median: r.Recent.Median, FailedLately: r.Recent.Failed,
		Checks: checkMarks(r.Checks.Marks), CheckedAt: r.Checks.At, CheckTook: r.Checks.Took,
	}
}

func checkMarks(all []control.CheckMark) []views.CheckMark {
	marks := make([]views.CheckMark, 0, len(all))
	for _, m := range all {
		marks = append(marks, views.CheckMark(m))
	}
	return marks
}

func frontendRows(all []control.Status) []views.Frontend {
	rows := make([]views.Frontend, 0, len(all))
	for _, s := range all {
		rows = append(rows, frontendRow(s))
	}
	return rows
}

// ownFrontends is the list of all frontends that q selects.
func (p *Pages) ownFrontends(r *http.Request, q url.Values) (views.FrontendTableProps, error) {
	all, err := p.Control.Statuses(r.Context())
	if err != nil {
		return views.FrontendTableProps{}, err
	}
	table, err := p.frontendTable(r, "/frontends", frontendRows(all), q)
	table.Menus = true
	return table, err
}

func (p *Pages) frontends(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	table, err := p.ownFrontends(r, q)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleFrontends, "frontends")
	page.Live = liveURL("frontends", q)
	return p.show(w, r, http.StatusOK, views.Frontends(views.FrontendsProps{Page: page, Table: table}))
}

// frontendLive is what the page of a frontend shows of its state.
func frontendLive(head views.FrontendHead, q url.Values) views.FrontendLiveProps {
	f := head.Frontend
	f.Routes = worstFirst(f.Routes)
	shown := pager(len(f.Routes), "/frontends/"+f.ID, q, "routes")
	return views.FrontendLiveProps{Now: head.Now, Frontend: f, Routes: f.Routes[shown.From:shown.To], Pager: shown}
}

func (p *Pages) frontend(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	head, err := p.head(r, idOf(r), "overview")
	if err != nil {
		return err
	}
	page := p.base(r, head.Frontend.Name, "frontends")
	page.Undo = p.undo(r, head.Frontend.ID)
	page.Live = liveURL("frontend", q, "id", head.Frontend.ID)
	live, charts, err := p.frontendParts(r, head, q)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.FrontendPage(views.FrontendProps{Page: page, Head: head, Live: live, Charts: charts}))
}

// frontendParts are the parts of a frontend's page that follow along.
func (p *Pages) frontendParts(r *http.Request, head views.FrontendHead, q url.Values) (views.FrontendLiveProps, views.ChartsProps, error) {
	live := frontendLive(head, q)
	var err error
	if live.Flow, err = p.flow(r, head.Frontend); err != nil {
		return live, views.ChartsProps{}, err
	}
	charts, err := p.charts(r, head.Frontend, q)
	return live, charts, err
}

// mostFirst are the routes, those with the most connections first.
func mostFirst(routes []views.Route) []views.Route {
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b views.Route) int { return cmp.Compare(b.Active, a.Active) })
	return sorted
}

// troubles orders the states of routes, what to see to first.
var troubles = map[string]int{"down": 0, "ejected": 1, "maintenance": 2, "draining": 3}

// worstFirst are the routes, those that something is wrong with first.
func worstFirst(routes []views.Route) []views.Route {
	rank := func(r views.Route) int {
		if n, is := troubles[r.State]; is {
			return n
		}
		return len(troubles)
	}
	sorted := slices.Clone(routes)
	slices.SortStableFunc(sorted, func(a, b views.Route) int { return cmp.Compare(rank(a), rank(b)) })
	return sorted
}

// head is the top of every page of a frontend.
func (p *Pages) head(r *http.Request, id, tab string) (views.FrontendHead, error) {
	s, err := p.Control.Status(r.Context(), id)
	if err != nil {
		return views.FrontendHead{}, err
	}
	refused, err := p.Control.CountRefused(r.Context(), s.ID)
	if err != nil {
		return views.FrontendHead{}, err
	}
	return views.FrontendHead{Now: time.Now(), Tab: tab, Frontend: frontendRow(s), Refused: refused}, nil
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
		Revision: seenOf(saved).String(), Name: form.name, Active: form.active, Strategy: form.strategy,
		RouteTimeoutSec: form.timeout, Routes: form.routes, Options: form.options.shown(),
	}
	code, _ := notice(r)
	props.Saved = code == "saved"
	if r.Method == http.MethodGet {
		props.Page.Undo = p.undo(r, saved.ID)
	}
	if head, err := p.head(r, saved.ID, "settings"); err == nil {
		props.Head = head
		props.Connections = head.Frontend.Connections
	}
	return props
}

func (p *Pages) saveSettings(w http.ResponseWriter, r *http.Request) error {
	form := readForm(r)
	id := idOf(r)
	saved, err := p.Control.Frontend(r.Context(), id)
	if err != nil {
		return err
	}
	form.take(formOf(saved), takes(r.PostForm))
	var rows []int
	changed, err := p.Control.UpdateFrontend(r.Context(), id, control.Update{
		IfMatch: readSeen(r.PostForm).revision,
		// The page says that open connections stay, so that they do for as long as on a route that is taken away.
		Drain: time.Duration(saved.Options.DrainTimeoutSec) * time.Second,
		Edit: func(spec *control.FrontendSpec) error {
			*spec, rows = form.spec(*spec)
			spec.Active = form.active
			return nil
		},
	})
	if err != nil {
		return p.notSaved(w, r, form, rows, err)
	}
	setNotice(w, "saved", strconv.FormatUint(changed.Revision, 10))
	http.Redirect(w, r, "/frontends/"+id+"/settings", http.StatusSeeOther)
	return nil
}

// notSaved shows the form again with what is wrong with it, or beside what somebody saved meanwhile. rows has, for each
// route that was to be saved, its row in the form.
func (p *Pages) notSaved(w http.ResponseWriter, r *http.Request, form newForm, rows []int, err error) error {
	wrong, is := fieldErrors(err)
	conflict := control.KindOf(err) == control.KindPrecondition
	if !is && !conflict {
		return err
	}
	saved, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	errors := form.place(wrong, rows)
	props := p.settingsProps(r, saved, form)
	props.Errors = errors
	if !conflict {
		return p.show(w, r, http.StatusUnprocessableEntity, views.Settings(props))
	}
	props.Conflict = true
	props.Differences = form.differences(formOf(saved), p.seenForm(r, saved.ID, readSeen(r.PostForm)))
	return p.show(w, r, http.StatusConflict, views.Settings(props))
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
