package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// What may be done with a route.
const (
	verbReady       = "ready"
	verbDrain       = "drain"
	verbMaintenance = "maintenance"
	verbRemove      = "remove"
	verbWeight      = "weight"
)

var errNoRoute = &control.Error{Kind: control.KindNotFound, Message: "That route is not in the frontend any more."}

// routeQuestion asks before connections of a route are closed, or for its weight.
func (p *Pages) routeQuestion(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return p.askRoute(w, r, q, nil)
}

func (p *Pages) askRoute(w http.ResponseWriter, r *http.Request, q url.Values, wrong map[string]string) error {
	s, err := p.Control.Status(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	verb := q.Get("do")
	i := slices.IndexFunc(s.Routes, func(one control.RouteStatus) bool { return one.Dest == q.Get("dest") })
	if i < 0 || !slices.Contains([]string{verbMaintenance, verbRemove, verbWeight}, verb) {
		return errNoRoute
	}
	route := routeRow(s.Routes[i])
	props := views.RouteQuestionProps{
		Page: p.base(r, route.Dest, "frontends"), FrontendID: s.ID, FrontendName: s.Name, Verb: verb, Route: route,
		Finish: time.Duration(s.Options.DrainTimeoutSec) * time.Second, Shown: atoi(q.Get("routes"), 1),
		Weight: strconv.Itoa(route.Weight), Errors: wrong,
	}
	if route.Capacity > 0 {
		props.Capacity = strconv.Itoa(route.Capacity)
	}
	status := http.StatusOK
	if wrong != nil {
		props.Weight = q.Get("weight")
		props.Capacity = q.Get("capacity")
		status = http.StatusUnprocessableEntity
	}
	return p.show(w, r, status, views.RouteQuestion(props))
}

// setRoute drains a route, takes it out, gives it another weight or lets it take connections again. What closes
// connections, or leaves them a time to end, asks first, with their number.
func (p *Pages) setRoute(w http.ResponseWriter, r *http.Request) error {
	id := idOf(r)
	form := r.PostForm
	dest := form.Get("dest")
	verb := form.Get("do")
	s, err := p.Control.Status(r.Context(), id)
	if err != nil {
		return err
	}
	open := 0
	for _, one := range s.Routes {
		if one.Dest == dest {
			open = one.Active
		}
	}
	// Asked here and not by the link alone: a form that a script or an older page sends must not close connections by surprise.
	if open > 0 && form.Get("sure") == "" && (verb == verbMaintenance || verb == verbRemove) {
		http.Redirect(w, r, "/frontends/"+id+"/route?"+url.Values{"dest": {dest}, "do": {verb}, "routes": {form.Get("routes")}}.Encode(), http.StatusSeeOther)
		return nil
	}
	changed, err := p.Control.UpdateFrontend(r.Context(), id, control.Update{Edit: routeChange(verb, dest, form)})
	if err != nil {
		if fields, is := fieldErrors(err); is && verb == verbWeight {
			return p.askRoute(w, r, form, routeErrors(fields))
		}
		return err
	}
	back := "/frontends/" + id
	if page := form.Get("routes"); page != "" {
		back += "?" + url.Values{"routes": {page}}.Encode()
	}
	setNotice(w, views.DoneWithRoute(verb, dest, open), strconv.FormatUint(changed.Revision, 10))
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}

// routeChange is what a verb does to the frontend.
func routeChange(verb, dest string, form url.Values) func(*control.FrontendSpec) error {
	return func(spec *control.FrontendSpec) error {
		i := slices.IndexFunc(spec.Routes, func(one control.Route) bool { return one.Dest == dest })
		if i < 0 {
			return errNoRoute
		}
		route := &spec.Routes[i]
		switch verb {
		case verbReady:
			route.State = ""
		case verbDrain, verbMaintenance:
			route.State = verb
		case verbWeight:
			route.Weight = atoi(form.Get("weight"), 1)
			route.Capacity = atoi(form.Get("capacity"), 0)
		case verbRemove:
			spec.Routes = slices.Delete(slices.Clone(spec.Routes), i, i+1)
		default:
			return &control.Error{Kind: control.KindInvalid, Field: "do", Message: "Use ready, drain, maintenance, weight or remove."}
		}
		return nil
	}
}

// routeErrors are the errors of a form for one route, whichever it is in its frontend.
func routeErrors(wrong map[string]string) map[string]string {
	placed := map[string]string{}
	for field, text := range wrong {
		placed[field[strings.LastIndexByte(field, '.')+1:]] = text
	}
	return placed
}
