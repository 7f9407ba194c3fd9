package views

import (
	"fmt"
	"math"
	"net/url"
)

// Icons of states: each has a shape and a colour, and the word stands beside it.
type mark struct{ symbol, class, badge string }

// markOf is the shape of the state of a frontend, a route or a certificate.
func markOf(state string) mark {
	switch state {
	case "up", "active":
		return mark{"m-up", "up", "ok"}
	case "degraded":
		return mark{"m-tri", "warn", "warn"}
	case "ejected":
		return mark{"m-tri", "warn", "warn"}
	case "draining":
		return mark{"m-half", "", ""}
	case "maintenance":
		return mark{"m-sq", "", ""}
	case "down", "expired":
		return mark{"m-dia", "down", "bad"}
	case "waiting":
		return mark{"m-ring", "live", ""}
	case "off", "revoked", "gone", "retired":
		return mark{"m-dash", "", ""}
	}
	return mark{"m-ring", "", ""}
}

func asset(p Page, name string) string {
	if p.Asset == nil {
		return ""
	}
	return p.Asset(name)
}

func frontendURL(id string) string    { return "/frontends/" + id }
func settingsURL(id string) string    { return frontendURL(id) + "/settings" }
func certificateURL(id string) string { return frontendURL(id) + "/certificate" }
func connectURL(id string) string     { return frontendURL(id) + "/connect" }
func refusedURL(id string) string     { return frontendURL(id) + "/refused" }
func testURL(id string) string        { return frontendURL(id) + "/test" }

func frontendCertificatesURL(id string) string { return frontendURL(id) + "/certificates" }
func connectionsURL(id string) string          { return frontendURL(id) + "/connections" }
func revokeURL(id, serial string) string {
	return frontendURL(id) + "/certificates/" + serial + "/revoke"
}
func serialURL(id, serial string) string { return frontendURL(id) + "/certificates/" + serial }
func renewURL(id, serial string) string  { return serialURL(id, serial) + "/renew" }
func revokeBeforeURL(id string) string   { return frontendURL(id) + "/certificates/revoke" }

func connectionsWithURL(id, serial string) string { return connectionsURL(id) + "?q=" + serial }
func activityOf(text string) string               { return "/activity?q=" + url.QueryEscape(text) }

func offURL(id string) string    { return frontendURL(id) + "/off" }
func onURL(id string) string     { return frontendURL(id) + "/on" }
func deleteURL(id string) string { return frontendURL(id) + "/delete" }

func highest(samples []float64) float64 {
	top := 0.0
	for _, v := range samples {
		if !math.IsNaN(v) {
			top = max(top, v)
		}
	}
	return top
}

func initial(name string) string {
	for _, r := range name {
		return string(r)
	}
	return product[:1]
}

// padded returns rows with at least n entries, so that a page without scripts has room to type.
func padded(rows []RouteRow, n int) []RouteRow {
	out := append([]RouteRow(nil), rows...)
	for len(out) < n {
		out = append(out, RouteRow{})
	}
	return out
}

// describe joins the ids of what describes an input, leaving out what is not there.
func describe(ids ...string) string {
	s := ""
	for _, id := range ids {
		if id == "" {
			continue
		}
		if s != "" {
			s += " "
		}
		s += id
	}
	return s
}

func box(width, height int) string { return fmt.Sprintf("0 0 %d %d", width, height) }

func themeOf(p Page) string {
	if p.Theme == "" {
		return themes[0].value
	}
	return p.Theme
}
