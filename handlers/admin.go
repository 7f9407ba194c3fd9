package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const adminURL = apiPrefix + "/admin/clients"

// ClientPath names a client.
type ClientPath struct {
	UUID string `path:"uuid" doc:"The client's uuid"`
}

type adminClientBody struct {
	UUID        string    `json:"uuid"`
	Name        string    `json:"name"`
	Admin       bool      `json:"admin"`
	Disabled    bool      `json:"disabled"`
	CreatedAt   timestamp `json:"createdAt"`
	Frontends   int       `json:"frontends"`
	Connections int       `json:"connections" doc:"Open now"`
}

type adminClientListOutput struct{ Body listBody[adminClientBody] }

type disableClientInput struct {
	ClientPath
	Body struct {
		Disabled optional[bool] `json:"disabled,omitempty" doc:"Shut out, or let in again"`
		Limits   *limitsInput   `json:"limits,omitempty" doc:"0 is no bound, null the server's default; what is absent stays"`
	}
}

// limitsInput are the limits of a client, by name.
type limitsInput struct {
	Frontends         optional[int] `json:"frontends,omitempty"`
	RoutesPerFrontend optional[int] `json:"routesPerFrontend,omitempty"`
	Certificates      optional[int] `json:"certificates,omitempty" doc:"Neither revoked nor expired"`
	Connections       optional[int] `json:"connections,omitempty" doc:"At once"`
	ConnectionsPerSec optional[int] `json:"connectionsPerSec,omitempty"`
	BytesPerSec       optional[int] `json:"bytesPerSec,omitempty" doc:"Both directions together"`
	RequestsPerSec    optional[int] `json:"requestsPerSec,omitempty" doc:"Of this API"`
	NewDestinations   optional[int] `json:"newDestinationsPerHour,omitempty" doc:"That may be tried, and saved, and no saved route has"`
}

// changes are the limits that are given; null is -1, the server's default.
func (in *limitsInput) changes() (map[string]int, error) {
	changes := map[string]int{}
	var problems []error
	for name, o := range map[string]optional[int]{
		"frontends": in.Frontends, "routesPerFrontend": in.RoutesPerFrontend, "certificates": in.Certificates, "connections": in.Connections,
		"connectionsPerSec": in.ConnectionsPerSec, "bytesPerSec": in.BytesPerSec, "requestsPerSec": in.RequestsPerSec,
		"newDestinationsPerHour": in.NewDestinations,
	} {
		switch {
		case o.null:
			changes[name] = -1
		case o.given && o.value < 0:
			problems = append(problems, &control.Error{Kind: control.KindInvalid, Field: "limits." + name, Message: "Use a positive number, 0 for no bound, or null for the default."})
		case o.given:
			changes[name] = o.value
		}
	}
	return changes, errors.Join(problems...)
}

type usageBody struct {
	Name string `json:"name"`
	Used int    `json:"used" doc:"Now; of rates always 0"`
	Max  int    `json:"max" doc:"0: no bound"`
}

type usageOutput struct{ Body listBody[usageBody] }

func (a *jsonAPI) usage(ctx context.Context, _ *struct{}) (*usageOutput, error) {
	found, err := a.control.Usage(ctx)
	if err != nil {
		return nil, err
	}
	return &usageOutput{listOf(found, 0, func(u control.Usage) usageBody { return usageBody{u.Name, u.Used, u.Max} }, func(u usageBody) string { return u.Name })}, nil
}

func (a *jsonAPI) registerAdmin() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: adminURL + path, Summary: summary, Security: withBearer, Tags: []string{"Administrator"}}
	}
	register(a, op("admin-list-clients", http.MethodGet, "", "All clients, oldest first"), a.listClients)
	register(a, op("admin-disable-client", http.MethodPatch, "/{uuid}", "Shut a client out, or let it in again, or set its limits; in force when the answer arrives"), a.disableClient)
	register(a, huma.Operation{
		OperationID: "client-limits", Method: http.MethodGet, Path: apiPrefix + "/client/limits", Security: withBearer,
		Summary: "The client's limits, against their use", Tags: []string{"Client"},
	}, a.usage)
	register(a, op("admin-delete-client", http.MethodDelete, "/{uuid}", "Delete a client and everything it has"), a.removeClient)
	register(a, op("admin-reset-key", http.MethodPost, "/{uuid}/key", "Give a client that has lost its key a new one, shown this once"), a.resetKey)
}

func (a *jsonAPI) listClients(ctx context.Context, in *Page) (*adminClientListOutput, error) {
	limit := in.Limit
	if limit == 0 {
		limit = maxPage
	}
	found, err := a.control.Clients(ctx, in.After, limit+1)
	if err != nil {
		return nil, err
	}
	return &adminClientListOutput{listOf(found, limit, adminClientBodyOf, func(c adminClientBody) string { return c.UUID })}, nil
}

func adminClientBodyOf(c control.ClientStatus) adminClientBody {
	return adminClientBody{
		UUID: c.ID, Name: c.Name, Admin: c.Admin, Disabled: c.Disabled, CreatedAt: timestampOf(c.CreatedAt),
		Frontends: c.Frontends, Connections: c.Connections,
	}
}

func (a *jsonAPI) disableClient(ctx context.Context, in *disableClientInput) (*clientOutput, error) {
	changes := map[string]int{}
	if in.Body.Limits != nil {
		var err error
		if changes, err = in.Body.Limits.changes(); err != nil {
			return nil, err
		}
	}
	changed, err := a.control.SetLimits(ctx, in.UUID, changes)
	if err == nil && in.Body.Disabled.given {
		changed, err = a.control.SetDisabled(ctx, in.UUID, in.Body.Disabled.value)
	}
	if err != nil {
		return nil, err
	}
	return &clientOutput{ETag: clientETag(changed), Body: clientBodyOf(changed)}, nil
}

func (a *jsonAPI) removeClient(ctx context.Context, in *ClientPath) (*struct{}, error) {
	return nil, a.control.RemoveClient(ctx, in.UUID)
}

func (a *jsonAPI) resetKey(ctx context.Context, in *ClientPath) (*clientOutput, error) {
	changed, err := a.control.ResetKey(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	body := clientBodyOf(changed.Client)
	body.Key = changed.Key
	return &clientOutput{ETag: clientETag(changed.Client), Body: body}, nil
}
