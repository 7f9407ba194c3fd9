package handlers

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// refusedRanges are how far back the list goes, as the address has them; zero for all that is remembered.
var refusedRanges = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "all": 0}

func (p *Pages) refused(w http.ResponseWriter, r *http.Request) error {
	head, err := p.head(r, idOf(r), "refused")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	table, err := p.refusedTable(r, head.Frontend.ID, q)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleRefused(head.Frontend.Name), "frontends")
	page.Live = liveURL("refused", q, "id", head.Frontend.ID)
	return p.show(w, r, http.StatusOK, views.Refused(views.RefusedProps{Page: page, Head: head, Table: table}))
}

// refusedTable is who was turned away, as q selects.
func (p *Pages) refusedTable(r *http.Request, id string, q url.Values) (views.RefusedTableProps, error) {
	f, err := p.Control.Frontend(r.Context(), id)
	if err != nil {
		return views.RefusedTableProps{}, err
	}
	all, err := p.Control.Refused(r.Context(), f.ID, control.RefusedQuery{})
	if err != nil {
		return views.RefusedTableProps{}, err
	}
	table := views.RefusedTableProps{Now: time.Now(), FrontendID: f.ID, Range: q.Get("range"), Reason: q.Get("reason")}
	back, known := refusedRanges[table.Range]
	if !known {
		table.Range = "1h"
		back = time.Hour
	}
	counts := map[string]int{}
	for _, a := range all {
		if back > 0 && table.Now.Sub(a.At) > back {
			continue
		}
		row := p.refusedRow(r, a, f)
		if counts[a.Code] == 0 {
			table.Reasons = append(table.Reasons, views.RefusedReason{Code: a.Code, Headline: row.Headline})
		}
		counts[a.Code] += a.Count
		if table.Reason == "" || table.Reason == a.Code {
			table.Rows = append(table.Rows, row)
		}
	}
	for i := range table.Reasons {
		table.Reasons[i].Count = counts[table.Reasons[i].Code]
	}
	slices.SortStableFunc(table.Reasons, func(a, b views.RefusedReason) int { return cmp.Compare(b.Count, a.Count) })
	table.Pager = pager(len(table.Rows), "/frontends/"+f.ID+"/refused", q, "page")
	table.Rows = table.Rows[table.Pager.From:table.Pager.To]
	return table, nil
}

func (p *Pages) refusedRow(r *http.Request, a control.Attempt, f control.Frontend) views.RefusedRow {
	headline, sentence := views.Explain(p.facts(r, a, f, p.Control.OwnLimits(r.Context()).Connections))
	return views.RefusedRow{
		First: a.First, At: a.At, Count: a.Count, Headline: views.ReasonName(headline), Sentence: sentence,
		Serial: a.Serial, Name: a.Name, Address: a.Address.Addr().String(),
	}
}
