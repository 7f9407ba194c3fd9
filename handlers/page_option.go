package handlers

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// optionForm is what a form says about options, by field: text. Nil: it says nothing about them.
type optionForm map[string]string

// switchOn is what a form sends of a switch that is on.
const switchOn = "on"

// readOptions takes options as they are typed. A switch that is off is not in a form, so a form that has
// options says so. Other fields that are not in it come from an older page and say nothing.
func readOptions(form url.Values) optionForm {
	if !form.Has("options") {
		return nil
	}
	typed := optionForm{}
	for _, o := range control.OptionTable {
		_, isSwitch := o.Value(&control.FrontendSpec{}).(bool)
		if !o.ReadOnly && (isSwitch || form.Has(o.Field)) {
			typed[o.Field] = strings.TrimSpace(strings.ReplaceAll(form.Get(o.Field), "\r\n", "\n"))
		}
	}
	return typed
}

// optionsAs is a form as it would be made from a frontend.
func optionsAs(spec control.FrontendSpec) optionForm {
	typed := optionForm{}
	for _, o := range control.OptionTable {
		if !o.ReadOnly {
			typed[o.Field] = optionText(o.Value(&spec))
		}
	}
	return typed
}

func optionText(value any) string {
	switch v := value.(type) {
	case bool:
		if !v {
			return ""
		}
		return switchOn
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return value.(string)
}

func (form optionForm) into(spec *control.FrontendSpec) {
	for _, o := range control.OptionTable {
		if text, said := form[o.Field]; said {
			o.Set(spec, typedOption(o, text))
		}
	}
}

// typedOption is the value that a text in a form stands for. What is empty is the default, unless any text will
// do; what is no number is refused by the rules.
func typedOption(o control.Option, text string) any {
	switch o.Value(&control.FrontendSpec{}).(type) {
	case bool:
		return text != ""
	case int64:
		if text == "" {
			return nil
		}
		return int64(atoi(text, notANumber))
	}
	if text == "" && len(o.Choices) > 0 {
		return nil
	}
	return text
}

// shown is the form with what the page says beside it. A secret is not shown again.
func (form optionForm) shown() []views.Option {
	initial := optionsAs(control.DefaultFrontend())
	var all []views.Option
	for _, o := range control.OptionTable {
		if o.ReadOnly {
			continue
		}
		shown := views.Option{Field: o.Field, Value: form[o.Field], Default: initial[o.Field], Unit: o.Unit, Zero: o.Zero}
		if o.WriteOnly {
			shown.Value = ""
		}
		if _, isNumber := o.Value(&control.FrontendSpec{}).(int64); isNumber {
			shown.Low = strconv.FormatInt(o.Low, 10)
			shown.High = strconv.FormatInt(o.High, 10)
		}
		all = append(all, shown)
	}
	return all
}

// formOf is the form as it would be made from a saved frontend.
func formOf(f control.Frontend) newForm {
	form := newForm{
		name: f.Name, active: f.Active, strategy: int(f.Strategy), timeout: strconv.Itoa(f.RouteTimeoutSec), options: optionsAs(f.FrontendSpec),
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
