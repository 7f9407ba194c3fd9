package handlers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

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

	Certificates int         `json:"certificates" doc:"Neither revoked nor expired"`
	Limits       []usageBody `json:"limits,omitempty" doc:"Of one client: its limits, against their use"`
}

type adminClientOutput struct {
	ETag string `header:"ETag"`
	Body adminClientBody
}

type adminClientsInput struct {
	Page
	Query string `query:"q" maxLength:"64" doc:"A part of the name or uuid"`
	Only  string `query:"only" enum:"near,disabled,administrators" doc:"Those near a limit, disabled, or administrators. Default: all"`
}

type serverBody struct {
	StartedAt       timestamp `json:"startedAt"`
	Version         string    `json:"version"`
	Authority       string    `json:"authority" doc:"Its common name"`
	AuthorityExpiry timestamp `json:"authorityExpiresAt"`
	Clients         int       `json:"clients"`
	Disabled        int       `json:"disabled"`
	Administrators  int       `json:"administrators"`
	NearLimits      int       `json:"nearLimits" doc:"Clients that use nine tenths of what they may have"`
	Invites         int       `json:"invites" doc:"That can still be used"`
	Connections     int       `json:"connections" doc:"Admitted, open now"`
	MaxConnections  int       `json:"maxConnections" doc:"0: no bound"`
	Handshakes      int       `json:"handshakes" doc:"In flight"`
	Shed            int64     `json:"shed" doc:"Connections that were turned away since the start because the server had enough to do"`
	ChecksLateMs    int64     `json:"checksLateMs" doc:"How late the health check is that waits longest for its turn"`
	StoreError      string    `json:"storeError" doc:"Why nothing can be saved, empty while it can"`
	StoreFree       int64     `json:"storeFreeBytes" doc:"-1: nobody knows"`
}

type serverOutput struct{ Body serverBody }

type adminClientListOutput struct{ Body listBody[adminClientBody] }

type disableClientInput struct {
	ClientPath
	Body struct {
		Disabled optional[bool] `json:"disabled,omitempty" doc:"Shut out, or let in again"`
		Admin    optional[bool] `json:"admin,omitempty" doc:"Make it an administrator, or no longer one"`
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
	register(a, op("admin-get-client", http.MethodGet, "/{uuid}", "One client, with its limits against their use"), a.adminClient)
	register(a, op("admin-list-sessions", http.MethodGet, "/{uuid}/sessions", "Browsers that are logged in as a client, newest first"), a.listSessionsOf)
	register(a, op("admin-end-sessions", http.MethodDelete, "/{uuid}/sessions", "Log all browsers of a client out"), func(ctx context.Context, in *ClientPath) (*struct{}, error) {
		return nil, a.control.EndSessionsOf(ctx, in.UUID)
	})
	server := op("admin-server", http.MethodGet, "", "How the server does")
	server.Path = apiPrefix + "/admin/server"
	register(a, server, a.serverState)
	trail := op("admin-list-audit", http.MethodGet, "", "What was done with xlb admin, newest first")
	trail.Path = apiPrefix + "/admin/audit"
	register(a, trail, a.listOperatorAudit)
	register(a, op("admin-disable-client", http.MethodPatch, "/{uuid}", "Shut a client out, or let it in again, set its limits, or make it an administrator; in force when the answer arrives"), a.disableClient)
	register(a, huma.Operation{
		OperationID: "client-limits", Method: http.MethodGet, Path: apiPrefix + "/client/limits", Security: withBearer,
		Summary: "The client's limits, against their use", Tags: []string{"Client"},
	}, a.usage)
	register(a, op("admin-delete-client", http.MethodDelete, "/{uuid}", "Delete a client and everything it has"), a.removeClient)
	register(a, op("admin-reset-key", http.MethodPost, "/{uuid}/key", "Give a client that has lost its key a new one, shown this once"), a.resetKey)
}

func (a *jsonAPI) listClients(ctx context.Context, in *adminClientsInput) (*adminClientListOutput, error) {
	limit := in.Limit
	if limit == 0 {
		limit = maxPage
	}
	found, err := a.control.Clients(ctx, control.ClientQuery{Text: in.Query, Only: in.Only})
	if err != nil {
		return nil, err
	}
	// Ids are in the order of time, so that a page goes on in the right place though clients came and went meanwhile.
	found = slices.DeleteFunc(found, func(c control.ClientStatus) bool { return in.After != "" && c.ID <= strings.ToLower(in.After) })
	return &adminClientListOutput{listOf(found, limit, adminClientBodyOf, func(c adminClientBody) string { return c.UUID })}, nil
}

func adminClientBodyOf(c control.ClientStatus) adminClientBody {
	return adminClientBody{
		UUID: c.ID, Name: c.Name, Admin: c.Admin, Disabled: c.Disabled, CreatedAt: timestampOf(c.CreatedAt),
		Frontends: c.Holdings.Frontends, Connections: c.Holdings.Connections, Certificates: c.Holdings.Certificates,
	}
}

func (a *jsonAPI) adminClient(ctx context.Context, in *ClientPath) (*adminClientOutput, error) {
	c, err := a.control.ClientOf(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	usage, err := a.control.UsageOf(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	body := adminClientBodyOf(c)
	for _, u := range usage {
		body.Limits = append(body.Limits, usageBody{u.Name, u.Used, u.Max})
	}
	return &adminClientOutput{ETag: clientETag(c.Client), Body: body}, nil
}

func (a *jsonAPI) listSessionsOf(ctx context.Context, in *adminSessionsInput) (*sessionListOutput, error) {
	found, err := a.control.SessionsOf(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	list, err := pageOf(found, in.NamedPage, sessionBodyOf, func(s sessionBody) string { return s.ID })
	return &sessionListOutput{list}, err
}

type adminSessionsInput struct {
	ClientPath
	NamedPage
}

func (a *jsonAPI) serverState(ctx context.Context, _ *struct{}) (*serverOutput, error) {
	s, err := a.control.ServerState(ctx)
	if err != nil {
		return nil, err
	}
	return &serverOutput{serverBody{
		StartedAt: timestampOf(s.StartedAt), Version: a.OpenAPI().Info.Version, Authority: s.Authority, AuthorityExpiry: timestampOf(s.AuthorityExpiry),
		Clients: s.Clients, Disabled: s.Disabled, Administrators: s.Administrators, NearLimits: s.NearLimits, Invites: s.Invites,
		Connections: s.Connections, MaxConnections: s.MaxConnections, Handshakes: s.Handshakes, Shed: s.Shed,
		ChecksLateMs: s.ChecksLate.Milliseconds(), StoreError: s.StoreError, StoreFree: s.StoreFree,
	}}, nil
}

// disableClient goes on to the next change after each that was made: limits, the right to administer, and last what shuts
// the client out. Without any of them SetLimits changes nothing and says how the client is.
func (a *jsonAPI) disableClient(ctx context.Context, in *disableClientInput) (*clientOutput, error) {
	changes := map[string]int{}
	if in.Body.Limits != nil {
		var err error
		if changes, err = in.Body.Limits.changes(); err != nil {
			return nil, err
		}
	}
	changed, err := a.control.SetLimits(ctx, in.UUID, changes)
	if err == nil && in.Body.Admin.given {
		changed, err = a.control.SetAdmin(ctx, in.UUID, in.Body.Admin.value)
	}
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
