package views

import "strings"

// Option is one option of a frontend as the settings page shows it.
type Option struct {
	Field     string // in the API
	Value     string // as typed; "on" or "" of a switch
	Default   string // the same, as it would be untouched
	Low, High string // bounds of a number, "" when it is none
	Zero      string // what 0 stands for, "" where it is nothing special
	Unit      string // of a number
}

// optionsOf are the options of a group, in the order of the page, with their words.
func optionsOf(p SettingsProps, group string) []shownOption {
	var all []shownOption
	for _, t := range optionTexts {
		if t.group == group {
			all = append(all, shownOption{Option: optionIn(p.Options, t.field), optionText: t.optionText, err: p.Errors[t.field]})
		}
	}
	return all
}

type shownOption struct {
	Option
	optionText
	err string
}

func optionIn(all []Option, field string) Option {
	for _, o := range all {
		if o.Field == field {
			return o
		}
	}
	return Option{Field: field}
}

func (o shownOption) id() string { return strings.ReplaceAll(o.Field, ".", "-") }

func (o shownOption) changed() bool { return o.Value != o.Default }

// class hides an option that does nothing now, unless something is wrong with it.
func (o shownOption) class() string {
	if o.err != "" {
		return ""
	}
	return o.only
}

func (o shownOption) input() input {
	in := input{id: o.id(), by: o.id() + "-h", name: o.Field, label: o.label, kind: "text", value: o.Value, err: o.err, unit: o.Unit, autocomplete: "off", mono: true}
	if o.kind == "number" {
		in.mode = "numeric"
		in.kind = "number"
		in.low = o.Low
		in.high = o.High
	}
	return in
}
