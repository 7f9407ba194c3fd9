package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// state is one that a list may be narrowed to.
type state[T any] struct {
	value, name string
	has         func(T) bool
}

// isBroken is what there is to see to first.
func isBroken(f views.Frontend) bool { return f.State == "down" || f.State == "degraded" }

var frontendStates = []state[views.Frontend]{
	{"", views.StateAll, func(views.Frontend) bool { return true }},
	{"problems", views.StateProblems, isBroken},
	{"up", views.StateUpName, func(f views.Frontend) bool { return f.State == "up" }},
	{"unused", views.StateUnused, func(f views.Frontend) bool { return f.State == "waiting" }},
	{"off", views.StateOffName, func(f views.Frontend) bool { return f.State == "off" }},
}

// health orders states, the worst first.
var health = map[string]int{"down": 0, "degraded": 1, "up": 2, "waiting": 3, "off": 4}

// frontendOrders put frontends in order, each in its natural direction. Where two are alike the older one comes first.
var frontendOrders = map[string]func(a, b views.Frontend) int{
	"health": func(a, b views.Frontend) int { return cmp.Compare(health[a.State], health[b.State]) },
	"name": func(a, b views.Frontend) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	},
	"connections": func(a, b views.Frontend) int { return cmp.Compare(b.Connections, a.Connections) },
	"traffic": func(a, b views.Frontend) int {
		return cmp.Compare(b.InPerSec+b.OutPerSec, a.InPerSec+a.OutPerSec)
	},
	"certificate": func(a, b views.Frontend) int { return soonestFirst(a.NextExpiry, b.NextExpiry) },
}

// soonestFirst orders ends; those that there are none of come last.
func soonestFirst(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// narrow is the rows that q selects, in the order that it asks for, and what the list may be narrowed to.
func narrow[T any](rows []T, path string, q url.Values, states []state[T], orders map[string]func(a, b T) int, usual string, matches func(T, string) bool) ([]T, views.List) {
	list := views.List{Path: path, Query: strings.TrimSpace(q.Get("q"))}
	kept := make([]T, 0, len(rows))
	for _, row := range rows {
		if list.Query == "" || matches(row, strings.ToLower(list.Query)) {
			kept = append(kept, row)
		}
	}
	chosen := states[0]
	for _, s := range states {
		n := 0
		for _, row := range kept {
			if s.has(row) {
				n++
			}
		}
		list.States = append(list.States, views.ListState{Value: s.value, Name: s.name, Count: n})
		if s.value == q.Get("state") {
			chosen = s
		}
	}
	list.State = chosen.value
	kept = slices.DeleteFunc(kept, func(row T) bool { return !chosen.has(row) })
	by, backwards := strings.CutPrefix(q.Get("sort"), "-")
	order, known := orders[by]
	if known {
		list.Sort = q.Get("sort")
	} else {
		order = orders[usual]
		backwards = false
	}
	slices.SortStableFunc(kept, func(a, b T) int {
		if backwards {
			return order(b, a)
		}
		return order(a, b)
	})
	return kept, list
}

// frontendTable is the list of the frontends that q selects.
func (p *Pages) frontendTable(r *http.Request, path string, all []views.Frontend, q url.Values) (views.FrontendTableProps, error) {
	table := views.FrontendTableProps{Now: time.Now(), Total: len(all), Limit: max(0, p.Control.OwnLimits(r.Context()).Frontends)}
	serials := map[string]bool{}
	if text := strings.ToLower(strings.TrimSpace(q.Get("q"))); text != "" {
		issued, err := p.Control.Certificates(r.Context(), "", "", 0)
		if err != nil {
			return table, err
		}
		for _, c := range issued {
			if control.HasSerial(c.Serial, text) {
				serials[c.FrontendID] = true
			}
		}
	}
	table.Rows, table.List = narrow(all, path, q, frontendStates, frontendOrders, "health", func(f views.Frontend, text string) bool {
		return matches(f, text) || serials[f.ID]
	})
	table.List.Label = views.FrontendFilter
	table.List.Hint = views.FrontendFilterHint
	table.Pager = pager(len(table.Rows), path, q, "page")
	table.Rows = table.Rows[table.Pager.From:table.Pager.To]
	return table, nil
}

func matches(f views.Frontend, text string) bool {
	if strings.Contains(strings.ToLower(f.Name), text) || strings.Contains(f.AccessKey, text) {
		return true
	}
	for _, route := range f.Routes {
		if strings.Contains(strings.ToLower(route.Dest), text) {
			return true
		}
	}
	return false
}

var certificateStates = []state[views.Certificate]{
	{"", views.StateAll, func(views.Certificate) bool { return true }},
	{"active", views.StateActive, func(c views.Certificate) bool { return c.State == "active" }},
	{"expiring", views.StateExpiring, func(c views.Certificate) bool {
		return c.State == "active" && time.Until(c.NotAfter) < control.ExpirySoon
	}},
	{"expired", views.StateExpired, func(c views.Certificate) bool { return c.State == "expired" }},
	{"revoked", views.StateRevoked, func(c views.Certificate) bool {
		return c.State == "revoked" || c.State == "gone" || c.State == "retired"
	}},
}

// standing orders the states of certificates: what is in force first, as it is what ends.
var standing = map[string]int{"active": 0, "expired": 1, "revoked": 2, "retired": 2, "gone": 3}

var certificateOrders = map[string]func(a, b views.Certificate) int{
	"end": func(a, b views.Certificate) int {
		return cmp.Or(cmp.Compare(standing[a.State], standing[b.State]), a.NotAfter.Compare(b.NotAfter))
	},
	"name": func(a, b views.Certificate) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	},
	"frontend": func(a, b views.Certificate) int {
		return strings.Compare(strings.ToLower(a.FrontendName), strings.ToLower(b.FrontendName))
	},
	"issued": func(a, b views.Certificate) int { return b.IssuedAt.Compare(a.IssuedAt) },
	"used": func(a, b views.Certificate) int {
		return cmp.Or(cmp.Compare(b.Open, a.Open), b.UsedAt.Compare(a.UsedAt))
	},
}

// certificateList is the certificates that q selects.
func certificateList(rows []views.Certificate, path string, q url.Values) ([]views.Certificate, views.List, views.Pager) {
	kept, list := narrow(rows, path, q, certificateStates, certificateOrders, "end", func(c views.Certificate, text string) bool {
		return strings.Contains(strings.ToLower(c.Name), text) || strings.Contains(strings.ToLower(c.FrontendName), text) || control.HasSerial(c.Serial, text)
	})
	list.Label = views.CertificateFilter
	list.Hint = views.CertificateFilterHint
	part := pager(len(kept), path, q, "page")
	return kept[part.From:part.To], list, part
}
