package handlers

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// manyConnections is from how many on it is asked before they are closed.
const manyConnections = 10

func (p *Pages) connections(w http.ResponseWriter, r *http.Request) error {
	head, err := p.head(r, idOf(r), "connections")
	if err != nil {
		return err
	}
	f := head.Frontend
	q := r.URL.Query()
	table, ended, err := p.connectionTables(r, f.ID, q)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleConnections(f.Name), "frontends")
	page.Live = liveURL("connections", q, "id", f.ID)
	return p.show(w, r, http.StatusOK, views.Connections(views.ConnectionsProps{Page: page, Head: head, Table: table, Ended: ended}))
}

// connectionTables are the lists of live connections that q selects, and of those that have ended.
func (p *Pages) connectionTables(r *http.Request, frontendID string, q url.Values) (views.ConnectionTableProps, views.EndedTableProps, error) {
	table := views.ConnectionTableProps{FrontendID: frontendID, Query: q.Get("q"), Route: q.Get("route")}
	ended := views.EndedTableProps{FrontendID: frontendID}
	found, err := p.Control.Connections(r.Context(), frontendID, control.ConnectionQuery{Text: table.Query, Route: table.Route})
	if err != nil {
		return table, ended, err
	}
	path := "/frontends/" + frontendID + "/connections"
	table.Total = found.Total
	table.Pager = pager(len(found.Items), path, q, "page")
	for _, c := range found.Items[table.Pager.From:table.Pager.To] {
		table.Rows = append(table.Rows, connectionRow(c))
	}
	before, err := p.Control.Ended(r.Context(), frontendID, 0)
	if err != nil {
		return table, ended, err
	}
	ended.Pager = pager(len(before), path, q, "ended")
	for _, c := range before[ended.Pager.From:ended.Pager.To] {
		ended.Rows = append(ended.Rows, endedRow(c))
	}
	return table, ended, nil
}

func connectionRow(c control.Connection) views.Connection {
	return views.Connection{
		ID: c.ID, Serial: c.Serial, Name: c.Name, Source: c.Source.String(), Route: c.Route, Since: c.Since,
		Age: c.Age, Idle: c.Idle, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
	}
}

func endedRow(c control.Ended) views.Ended {
	return views.Ended{
		At: c.At, Serial: c.Serial, Name: c.Name, Source: c.Source.String(), Route: c.Route, Lasted: c.Lasted,
		BytesIn: c.BytesIn, BytesOut: c.BytesOut, Reason: c.Reason,
	}
}

// closeConnections goes back to the list it was asked from. One that has ended meanwhile is no failure:
// rows are older than what they show.
func (p *Pages) closeConnections(w http.ResponseWriter, r *http.Request) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	form := r.PostForm
	ids := form["id"]
	if len(ids) >= manyConnections && form.Get("sure") == "" {
		return p.show(w, r, http.StatusOK, views.CloseQuestion(views.CloseQuestionProps{
			Page: p.base(r, views.TitleConnections(f.Name), "frontends"), FrontendName: f.Name, IDs: ids,
			Table: views.ConnectionTableProps{FrontendID: f.ID, Query: form.Get("q"), Route: form.Get("route")},
		}))
	}
	closed := 0
	for _, id := range ids {
		err := p.Control.CloseConnection(r.Context(), f.ID, id)
		switch {
		case err == nil:
			closed++
		case control.KindOf(err) != control.KindNotFound:
			return err
		}
	}
	code := fmt.Sprintf("closed:%d", closed)
	if closed == 0 && len(ids) == 1 {
		code = "ended"
	}
	kept := url.Values{}
	for _, name := range []string{"q", "route"} {
		if text := form.Get(name); text != "" {
			kept.Set(name, text)
		}
	}
	back := "/frontends/" + f.ID + "/connections"
	if len(kept) > 0 {
		back += "?" + kept.Encode()
	}
	return doneAt(w, r, back, code)
}
