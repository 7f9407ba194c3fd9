package handlers

import (
	"slices"
	"testing"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// The settings page has words for every option that can be set, and for no other.
func TestEveryOptionHasWords(t *testing.T) {
	words := views.OptionFields()
	for _, o := range control.OptionTable {
		choices, has := words[o.Field]
		if has == o.ReadOnly {
			t.Errorf("%s has words: %v, want %v", o.Field, has, !o.ReadOnly)
		}
		if len(o.Choices) > 0 && !slices.Equal(choices, o.Choices) {
			t.Errorf("%s: the page offers %q, want %q", o.Field, choices, o.Choices)
		}
		delete(words, o.Field)
	}
	for field := range words {
		t.Errorf("there are words for %s, which is no option", field)
	}
}

// What a page shows of options is what it takes.
func TestOptionFormRoundTrips(t *testing.T) {
	want := control.DefaultFrontend()
	for i, o := range control.OptionTable {
		switch o.Value(&want).(type) {
		case int64:
			o.Set(&want, int64(i))
		case bool:
			o.Set(&want, true)
		default:
			if o.WriteOnly {
				continue // never shown again
			}
			o.Set(&want, o.Field)
			if len(o.Choices) > 0 {
				o.Set(&want, o.Choices[len(o.Choices)-1])
			}
		}
	}
	got := control.DefaultFrontend()
	optionsAs(want).into(&got)
	for _, o := range control.OptionTable {
		if o.Value(&got) != o.Value(&want) {
			t.Errorf("%s is %v after the form, want %v", o.Field, o.Value(&got), o.Value(&want))
		}
	}
}
