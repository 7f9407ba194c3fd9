package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// overviewProps is what the overview shows.
func (p *Pages) overviewProps(r *http.Request, q url.Values) (views.OverviewProps, error) {
	all, err := p.Control.Statuses(r.Context())
	if err != nil {
		return views.OverviewProps{}, err
	}
	now := time.Now()
	rows := frontendRows(all)
	part := pager(len(rows), "/", q, "page")
	return views.OverviewProps{
		Live: totals(all, rows, now), Checklist: checklist(all),
		Frontends: views.FrontendTableProps{
			Now: now, Total: len(all), Limit: max(0, p.Control.OwnLimits(r.Context()).Frontends), Rows: rows[part.From:part.To],
			Pager: part,
		},
	}, nil
}

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	props, err := p.overviewProps(r, q)
	if err != nil {
		return err
	}
	props.Page = p.base(r, views.TitleOverview, "overview")
	props.Page.Live = liveURL("overview", q)
	return p.show(w, r, http.StatusOK, views.Overview(props))
}

// checklist says how far a new client has come: nil once a byte has flowed.
func checklist(all []control.Status) *views.ChecklistProps {
	c := &views.ChecklistProps{HasFrontend: len(all) > 0}
	for _, s := range all { // one that works is enough: who has made a second frontend knows how
		c.HasCertificate = c.HasCertificate || s.Certificates > 0
		if !s.IsNew() {
			return nil
		}
	}
	if c.HasFrontend {
		first := "/frontends/" + all[0].ID
		c.FrontendURL = first
		c.CertificateURL = first + "/certificate"
		c.ConnectURL = first + "/connect"
	}
	return c
}

// totals sums all frontends up, of which rows are what the page shows.
func totals(all []control.Status, rows []views.Frontend, now time.Time) views.OverviewLiveProps {
	t := views.OverviewLiveProps{Now: now}
	for i, s := range all {
		f := rows[i]
		t.Connections += f.Connections
		t.Waiting += f.Waiting
		t.NewPerSec += f.NewPerSec
		t.InPerSec += f.InPerSec
		t.OutPerSec += f.OutPerSec
		t.ConnSamples = addSeries(t.ConnSamples, f.ConnSamples)
		t.NewSamples = addSeries(t.NewSamples, f.NewSamples)
		t.ByteSamples = addSeries(t.ByteSamples, f.ByteSamples)
		for _, a := range s.Attention(now) {
			t.Attention = append(t.Attention, attentionRow(s, a, now))
		}
	}
	// Stable: a list that changes its order while somebody reads it is worse than one in no order.
	slices.SortStableFunc(t.Attention, func(a, b views.Attention) int {
		switch {
		case a.Bad == b.Bad:
			return 0
		case a.Bad:
			return -1
		}
		return 1
	})
	if n := len(t.Attention) - rowsPerPage; n > 0 {
		t.Attention = t.Attention[:rowsPerPage]
		t.MoreAttention = n
	}
	return t
}

// addSeries sums two series that end at the same moment.
func addSeries(a, b []float64) []float64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := append([]float64(nil), a...)
	for i, v := range b {
		sum[len(a)-len(b)+i] += v
	}
	return sum
}

// attentionRow has the words for what there is to see to.
func attentionRow(s control.Status, a control.Attention, now time.Time) views.Attention {
	here := "/frontends/" + s.ID
	row := views.Attention{Frontend: s.Name, Bad: a.Urgent, Since: a.Since, URL: here, Link: views.SeeRoute}
	switch a.Kind {
	case control.NoRouteAnswers:
		row.Sentence = views.NoRouteAnswers
	case control.RouteIsDown:
		row.Sentence = views.RouteIsDown(a.Route.Dest, views.RouteReason(a.Route.Reason), a.Others)
	case control.CertificateExpires:
		row.Sentence = views.CertificateExpires(now, a.Expires)
		row.URL = here + "/certificate"
		row.Link = views.IssueNew
	}
	return row
}

// comesBack is after how many seconds a page is asked for again when the server could not answer.
const comesBack = 5

// showError shows an error page; message is the operation's own, "" for the status's words.
func (p *Pages) showError(w http.ResponseWriter, r *http.Request, status int, message string) {
	props := views.ErrorProps{
		Page: p.base(r, views.TitleError, ""), Status: status, Message: message, OfAdmin: strings.HasPrefix(r.URL.Path, "/admin"),
	}
	props.RetryAfter, _ = strconv.Atoi(w.Header().Get("Retry-After")) // 0: nobody has said
	if status == http.StatusServiceUnavailable && r.Method == http.MethodGet {
		props.ComesBack = cmp.Or(props.RetryAfter, comesBack)
		w.Header().Set("Refresh", strconv.Itoa(props.ComesBack)) // what the scripts do after a swap, for who has none
	}
	if err := p.show(w, r, status, views.Error(props)); err != nil {
		p.Log.DebugContext(r.Context(), "error page not sent", "error", err)
	}
}
