package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type pemOutput struct {
	ContentType        string `header:"Content-Type"`
	ContentDisposition string `header:"Content-Disposition"`
	Body               []byte
}

// authorityURL is where ca.pem is.
const authorityURL = apiPrefix + "/ca.pem"

func (a *jsonAPI) registerAuthority() {
	register(a, huma.Operation{
		OperationID: "get-authority", Method: http.MethodGet, Path: authorityURL, Security: forAnybody,
		Summary: "The authority's certificate, for programs to trust", Tags: []string{"Server"},
		Responses: map[string]*huma.Response{"200": {
			Description: "PEM", Content: map[string]*huma.MediaType{"application/x-pem-file": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(context.Context, *struct{}) (*pemOutput, error) {
		return &pemOutput{
			ContentType: "application/x-pem-file", ContentDisposition: `attachment; filename="ca.pem"`, Body: a.control.AuthorityPEM(),
		}, nil
	})
	register(a, huma.Operation{
		OperationID: "get-crl", Method: http.MethodGet, Path: apiPrefix + "/crl", Security: forAnybody,
		Summary: "The certificates that were revoked and have not expired (RFC 5280)", Tags: []string{"Server"},
		Responses: map[string]*huma.Response{"200": {
			Description: "DER", Content: map[string]*huma.MediaType{"application/pkix-crl": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, func(ctx context.Context, _ *struct{}) (*pemOutput, error) {
		der, err := a.control.CRL(ctx)
		return &pemOutput{ContentType: "application/pkix-crl", ContentDisposition: `attachment; filename="xlb.crl"`, Body: der}, err
	})
}
