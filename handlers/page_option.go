package handlers

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// optionField is an option as a form has it: text.
type optionField struct {
	name string
	get  func(*control.Options) string
	set  func(*control.Options, string)
}

// number is an option that is a number; what is typed and is none is refused by the rules.
func number(name string, at func(*control.Options) *int) optionField {
	return optionField{
		name: name,
		get:  func(o *control.Options) string { return strconv.Itoa(*at(o)) },
		set:  func(o *control.Options, text string) { *at(o) = atoi(text, *at(ptr(control.DefaultOptions()))) },
	}
}

func text(name string, at func(*control.Options) *string) optionField {
	return optionField{
		name: name,
		get:  func(o *control.Options) string { return *at(o) },
		set:  func(o *control.Options, text string) { *at(o) = strings.TrimSpace(text) },
	}
}

func ptr[T any](v T) *T { return &v }

// optionFields are all options, by the names that the API has for them.
var optionFields = []optionField{
	number("maxConnections", func(o *control.Options) *int { return &o.MaxConnections }),
	number("connectionsPerSec", func(o *control.Options) *int { return &o.ConnectionsPerSec }),
	{
		name: "bytesPerSec",
		get:  func(o *control.Options) string { return strconv.FormatInt(o.BytesPerSec, 10) },
		set:  func(o *control.Options, text string) { o.BytesPerSec = int64(atoi(text, 0)) },
	},
	number("idleTimeoutSec", func(o *control.Options) *int { return &o.IdleTimeoutSec }),
	number("halfCloseTimeoutSec", func(o *control.Options) *int { return &o.HalfCloseTimeoutSec }),
	number("maxLifetimeSec", func(o *control.Options) *int { return &o.MaxLifetimeSec }),
	number("keepAliveSec", func(o *control.Options) *int { return &o.KeepAliveSec }),
	number("drainTimeoutSec", func(o *control.Options) *int { return &o.DrainTimeoutSec }),
	number("queueLimit", func(o *control.Options) *int { return &o.QueueLimit }),
	number("ejectAfter", func(o *control.Options) *int { return &o.EjectAfter }),
	text("ejectOn", func(o *control.Options) *string { return &o.EjectOn }),
	number("panicPercent", func(o *control.Options) *int { return &o.PanicPercent }),
	number("slowStartSec", func(o *control.Options) *int { return &o.SlowStartSec }),
	{
		name: "closeOnDown",
		get: func(o *control.Options) string {
			if o.CloseOnDown {
				return "on"
			}
			return ""
		},
		set: func(o *control.Options, text string) { o.CloseOnDown = text != "" },
	},
	number("proxyProtocol", func(o *control.Options) *int { return &o.Proxy }),
	text("routeTls.mode", func(o *control.Options) *string { return &o.RouteTLS.Mode }),
	text("routeTls.serverName", func(o *control.Options) *string { return &o.RouteTLS.ServerName }),
	text("routeTls.ca", func(o *control.Options) *string { return &o.RouteTLS.CA }),
	text("check.kind", func(o *control.Options) *string { return &o.Check.Kind }),
	text("check.method", func(o *control.Options) *string { return &o.Check.Method }),
	text("check.path", func(o *control.Options) *string { return &o.Check.Path }),
	text("check.host", func(o *control.Options) *string { return &o.Check.Host }),
	number("check.statusLow", func(o *control.Options) *int { return &o.Check.StatusLow }),
	number("check.statusHigh", func(o *control.Options) *int { return &o.Check.StatusHigh }),
	text("check.send", func(o *control.Options) *string { return &o.Check.Send }),
	text("check.expect", func(o *control.Options) *string { return &o.Check.Expect }),
	number("check.intervalSec", func(o *control.Options) *int { return &o.Check.IntervalSec }),
	number("check.timeoutSec", func(o *control.Options) *int { return &o.Check.TimeoutSec }),
	number("check.fall", func(o *control.Options) *int { return &o.Check.Fall }),
	number("check.rise", func(o *control.Options) *int { return &o.Check.Rise }),
}

// optionForm is what a form says about options, by field. Nil: it says nothing about them.
type optionForm map[string]string

// readOptions takes options as they are typed. A switch that is off is not in a form, so a form that has
// options says so.
func readOptions(form url.Values) optionForm {
	if !form.Has("options") {
		return nil
	}
	typed := optionForm{}
	for _, f := range optionFields {
		typed[f.name] = strings.TrimSpace(strings.ReplaceAll(form.Get(f.name), "\r\n", "\n"))
	}
	return typed
}

// optionsAs is a form as it would be made from options.
func optionsAs(o control.Options) optionForm {
	typed := optionForm{}
	for _, f := range optionFields {
		typed[f.name] = f.get(&o)
	}
	return typed
}

func (form optionForm) into(o *control.Options) {
	for _, f := range optionFields {
		if text, said := form[f.name]; said {
			f.set(o, text)
		}
	}
}

// shown is the form with what the page says beside it.
func (form optionForm) shown() []views.Option {
	initial, bounds := optionsAs(control.DefaultOptions()), control.OptionBounds()
	all := make([]views.Option, 0, len(optionFields))
	for _, f := range optionFields {
		o := views.Option{Field: f.name, Value: form[f.name], Default: initial[f.name]}
		if b, bounded := bounds[f.name]; bounded {
			o.Low, o.High = strconv.FormatInt(b.Low, 10), strconv.FormatInt(b.High, 10)
		}
		all = append(all, o)
	}
	return all
}

// differences lists where a form says something else than what is saved by now.
func (f newForm) differences(saved control.Frontend) []views.Difference {
	theirs := formOf(saved)
	var all []views.Difference
	add := func(field, mine, saved string) {
		if mine != saved {
			all = append(all, views.Difference{Field: field, Mine: mine, Saved: saved})
		}
	}
	add(views.FieldName, f.name, theirs.name)
	add(views.FieldActive, views.OnOff(f.active), views.OnOff(theirs.active))
	add(views.FieldStrategy, control.Strategy(f.strategy).String(), control.Strategy(theirs.strategy).String())
	add(views.FieldTimeout, f.timeout, theirs.timeout)
	add(views.FieldRoutes, f.routesText(), theirs.routesText())
	for _, o := range optionFields {
		if mine, said := f.options[o.name]; said {
			add(views.OptionLabel(o.name), mine, theirs.options[o.name])
		}
	}
	return all
}

func (f newForm) routesText() string {
	var all []string
	for _, r := range f.routes {
		if r.Dest != "" {
			all = append(all, strings.TrimSpace(r.Dest+" "+r.Capacity))
		}
	}
	return strings.Join(all, ", ")
}

// formOf is the form as it would be made from a saved frontend.
func formOf(f control.Frontend) newForm {
	form := newForm{
		name: f.Name, active: f.Active, strategy: int(f.Strategy), timeout: strconv.Itoa(f.RouteTimeoutSec), options: optionsAs(f.Options),
	}
	for _, route := range f.Routes {
		row := views.RouteRow{Dest: route.Dest, Weight: strconv.Itoa(max(1, route.Weight)), Backup: route.Backup}
		if route.Capacity > 0 {
			row.Capacity = strconv.Itoa(route.Capacity)
		}
		form.routes = append(form.routes, row)
	}
	return form
}
