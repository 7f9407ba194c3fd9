package handlers

import (
	"context"
	"encoding/base64"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

type issuedBody struct {
	Key         string `json:"key" doc:"base64 of the PEM private key (PKCS#1). It is kept nowhere else."`
	Certificate string `json:"certificate" doc:"base64 of the PEM certificate"`
	CA          string `json:"ca" doc:"base64 of the authority's PEM certificate"`
}

type issuedOutput struct{ Body issuedBody }

type certificateBody struct {
	Serial      string    `json:"serial" doc:"Lower-case hex without leading zeros"`
	FrontendID  string    `json:"frontendId"`
	Fingerprint string    `json:"fingerprint" doc:"SHA-256"`
	KeyType     string    `json:"keyType"`
	NotBefore   timestamp `json:"notBefore"`
	NotAfter    timestamp `json:"notAfter"`
	IssuedAt    timestamp `json:"issuedAt"`
	Revoked     bool      `json:"revoked"`
}

type certificateListInput struct {
	FrontendPath
	Page
}

type certificateListOutput struct {
	Body listBody[certificateBody]
}

func (a *jsonAPI) registerCertificate() {
	register(a, huma.Operation{
		OperationID: "issue-certificate", Method: http.MethodGet, Path: frontendURL + "/{uuid}/tls", Security: withBearer,
		Summary: "Make a key pair and a certificate for a frontend, a new one at each call", Tags: []string{"Certificate"},
	}, a.issueCertificate)
	register(a, huma.Operation{
		OperationID: "list-certificates", Method: http.MethodGet, Path: frontendURL + "/{uuid}/certificates", Security: withBearer,
		Summary: "The certificates of a frontend", Tags: []string{"Certificate"},
	}, a.listCertificates)
}

func (a *jsonAPI) issueCertificate(ctx context.Context, in *FrontendPath) (*issuedOutput, error) {
	issued, err := a.control.IssueCertificate(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	encode := base64.StdEncoding.EncodeToString
	return &issuedOutput{issuedBody{Key: encode(issued.KeyPEM), Certificate: encode(issued.CertificatePEM), CA: encode(issued.AuthorityPEM)}}, nil
}

func (a *jsonAPI) listCertificates(ctx context.Context, in *certificateListInput) (*certificateListOutput, error) {
	limit := in.Limit
	if limit == 0 {
		limit = maxPage
	}
	found, err := a.control.Certificates(ctx, in.UUID, in.After, limit+1)
	if err != nil {
		return nil, err
	}
	list := listOf(found, limit, certificateBodyOf, func(c certificateBody) string { return c.Serial })
	return &certificateListOutput{list}, nil
}

func certificateBodyOf(c control.Certificate) certificateBody {
	return certificateBody{
		Serial: c.Serial, FrontendID: c.FrontendID, Fingerprint: c.Fingerprint, KeyType: c.KeyType,
		NotBefore: timestampOf(c.NotBefore), NotAfter: timestampOf(c.NotAfter), IssuedAt: timestampOf(c.IssuedAt), Revoked: c.Revoked,
	}
}
