package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

type refusedInput struct {
	FrontendPath
	Reason string `query:"reason" maxLength:"40" doc:"Only those with this code, such as revoked; one that does not exist is refused"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"Most items in the answer. Default: 1000"`
}

type refusedBody struct {
	At     timestamp `json:"at" doc:"The last time"`
	Count  int       `json:"count" doc:"How often the same happened in a row"`
	Reason string    `json:"reason" doc:"A code, as in the log"`
	Detail string    `json:"detail"`
	Source string    `json:"source" doc:"address:port"`
	Serial string    `json:"serial" doc:"Of the certificate, which anybody may show: only a connection proves that its key is there too"`
	Name   string    `json:"name" doc:"Of the certificate"`
	Route  string    `json:"route" doc:"Of one that was let in and then not served"`
}

type refusedOutput struct{ Body listBody[refusedBody] }

func (a *jsonAPI) registerRefused() {
	register(a, huma.Operation{
		OperationID: "list-refused", Method: http.MethodGet, Path: frontendURL + "/{uuid}/refused", Security: withBearer,
		Summary: "Programs that were turned away with a certificate of the frontend, or let in and not served, newest first", Tags: []string{"Connection"},
	}, a.listRefused)
}

func (a *jsonAPI) listRefused(ctx context.Context, in *refusedInput) (*refusedOutput, error) {
	found, err := a.control.Refused(ctx, in.UUID, control.RefusedQuery{Reason: in.Reason, Limit: in.Limit})
	if err != nil {
		return nil, inQuery(err)
	}
	return &refusedOutput{listOf(found, 0, refusedBodyOf, func(r refusedBody) string { return "" })}, nil
}

func refusedBodyOf(a control.Attempt) refusedBody {
	return refusedBody{
		At: timestampOf(a.At), Count: a.Count, Reason: a.Code, Detail: a.Detail, Source: a.Address.String(), Serial: a.Serial, Name: a.Name, Route: a.Route,
	}
}
