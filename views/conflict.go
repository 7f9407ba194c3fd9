package views

import (
	"cmp"
	"strings"
)

// Difference is a setting that has another value in a form than what was saved since.
type Difference struct {
	Key, Label  string // as in the API, and for people
	Mine, Saved string
	TakeSaved   bool // what is saved is proposed
}

// What a form says of a difference: a field of this name, which is TakeSaved when theirs is taken.
const (
	TakePrefix = "take-"
	TakeSaved  = "saved"
)

// shown is a value as people read it.
func (d Difference) shown(text string) string {
	for _, o := range optionTexts {
		if o.field != d.Key {
			continue
		}
		if o.kind == "switch" {
			return OnOff(text != "")
		}
		for _, c := range o.choices {
			if c.value == text {
				return c.name
			}
		}
	}
	return cmp.Or(text, nothingWord)
}

// RouteText is a route with its settings in words.
func RouteText(r RouteRow) string {
	all := []string{r.Dest}
	if r.Capacity != "" && r.Capacity != "0" {
		all = append(all, capacityOf(r.Capacity))
	}
	if r.Weight != "" && r.Weight != "1" {
		all = append(all, weightOf(r.Weight))
	}
	if r.Backup {
		all = append(all, roleBackup)
	}
	return strings.Join(all, ", ")
}
