package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"github.com/xdire/xlb/views"
)

// fragment is a part of a page that an open page replaces by itself: the element with this id.
type fragment struct {
	id   string
	html templ.Component
}

// liveView renders the parts of a page that keep themselves up to date, as the first load shows them: both ask the
// same function for what is in them.
type liveView func(r *http.Request, q url.Values) ([]fragment, error)

// liveViews are the pages that have such parts.
func (p *Pages) liveViews() map[string]liveView {
	return map[string]liveView{
		// Pages without such parts hear whether the server is there, whether it is another build, and when the session ends.
		"page": func(*http.Request, url.Values) ([]fragment, error) { return nil, nil },
		"overview": func(r *http.Request, q url.Values) ([]fragment, error) {
			props, err := p.overviewProps(r, q)
			return []fragment{
				{"overview-live", views.OverviewLive(props.Live)},
				{"frontend-table", views.FrontendTable(props.Frontends)},
			}, err
		},
		"frontends": func(r *http.Request, q url.Values) ([]fragment, error) {
			table, err := p.ownFrontends(r, q)
			return []fragment{{"frontend-table", views.FrontendTable(table)}}, err
		},
		"frontend": func(r *http.Request, q url.Values) ([]fragment, error) {
			head, err := p.head(r, q.Get("id"), "overview")
			if err != nil {
				return nil, err
			}
			live, charts, err := p.frontendParts(r, head, q)
			return []fragment{
				{"frontend-head", views.FrontendTop(head)},
				{"frontend-live", views.FrontendLive(live)},
				{"frontend-charts", views.FrontendCharts(charts)},
			}, err
		},
		"head": func(r *http.Request, q url.Values) ([]fragment, error) {
			head, err := p.head(r, q.Get("id"), q.Get("tab"))
			return []fragment{{"frontend-head", views.FrontendTop(head)}}, err
		},
		"connections": func(r *http.Request, q url.Values) ([]fragment, error) {
			head, err := p.head(r, q.Get("id"), "connections")
			if err != nil {
				return nil, err
			}
			table, ended, err := p.connectionTables(r, head.Frontend.ID, q)
			return []fragment{
				{"frontend-head", views.FrontendTop(head)},
				{"connection-table", views.ConnectionTable(table)},
				{"ended-table", views.EndedTable(ended)},
			}, err
		},
		"refused": func(r *http.Request, q url.Values) ([]fragment, error) {
			head, err := p.head(r, q.Get("id"), "refused")
			if err != nil {
				return nil, err
			}
			table, err := p.refusedTable(r, head.Frontend.ID, q)
			return []fragment{
				{"frontend-head", views.FrontendTop(head)},
				{"refused-table", views.RefusedTable(table)},
			}, err
		},
		"certificate": func(r *http.Request, q url.Values) ([]fragment, error) {
			use, err := p.certificateUse(r, q.Get("id"), q.Get("serial"))
			return []fragment{{"certificate-use", views.CertificateUse(use)}}, err
		},
		"connect": func(r *http.Request, q url.Values) ([]fragment, error) {
			panel, err := p.panel(r, q.Get("id"), unixTime(q.Get("since")), unixTime(q.Get("opened")))
			return []fragment{{"connect-panel", views.ConnectPanel(panel)}}, err
		},
	}
}

// liveURL is the address of a page's event stream: what the reader has chosen for its lists, and pairs of names and
// values that the view needs.
func liveURL(view string, chosen url.Values, pairs ...string) string {
	q := url.Values{"view": {view}}
	for _, name := range listParameters {
		if text := chosen.Get(name); text != "" {
			q.Set(name, text)
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "/events?" + q.Encode()
}

func unixTime(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Now()
	}
	return time.Unix(n, 0)
}
