package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// Two people change the same frontend: the second one chooses, for each setting that is not the same, whose is kept.

// seenState is the state of a frontend that a form was made from: the record's revision and the number of its change,
// which finds its settings again.
type seenState struct{ revision, number uint64 }

func seenOf(f control.Frontend) seenState { return seenState{revision: f.Revision, number: f.Number} }

func (s seenState) String() string {
	return strconv.FormatUint(s.revision, 10) + "-" + strconv.FormatUint(s.number, 10)
}

// readSeen reads it from a form. A form without one, as a script may send, changes what is there now.
func readSeen(form url.Values) seenState {
	revision, number, _ := strings.Cut(form.Get("revision"), "-")
	var s seenState
	s.revision, _ = strconv.ParseUint(revision, 10, 64)
	s.number, _ = strconv.ParseUint(number, 10, 64)
	return s
}

// settingText is a setting of a form in words.
type settingText struct{ key, label, text string }

// settings are all that a page may show, which keys are not.
func (f newForm) settings() []settingText {
	all := []settingText{
		{"name", views.FieldName, f.name},
		{"active", views.FieldActive, views.OnOff(f.active)},
		{"strategy", views.FieldStrategy, control.Strategy(f.strategy).String()},
		{"routeTimeoutSec", views.FieldTimeout, f.timeout},
		{"routes", views.FieldRoutes, f.routesText()},
	}
	for _, o := range control.OptionTable {
		if text, said := f.options[o.Field]; said && !o.WriteOnly {
			all = append(all, settingText{o.Field, views.OptionLabel(o.Field), text})
		}
	}
	return all
}

func (f newForm) routesText() string {
	var all []string
	for _, r := range f.routes {
		if r.Dest != "" {
			all = append(all, views.RouteText(r))
		}
	}
	return strings.Join(all, "; ")
}

// differences lists where somebody has saved something else by now than a form says. What the form has as it was
// when it was made (seen) was not typed by its user, so theirs is proposed; nil: nobody knows how it was.
func (f newForm) differences(saved newForm, seen *newForm) []views.Difference {
	theirs := textsOf(saved)
	before := map[string]string{}
	if seen != nil {
		before = textsOf(*seen)
	}
	var all []views.Difference
	for _, mine := range f.settings() {
		was, known := before[mine.key]
		if mine.text == theirs[mine.key] || known && theirs[mine.key] == was {
			continue
		}
		all = append(all, views.Difference{
			Key: mine.key, Label: mine.label, Mine: mine.text, Saved: theirs[mine.key], TakeSaved: known && mine.text == was,
		})
	}
	return all
}

func textsOf(f newForm) map[string]string {
	texts := map[string]string{}
	for _, s := range f.settings() {
		texts[s.key] = s.text
	}
	return texts
}

// takes are the settings that a form answers with "take theirs".
func takes(form url.Values) (keys []string) {
	for name := range form {
		if key, is := strings.CutPrefix(name, views.TakePrefix); is && form.Get(name) == views.TakeSaved {
			keys = append(keys, key)
		}
	}
	return keys
}

// take sets settings to what is saved.
func (f *newForm) take(saved newForm, keys []string) {
	for _, key := range keys {
		switch key {
		case "name":
			f.name = saved.name
		case "active":
			f.active = saved.active
		case "strategy":
			f.strategy = saved.strategy
		case "routeTimeoutSec":
			f.timeout = saved.timeout
		case "routes":
			f.routes = saved.routes
		default:
			if _, said := f.options[key]; said {
				f.options[key] = saved.options[key]
			}
		}
	}
}

// seenForm is the form as it was made, nil when its settings are no longer kept.
func (p *Pages) seenForm(r *http.Request, id string, seen seenState) *newForm {
	if seen.number == 0 {
		return nil
	}
	then, err := p.Control.Revision(r.Context(), id, seen.number)
	if err != nil {
		return nil
	}
	form := formOf(then.Frontend)
	return &form
}
