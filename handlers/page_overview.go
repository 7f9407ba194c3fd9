package handlers

import (
	"net/http"
	"slices"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func (p *Pages) overview(w http.ResponseWriter, r *http.Request) error {
	table, err := p.table(r, "")
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleOverview, "overview")
	page.Live = live("overview")
	return p.show(w, r, http.StatusOK, views.Overview(views.OverviewProps{
		Page: page, Live: totals(table), Checklist: checklist(table.Rows), Frontends: table,
	}))
}

// checklist says how far a new client has come: nil once a byte has flowed.
func checklist(all []views.Frontend) *views.ChecklistProps {
	c := &views.ChecklistProps{HasFrontend: len(all) > 0}
	for _, f := range all {
		c.HasCertificate = c.HasCertificate || f.Certificates > 0
		if f.BytesOut > 0 || f.State != string(control.StateWaiting) && f.State != string(control.StateOff) {
			return nil
		}
	}
	if c.HasFrontend {
		first := "/frontends/" + all[0].ID
		c.FrontendURL, c.CertificateURL, c.ConnectURL = first, first+"/certificate", first+"/connect"
	}
	return c
}

// totals sums all frontends up.
func totals(table views.FrontendTableProps) views.OverviewLiveProps {
	t := views.OverviewLiveProps{Now: table.Now}
	for _, f := range table.Rows {
		t.Connections, t.Waiting = t.Connections+f.Connections, t.Waiting+f.Waiting
		t.NewPerSec, t.InPerSec, t.OutPerSec = t.NewPerSec+f.NewPerSec, t.InPerSec+f.InPerSec, t.OutPerSec+f.OutPerSec
		t.ConnSamples = addSeries(t.ConnSamples, f.ConnSamples)
		t.NewSamples = addSeries(t.NewSamples, f.NewSamples)
		t.ByteSamples = addSeries(t.ByteSamples, f.ByteSamples)
		t.Attention = append(t.Attention, attention(f, table.Now)...)
	}
	slices.SortStableFunc(t.Attention, func(a, b views.Attention) int {
		switch {
		case a.Bad == b.Bad:
			return 0
		case a.Bad:
			return -1
		}
		return 1
	})
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

// expirySoon is when a certificate's end is worth a row.
const expirySoon = 30 * 24 * time.Hour

// attention lists what is wrong with a frontend.
func attention(f views.Frontend, now time.Time) []views.Attention {
	var rows []views.Attention
	here := "/frontends/" + f.ID
	if f.State == string(control.StateDown) {
		rows = append(rows, views.Attention{Frontend: f.Name, Sentence: views.NoRouteAnswers, Bad: true, URL: here, Link: views.SeeRoute, Since: lastDown(f)})
	}
	if f.State == string(control.StateDegraded) {
		for _, r := range f.Routes {
			if r.State == string(control.StateDown) {
				rows = append(rows, views.Attention{
					Frontend: f.Name, Sentence: views.RouteIsDown(r.Dest, r.Reason, len(f.Routes)-1), Bad: true, Since: r.Since, URL: here, Link: views.SeeRoute,
				})
			}
		}
	}
	if f.Active && !f.NextExpiry.IsZero() && f.NextExpiry.Sub(now) < expirySoon {
		rows = append(rows, views.Attention{
			Frontend: f.Name, Sentence: views.CertificateExpires(now, f.NextExpiry), Bad: f.NextExpiry.Sub(now) < 7*24*time.Hour,
			URL: here + "/certificate", Link: views.IssueNew,
		})
	}
	return rows
}

func lastDown(f views.Frontend) time.Time {
	var at time.Time
	for _, r := range f.Routes {
		if r.Since.After(at) {
			at = r.Since
		}
	}
	return at
}

func (p *Pages) account(w http.ResponseWriter, r *http.Request) error {
	client, err := p.Control.OwnClient(r.Context())
	if err != nil {
		return err
	}
	usage, err := p.Control.Usage(r.Context())
	if err != nil {
		return err
	}
	limits := make([]views.Limit, 0, len(usage))
	for _, u := range usage {
		limits = append(limits, views.Limit{Name: views.LimitName(u.Name), Used: int64(u.Used), Max: int64(u.Max)})
	}
	return p.show(w, r, http.StatusOK, views.Account(views.AccountProps{
		Page: p.base(r, views.TitleAccount, "account"), Admin: client.Admin, CreatedAt: client.CreatedAt,
		Limits: limits,
	}))
}

// showError shows an error page; message is the operation's own, "" for the status's words.
func (p *Pages) showError(w http.ResponseWriter, r *http.Request, status int, message string) {
	props := views.ErrorProps{Page: p.base(r, views.TitleError, ""), Status: status, Message: message}
	if err := p.show(w, r, status, views.Error(props)); err != nil {
		p.Log.DebugContext(r.Context(), "error page not sent", "error", err)
	}
}
