package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

type pemOutput struct {
	ContentType        string `header:"Content-Type"`
	ContentDisposition string `header:"Content-Disposition"`
	Body               []byte
}

// AuthorityPath names an authority.
type AuthorityPath struct {
	ID string `path:"id" pattern:"^[0-9a-f]{16}$" doc:"The authority's id"`
}

type authorityBody struct {
	ID           string     `json:"id" doc:"16 hex digits, of its public key"`
	Name         string     `json:"name" doc:"Its subject"`
	State        string     `json:"state" enum:"next,current,retiring,retired" doc:"next is trusted and has not issued yet, current issues, retiring is trusted and issues no more, retired is not trusted"`
	NotBefore    timestamp  `json:"notBefore"`
	NotAfter     timestamp  `json:"notAfter"`
	AddedAt      timestamp  `json:"addedAt"`
	ChangedAt    timestamp  `json:"changedAt" doc:"Its state"`
	Certificates int        `json:"certificates" doc:"That it has issued, and that are neither revoked nor expired"`
	LastExpiry   *timestamp `json:"lastExpiresAt" doc:"When the last of those expires, null for none"`
	Servers      bool       `json:"servers" doc:"It issues the certificates that the ports present"`
	Stranded     bool       `json:"stranded" doc:"Programs that trust only this one cannot check the ports"`
}

type authorityOutput struct {
	Location string `header:"Location"`
	Body     authorityBody
}

type authorityListOutput struct{ Body listBody[authorityBody] }

type authorityChangeInput struct {
	AuthorityPath
	Body struct {
		State  string         `json:"state" enum:"current,retiring,retired" doc:"current lets it issue, and the one that did so retires; retiring lets one that is retired be trusted again; retired refuses its certificates and closes their connections"`
		Anyway optional[bool] `json:"anyway,omitempty" doc:"Though programs are turned away"`
	}
}

const (
	// authorityURL is where ca.pem is.
	authorityURL   = apiPrefix + "/ca.pem"
	crlURL         = apiPrefix + "/crl"
	authoritiesURL = apiPrefix + "/admin/authorities"
)

func (a *jsonAPI) registerAuthority() {
	register(a, huma.Operation{
		OperationID: "get-authority", Method: http.MethodGet, Path: authorityURL, Security: forAnybody,
		Summary: "The authorities' certificates, for programs to trust; that of the one that issues comes first", Tags: []string{"Server"},
		Responses: map[string]*huma.Response{"200": {
			Description: "PEM", Content: map[string]*huma.MediaType{"application/x-pem-file": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(context.Context, *struct{}) (*pemOutput, error) {
		return &pemOutput{
			ContentType: "application/x-pem-file", ContentDisposition: `attachment; filename="ca.pem"`, Body: a.control.AuthorityPEM(),
		}, nil
	})
	list := func(id, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Security: forAnybody, Summary: summary, Tags: []string{"Server"},
			Responses: map[string]*huma.Response{"200": {
				Description: "DER", Content: map[string]*huma.MediaType{"application/pkix-crl": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
			}},
		}
	}
	register(a, list("get-crl", crlURL, "The certificates of the authority that issues that were revoked and have not expired (RFC 5280)"),
		func(ctx context.Context, _ *struct{}) (*pemOutput, error) { return a.revocationList(ctx, "") })
	register(a, list("get-authority-crl", crlURL+"/{id}", "The same of one authority"),
		func(ctx context.Context, in *AuthorityPath) (*pemOutput, error) { return a.revocationList(ctx, in.ID) })
	a.registerAuthorities()
}

func (a *jsonAPI) revocationList(ctx context.Context, authority string) (*pemOutput, error) {
	der, err := a.control.CRL(ctx, authority)
	return &pemOutput{ContentType: "application/pkix-crl", ContentDisposition: `attachment; filename="xlb.crl"`, Body: der}, err
}

// registerAuthorities adds what the administrator does with them.
func (a *jsonAPI) registerAuthorities() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: authoritiesURL + path, Summary: summary, Security: withBearer, Tags: []string{"Administrator"}}
	}
	register(a, op("admin-list-authorities", http.MethodGet, "", "The authorities, in the order in which they came"), func(ctx context.Context, in *NamedPage) (*authorityListOutput, error) {
		found, err := a.control.Authorities(ctx)
		if err != nil {
			return nil, err
		}
		list, err := pageOf(found, *in, authorityBodyOf, func(b authorityBody) string { return b.ID })
		return &authorityListOutput{list}, err
	})
	add := op("admin-add-authority", http.MethodPost, "", "Make the authority that is to issue next; it is trusted from now on")
	add.DefaultStatus = http.StatusCreated
	register(a, repeatable(add), func(ctx context.Context, _ *struct{}) (*authorityOutput, error) {
		made, err := a.control.AddAuthority(ctx)
		return &authorityOutput{Location: authoritiesURL + "/" + made.ID, Body: authorityBodyOf(made)}, err
	})
	register(a, op("admin-change-authority", http.MethodPatch, "/{id}", "Let an authority issue, be trusted again, or retire; in force when the answer arrives"), func(ctx context.Context, in *authorityChangeInput) (*authorityOutput, error) {
		changed, err := a.control.ChangeAuthority(ctx, in.ID, control.AuthorityChange{State: in.Body.State, Anyway: in.Body.Anyway.value})
		return &authorityOutput{Body: authorityBodyOf(changed)}, err
	})
	register(a, op("admin-remove-authority", http.MethodDelete, "/{id}", "Throw an authority and its key away: a next one, or a retired one without certificates on record"), func(ctx context.Context, in *AuthorityPath) (*struct{}, error) {
		return nil, a.control.RemoveAuthority(ctx, in.ID)
	})
}

func authorityBodyOf(a control.Authority) authorityBody {
	body := authorityBody{
		ID: a.ID, Name: a.Name, State: a.State, NotBefore: timestampOf(a.NotBefore), NotAfter: timestampOf(a.NotAfter),
		AddedAt: timestampOf(a.AddedAt), ChangedAt: timestampOf(a.ChangedAt), Certificates: a.Certificates, Servers: a.Servers, Stranded: a.Stranded,
	}
	if !a.LastExpiry.IsZero() {
		at := timestampOf(a.LastExpiry)
		body.LastExpiry = &at
	}
	return body
}
