package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

type connectionListInput struct {
	FrontendPath
	Limit int    `query:"limit" minimum:"1" maximum:"1000" doc:"Most items in the answer. Default: 1000"`
	Q     string `query:"q" doc:"A part of the source, the route, or the certificate's serial or name"`
}

type connectionBody struct {
	ID       string    `json:"id" doc:"Decimal digits; good until the server restarts"`
	Serial   string    `json:"serial" doc:"Of the certificate, lower-case hex without leading zeros"`
	Name     string    `json:"name" doc:"Of the certificate"`
	Source   string    `json:"source" doc:"address:port"`
	Route    string    `json:"route" doc:"Empty while it waits for one"`
	Since    timestamp `json:"since"`
	AgeMs    int64     `json:"ageMs"`
	IdleMs   int64     `json:"idleMs" doc:"Since a byte last moved"`
	BytesIn  int64     `json:"bytesIn" doc:"From the client"`
	BytesOut int64     `json:"bytesOut" doc:"To the client"`
	Resumed  bool      `json:"resumed" doc:"Whether its TLS session was resumed"`
}

// connectionListBody has the form of all lists, though its next is always null: a program that follows it works here too.
type connectionListBody struct {
	Items []connectionBody `json:"items" nullable:"false"`
	Total int              `json:"total" doc:"How many q selects, with those beyond the limit"`
	Next  *string          `json:"next" doc:"Always null: what changes every moment has no second page"`
}

type connectionListOutput struct{ Body connectionListBody }

type connectionInput struct {
	FrontendPath
	ID string `path:"id" doc:"The connection's id"`
}

type closeConnectionsInput struct {
	FrontendPath
	Route  string `query:"route" doc:"host:port, as in the frontend"`
	Serial string `query:"serial" doc:"Of the certificate; any case, padding and colons are accepted"`
	Source string `query:"source" doc:"An address, or address:port"`
	All    bool   `query:"all" doc:"Every connection of the frontend; goes with none of the others"`
}

type closeConnectionsOutput struct {
	Body struct {
		Closed int   `json:"closed"`
		TookMs int64 `json:"tookMs"`
	}
}

func (a *jsonAPI) registerConnection() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: frontendURL + "/{uuid}/connections" + path, Summary: summary,
			Security: withBearer, Tags: []string{"Connection"},
		}
	}
	register(a, op("list-connections", http.MethodGet, "", "The live connections of a frontend, newest first"), a.listConnections)
	register(a, op("list-ended-connections", http.MethodGet, "/ended", "The connections of a frontend that have ended, newest first, as far as they are remembered: the last 1,000 of a client"), a.listEnded)
	register(a, op("close-connection", http.MethodDelete, "/{id}", "Close a connection with a reset"), a.closeConnection)
	register(a, op("close-connections", http.MethodDelete, "", "Close the connections that fit every filter that is given, at least one"), a.closeConnections)
}

func (a *jsonAPI) listConnections(ctx context.Context, in *connectionListInput) (*connectionListOutput, error) {
	found, err := a.control.Connections(ctx, in.UUID, control.ConnectionQuery{Text: in.Q, Limit: in.Limit})
	if err != nil {
		return nil, inQuery(err)
	}
	body := connectionListBody{Items: make([]connectionBody, 0, len(found.Items)), Total: found.Total}
	for _, one := range found.Items {
		body.Items = append(body.Items, connectionBodyOf(one))
	}
	return &connectionListOutput{body}, nil
}

type endedInput struct {
	FrontendPath
	Limit int `query:"limit" minimum:"1" maximum:"1000" doc:"Most items in the answer. Default: 1000"`
}

type endedBody struct {
	At       timestamp `json:"at" doc:"When it ended"`
	LastedMs int64     `json:"lastedMs"`
	Serial   string    `json:"serial" doc:"Of the certificate"`
	Name     string    `json:"name" doc:"Of the certificate"`
	Source   string    `json:"source" doc:"address:port"`
	Route    string    `json:"route" doc:"Empty when none took it"`
	BytesIn  int64     `json:"bytesIn" doc:"From the client"`
	BytesOut int64     `json:"bytesOut" doc:"To the client"`
	Reason   string    `json:"reason" doc:"Why it ended: a code, as in the log"`
}

type endedOutput struct{ Body listBody[endedBody] }

func (a *jsonAPI) listEnded(ctx context.Context, in *endedInput) (*endedOutput, error) {
	found, err := a.control.Ended(ctx, in.UUID, in.Limit)
	if err != nil {
		return nil, inQuery(err)
	}
	return &endedOutput{listOf(found, 0, endedBodyOf, func(endedBody) string { return "" })}, nil
}

func endedBodyOf(e control.Ended) endedBody {
	return endedBody{
		At: timestampOf(e.At), LastedMs: e.Lasted.Milliseconds(), Serial: e.Serial, Name: e.Name, Source: e.Source.String(),
		Route: e.Route, BytesIn: e.BytesIn, BytesOut: e.BytesOut, Reason: e.Reason,
	}
}

func connectionBodyOf(c control.Connection) connectionBody {
	return connectionBody{
		ID: c.ID, Serial: c.Serial, Name: c.Name, Source: c.Source.String(), Route: c.Route, Since: timestampOf(c.Since),
		AgeMs: c.Age.Milliseconds(), IdleMs: c.Idle.Milliseconds(), BytesIn: c.BytesIn, BytesOut: c.BytesOut, Resumed: c.Resumed,
	}
}

// closeConnection says that there is no such connection when it has ended meanwhile: whoever meant it should know that it
// was not they who closed it.
func (a *jsonAPI) closeConnection(ctx context.Context, in *connectionInput) (*struct{}, error) {
	return nil, a.control.CloseConnection(ctx, in.UUID, in.ID)
}

// closeConnections needs a filter: without one a slip would close everything, so that has to be asked for with all=true.
func (a *jsonAPI) closeConnections(ctx context.Context, in *closeConnectionsInput) (*closeConnectionsOutput, error) {
	began := time.Now()
	closed, err := a.control.CloseConnections(ctx, in.UUID, control.ConnectionFilter{
		Route: in.Route, Serial: in.Serial, Source: in.Source, All: in.All,
	})
	if err != nil {
		return nil, inQuery(err)
	}
	out := &closeConnectionsOutput{}
	out.Body.Closed = closed
	out.Body.TookMs = time.Since(began).Milliseconds()
	return out, nil
}
