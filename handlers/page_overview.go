package handlers

import (
	"cmp"
	"maps"
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
	table, err := p.frontendTable(r, "/", rows, q)
	if err != nil {
		return views.OverviewProps{}, err
	}
	refused, err := p.refusals(r, now)
	if err != nil {
		return views.OverviewProps{}, err
	}
	usage, err := p.Control.Usage(r.Context())
	if err != nil {
		return views.OverviewProps{}, err
	}
	return views.OverviewProps{Live: totals(all, rows, refused, usage, now), Checklist: checklist(all), Frontends: table}, nil
}

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	props, err := p.overviewProps(r, q)
	if err != nil {
		return err
	}
	props.Page = p.base(r, views.TitleOverview, "overview")
	props.Page.Live = liveURL("overview", q)
	if err := p.addBeside(r, &props); err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Overview(props))
}

// besideRows is how many rows the lists beside the frontends have.
const besideRows = 5

// addBeside adds the certificates that expire next and what was changed last.
func (p *Pages) addBeside(r *http.Request, props *views.OverviewProps) error {
	names, err := p.frontendNames(r)
	if err != nil {
		return err
	}
	issued, err := p.Control.Certificates(r.Context(), "", "", 0)
	if err != nil {
		return err
	}
	rows := certificateRows(issued, names, props.Page.Now)
	rows = slices.DeleteFunc(rows, func(c views.Certificate) bool { return c.State != control.CertificateActive })
	slices.SortStableFunc(rows, certificateOrders["end"])
	props.Expiring = rows[:min(len(rows), besideRows)]
	q := activityKinds["changes"]
	q.Limit = besideRows
	found, err := p.Control.Audits(r.Context(), q)
	if err != nil {
		return err
	}
	for _, record := range found.Items {
		props.Changes = append(props.Changes, eventOf(record, names, props.Page.Client))
	}
	return nil
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

// attentionRows is how many rows of what there is to see to stand above the table, which has the rest.
const attentionRows = 12

// totals sums all frontends up, of which rows are what the page shows.
func totals(all []control.Status, rows []views.Frontend, refused refusals, usage []control.Usage, now time.Time) views.OverviewLiveProps {
	t := views.OverviewLiveProps{Now: now, Refused: refused.all, RefusedRevoked: refused.revoked}
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
		t.Attention = append(t.Attention, refused.rows(s)...)
		t.Attention = append(t.Attention, nearLimit(s)...)
	}
	t.Attention = append(t.Attention, nearLimits(usage)...)
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
	if n := len(t.Attention) - attentionRows; n > 0 {
		t.Attention = t.Attention[:attentionRows]
		t.MoreAttention = n
	}
	return t
}

// refusals are who was turned away in the last hour.
type refusals struct {
	all, revoked int
	of           map[string]map[string]*views.Revoked // by frontend, then by serial
}

func (p *Pages) refusals(r *http.Request, now time.Time) (refusals, error) {
	found, err := p.Control.RefusedSince(r.Context(), now.Add(-time.Hour))
	if err != nil {
		return refusals{}, err
	}
	sum := refusals{of: map[string]map[string]*views.Revoked{}}
	for _, a := range found {
		sum.all += a.Count
		if a.Code != control.ReasonRevoked {
			continue
		}
		sum.revoked += a.Count
		of := sum.of[a.FrontendID]
		if of == nil {
			of = map[string]*views.Revoked{}
			sum.of[a.FrontendID] = of
		}
		if of[a.Serial] == nil {
			of[a.Serial] = &views.Revoked{Serial: a.Serial, Name: a.Name, At: a.At} // the newest comes first
		}
		of[a.Serial].Count += a.Count
	}
	return sum, nil
}

// rows are what there is to say of a frontend: programs that still use a certificate that was revoked.
func (sum refusals) rows(s control.Status) []views.Attention {
	var all []views.Attention
	for _, serial := range slices.Sorted(maps.Keys(sum.of[s.ID])) {
		one := sum.of[s.ID][serial]
		all = append(all, views.Attention{
			Frontend: s.Name, Sentence: views.RevokedIsUsed(*one), Since: one.At, URL: "/frontends/" + s.ID + "/refused?reason=revoked", Link: views.SeeWho,
		})
	}
	return all
}

// nearLimit says that a frontend has nearly all connections that its settings allow.
func nearLimit(s control.Status) []views.Attention {
	use := control.Usage{Max: s.Options.MaxConnections, Used: s.Connections}
	if !use.IsNear() {
		return nil
	}
	return []views.Attention{{
		Frontend: s.Name, Sentence: views.LimitIsNear(use.Used, use.Max), Bad: use.Used >= use.Max, URL: "/frontends/" + s.ID + "/settings#limits", Link: views.SeeLimits,
	}}
}

// nearLimits says which limits of the client are nearly used up.
func nearLimits(usage []control.Usage) (rows []views.Attention) {
	for _, u := range usage {
		if u.IsNear() {
			rows = append(rows, views.Attention{
				Frontend: views.LimitName(u.Name), Sentence: views.LimitOfClientIsNear(u.Used, u.Max), Bad: u.Used >= u.Max, URL: "/account#limits-h", Link: views.SeeLimits,
			})
		}
	}
	return rows
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
