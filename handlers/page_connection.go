package handlers

import (
	"net/http"
	"net/url"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func (p *Pages) connections(w http.ResponseWriter, r *http.Request) error {
	head, err := p.head(r, idOf(r), "connections")
	if err != nil {
		return err
	}
	f := head.Frontend
	q := r.URL.Query()
	table, err := p.connectionTable(r, f.ID, q)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleConnections(f.Name), "frontends")
	page.Live = liveURL("connections", q, "id", f.ID)
	return p.show(w, r, http.StatusOK, views.Connections(views.ConnectionsProps{Page: page, Head: head, Table: table}))
}

// connectionTable is the list of live connections that q selects.
func (p *Pages) connectionTable(r *http.Request, frontendID string, q url.Values) (views.ConnectionTableProps, error) {
	found, err := p.Control.Connections(r.Context(), frontendID, control.ConnectionQuery{Text: q.Get("q")})
	if err != nil {
		return views.ConnectionTableProps{}, err
	}
	part := pager(len(found.Items), "/frontends/"+frontendID+"/connections", q, "page")
	table := views.ConnectionTableProps{FrontendID: frontendID, Query: q.Get("q"), Total: found.Total, Pager: part}
	for _, c := range found.Items[part.From:part.To] {
		table.Rows = append(table.Rows, views.Connection{
			ID: c.ID, Serial: c.Serial, Name: c.Name, Source: c.Source.String(), Route: c.Route, Since: c.Since,
			Age: c.Age, Idle: c.Idle, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
		})
	}
	return table, nil
}

// closeConnection goes back to the list it was asked from. One that has ended meanwhile is no failure:
// rows are older than what they show.
func (p *Pages) closeConnection(w http.ResponseWriter, r *http.Request) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	code := "closed"
	err = p.Control.CloseConnection(r.Context(), f.ID, r.PostForm.Get("id"))
	switch {
	case control.KindOf(err) == control.KindNotFound:
		code = "ended"
	case err != nil:
		return err
	}
	back := "/frontends/" + f.ID + "/connections"
	if q := r.PostForm.Get("q"); q != "" {
		back += "?" + url.Values{"q": {q}}.Encode()
	}
	return doneAt(w, r, back, code)
}
