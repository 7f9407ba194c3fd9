package handlers

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// newForm is the form of a frontend as it was typed.
type newForm struct {
	name     string
	strategy int
	timeout  string
	active   bool
	routes   []views.RouteRow
	options  optionForm
}

func defaultTimeout() string { return strconv.Itoa(control.DefaultFrontend().RouteTimeoutSec) }

// readForm takes the form as it is; what is wrong with it shows later.
func readForm(r *http.Request) newForm {
	f := newForm{name: r.PostForm.Get("name"), timeout: r.PostForm.Get("routeTimeoutSec"), active: r.PostForm.Has("active")}
	f.strategy = atoi(r.PostForm.Get("strategy"), 0)
	f.options = readOptions(r.PostForm)
	capacities := r.PostForm["capacity"]
	weights := r.PostForm["weight"]
	roles := r.PostForm["role"]
	for i, dest := range r.PostForm["route"] { // the lists of a form have no holes: row i is the i-th of each
		row := views.RouteRow{Dest: strings.TrimSpace(dest)}
		if i < len(capacities) {
			row.Capacity = strings.TrimSpace(capacities[i])
		}
		if i < len(weights) {
			row.Weight = strings.TrimSpace(weights[i])
		}
		row.Backup = i < len(roles) && roles[i] == "backup"
		f.routes = append(f.routes, splitRow(row)...)
	}
	return f
}

// splitRow makes a row of each route that was put into one, as the script does with what is pasted.
func splitRow(row views.RouteRow) []views.RouteRow {
	several := strings.FieldsFunc(row.Dest, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' })
	if len(several) < 2 {
		return []views.RouteRow{row}
	}
	rows := make([]views.RouteRow, len(several))
	for i, dest := range several {
		rows[i] = row
		rows[i].Dest = dest
	}
	return rows
}

// atoi reads a number; what is none becomes notANumber.
func atoi(text string, empty int) int {
	text = strings.TrimSpace(text)
	if text == "" {
		return empty
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return notANumber
	}
	return n
}

// notANumber stands for a text in a form that is no number. All rules refuse it.
const notANumber = -1

func (f newForm) hasRoutes() bool {
	return slices.ContainsFunc(f.routes, func(row views.RouteRow) bool { return row.Dest != "" })
}

// spec is what the form asks for; empty rows ask for nothing. rows has, for each route, its row.
func (f newForm) spec(base control.FrontendSpec) (spec control.FrontendSpec, rows []int) {
	base.Name = f.name
	base.Strategy = control.Strategy(f.strategy)
	base.RouteTimeoutSec = atoi(f.timeout, control.DefaultFrontend().RouteTimeoutSec)
	known := base.Routes
	base.Routes = nil
	for i, row := range f.routes {
		if row.Dest != "" {
			base.Routes = append(base.Routes, routeLike(known, row))
			rows = append(rows, i)
		}
	}
	f.options.into(&base)
	return base, rows
}

// routeLike is a route as it was, with what the form has of it: a form without a field for its state must not end a drain.
func routeLike(known []control.Route, row views.RouteRow) control.Route {
	route := control.Route{Dest: row.Dest}
	for _, r := range known {
		if r.Dest == row.Dest {
			route = r
		}
	}
	route.Capacity = atoi(row.Capacity, 0)
	route.Weight = atoi(row.Weight, 1)
	route.Backup = row.Backup
	return route
}

var routeField = regexp.MustCompile(`^routes\[(\d+)\]`)

// place puts the errors of routes beside their rows and returns the rest.
func (f newForm) place(wrong map[string]string, rows []int) map[string]string {
	rest := map[string]string{}
	for field, message := range wrong {
		at := routeField.FindStringSubmatch(field)
		if at == nil {
			rest[field] = message
			continue
		}
		if i, err := strconv.Atoi(at[1]); err == nil && i < len(rows) {
			f.routes[rows[i]].Error = message
		}
	}
	return rest
}

func (p *Pages) newForm(w http.ResponseWriter, r *http.Request) error {
	return p.show(w, r, http.StatusOK, views.New(p.newProps(r, newForm{timeout: defaultTimeout()}, nil)))
}

func (p *Pages) newProps(r *http.Request, f newForm, wrong map[string]string) views.NewProps {
	return views.NewProps{
		Page: p.base(r, views.TitleNew, "frontends"), Name: f.name, Routes: f.routes, Strategy: f.strategy,
		RouteTimeoutSec: f.timeout, Errors: wrong, Demo: p.Control.HasDemo(r.Context()) && !f.hasRoutes(),
	}
}

// create saves a frontend, or adds an empty row to the form: the way to do that without scripts.
func (p *Pages) create(w http.ResponseWriter, r *http.Request) error {
	f := readForm(r)
	if r.PostForm.Has("add") {
		f.routes = append(f.routes, views.RouteRow{})
		return p.show(w, r, http.StatusOK, views.New(p.newProps(r, f, nil)))
	}
	if r.PostForm.Has("demo") {
		f.routes = []views.RouteRow{{Dest: control.DemoDest}}
	}
	spec, rows := f.spec(control.DefaultFrontend())
	created, err := p.Control.CreateFrontend(r.Context(), spec)
	if wrong, is := fieldErrors(err); is {
		return p.show(w, r, http.StatusUnprocessableEntity, views.New(p.newProps(r, f, f.place(wrong, rows))))
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/frontends/"+created.ID+"/certificate", http.StatusSeeOther)
	return nil
}

// checkRoute tries a destination while it is being typed, and answers with the hint beside it.
func (p *Pages) checkRoute(w http.ResponseWriter, r *http.Request) error {
	row := views.RouteRow{Dest: strings.TrimSpace(r.PostForm.Get("dest"))}
	check, err := p.Control.CheckRoute(r.Context(), row.Dest)
	problems := control.Problems(err)
	switch {
	case err == nil && check.Answers():
		row.Good = views.RouteAnswers(check.Took)
	case err == nil:
		row.Caution = views.RouteCaution(check.Code(), check.Host, check.Port)
	case len(problems) > 0 && problems[0].Kind == control.KindInvalid:
		row.Error = problems[0].Message
	case len(problems) > 0 && problems[0].Kind == control.KindTooMany:
		setRetryAfter(w, problems[0])
		row.Caution = problems[0].Message
	default:
		return err
	}
	if row.Error == "" { // the script puts it into an empty name; without scripts the server does the same on saving
		w.Header().Set("X-Suggest-Name", control.SuggestName(row.Dest))
	}
	return p.show(w, r, http.StatusOK, views.RouteHint(row))
}
