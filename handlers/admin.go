package handlers

import (
	"context"
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
		Disabled bool `json:"disabled"`
	}
}

func (a *jsonAPI) registerAdmin() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: adminURL + path, Summary: summary, Security: withBearer, Tags: []string{"Administrator"}}
	}
	register(a, op("admin-list-clients", http.MethodGet, "", "All clients, oldest first"), a.listClients)
	register(a, op("admin-disable-client", http.MethodPatch, "/{uuid}", "Shut a client out, or let it in again; its connections are closed when the answer arrives"), a.disableClient)
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
	changed, err := a.control.SetDisabled(ctx, in.UUID, in.Body.Disabled)
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
