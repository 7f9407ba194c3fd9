package control

import (
	"net/netip"
	"testing"
)

func sampleConnections() map[string]Connection {
	return map[string]Connection{
		"a": {Serial: "4e91c3", Name: "Checkout-Prod", Source: netip.MustParseAddrPort("10.2.0.14:51884"), Route: "10.0.4.11:5432"},
		"b": {Serial: "4e91c3", Name: "Checkout-Prod", Source: netip.MustParseAddrPort("10.2.0.14:51902"), Route: "db.internal:5432"},
		"c": {Serial: "91ab07", Source: netip.MustParseAddrPort("[2001:db8::7]:33810")}, // waits for a route
	}
}

func chosen(names func(Connection) bool) string {
	text := ""
	for _, key := range []string{"a", "b", "c"} {
		if names(sampleConnections()[key]) {
			text += key
		}
	}
	return text
}

func TestConnectionMatchesText(t *testing.T) {
	for text, want := range map[string]string{
		"": "abc", "10.2.0.14": "ab", "51902": "b", "db.internal": "b", "4e91": "ab", "checkout": "ab", "2001:db8": "c",
		"4e:91:c3": "ab", "0091ab07": "c", ":5432": "ab", "nothing": "",
	} {
		if got := chosen(func(c Connection) bool { return matches(c, text) }); got != want {
			t.Errorf("%q selects %q, want %q", text, got, want)
		}
	}
}

func TestConnectionFilterNames(t *testing.T) {
	for _, tc := range []struct {
		filter ConnectionFilter
		want   string
	}{
		{ConnectionFilter{All: true}, "abc"},
		{ConnectionFilter{Route: "10.0.4.11:5432"}, "a"},
		{ConnectionFilter{Route: "10.0.4.11"}, ""},
		{ConnectionFilter{Serial: "4E:91:C3"}, "ab"},
		{ConnectionFilter{Serial: "4e91"}, ""},
		{ConnectionFilter{Source: "10.2.0.14"}, "ab"},
		{ConnectionFilter{Source: "::ffff:10.2.0.14"}, "ab"},
		{ConnectionFilter{Source: "10.2.0.14:51902"}, "b"},
		{ConnectionFilter{Source: "[2001:db8::7]:33810"}, "c"},
		{ConnectionFilter{Source: "2001:db8:0::7"}, "c"},
		{ConnectionFilter{Source: "10.2.0.1"}, ""},
		{ConnectionFilter{Serial: "4e91c3", Route: "db.internal:5432"}, "b"},
		{ConnectionFilter{Serial: "91ab07", Source: "10.2.0.14"}, ""},
	} {
		names, err := tc.filter.check(nil)
		if err != nil {
			t.Errorf("%+v: %v", tc.filter, err)
			continue
		}
		if got := chosen(names); got != tc.want {
			t.Errorf("%+v names %q, want %q", tc.filter, got, tc.want)
		}
	}
}

func TestConnectionFilterThatNamesNothingIsRefused(t *testing.T) {
	for _, tc := range []struct {
		filter ConnectionFilter
		fields []string
	}{
		{ConnectionFilter{}, []string{"all"}},
		{ConnectionFilter{All: true, Route: "10.0.0.1:80"}, []string{"all"}},
		{ConnectionFilter{Serial: "xyz"}, []string{"serial"}},
		{ConnectionFilter{Serial: "0"}, []string{"serial"}},
		{ConnectionFilter{Source: "10.2.0.0/16"}, []string{"source"}},
		{ConnectionFilter{Source: "db.internal"}, []string{"source"}},
		{ConnectionFilter{Serial: "xyz", Source: "x"}, []string{"serial", "source"}},
	} {
		_, err := tc.filter.check(nil)
		problems := Problems(err)
		if len(problems) != len(tc.fields) {
			t.Errorf("%+v: %v, want %v", tc.filter, err, tc.fields)
			continue
		}
		for i, field := range tc.fields {
			if problems[i].Field != field || problems[i].Kind != KindInvalid {
				t.Errorf("%+v: %v, want %s", tc.filter, problems[i], field)
			}
		}
	}
}
