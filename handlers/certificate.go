package handlers

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

type issueInput struct {
	FrontendPath
	Body *issueBody
}

// issueBody is what a client may choose; all of it is optional.
type issueBody struct {
	KeyType string `json:"keyType,omitempty" enum:"rsa-3072,rsa-2048,rsa-4096,ecdsa-p256,ed25519" doc:"Default: rsa-3072"`
	// KeyFormat is for Java, whose own reader takes PKCS#8 alone; the default stays what older scripts parse.
	KeyFormat   string `json:"keyFormat,omitempty" enum:"pkcs1,pkcs8" doc:"How the private key is written. Default: pkcs1 for RSA keys, pkcs8 for others, which have no other. Java reads pkcs8 only"`
	LifetimeSec int64  `json:"lifetimeSec,omitempty" minimum:"60" maximum:"34300800" doc:"Default: 90 days"`
	Name        string `json:"name,omitempty" doc:"A label, need not be unique"`
	CSR         string `json:"csr,omitempty" doc:"A certificate request, PEM: its public key is used and nothing else of it. Goes without keyType"`
	Renews      string `json:"renews,omitempty" doc:"The serial of a certificate of this frontend that the new one follows: what is left out is as in that one"`
}

// issuedBody has each file in base64, so that a shell can write it without unescaping line ends: jq -r .key | base64 -d.
type issuedBody struct {
	Key         string `json:"key,omitempty" doc:"Absent with a csr, and in a repeated answer: base64 of the PEM private key (RSA as PKCS#1, others as PKCS#8). It is kept nowhere else."`
	Certificate string `json:"certificate" doc:"base64 of the PEM certificate"`
	CA          string `json:"ca" doc:"base64 of the authority's PEM certificate"`
	Serial      string `json:"serial" doc:"Of the certificate, in lower-case hex without leading zeros"`
}

type issuedOutput struct{ Body issuedBody }

type certificateBody struct {
	Serial      string     `json:"serial" doc:"Lower-case hex without leading zeros"`
	FrontendID  string     `json:"frontendId"`
	Fingerprint string     `json:"fingerprint" doc:"SHA-256"`
	Name        string     `json:"name"`
	KeyType     string     `json:"keyType"`
	NotBefore   timestamp  `json:"notBefore"`
	NotAfter    timestamp  `json:"notAfter"`
	IssuedAt    timestamp  `json:"issuedAt"`
	Retired     bool       `json:"authorityRetired" doc:"Its authority is trusted no more, so nothing comes of it"`
	Revoked     bool       `json:"revoked"`
	RevokedAt   *timestamp `json:"revokedAt" doc:"null while it is good"`
	Reason      string     `json:"reason" doc:"Why it was revoked, empty while it is good"`
	Renews      string     `json:"renews" doc:"Serial of the certificate that this one follows, empty for none"`
}

// CertificatePath names a certificate.
type CertificatePath struct {
	FrontendPath
	Serial string `path:"serial" doc:"Hex digits; any case, padding and colons are accepted"`
}

// RevocationQuery says how to revoke.
type RevocationQuery struct {
	Reason string `query:"reason" enum:"unspecified,key-compromise,superseded,cessation-of-operation" doc:"Default: unspecified"`
	Drain  int64  `query:"drain" minimum:"0" maximum:"86400" doc:"Seconds that live connections may go on. Default: 0, closed at once"`
}

func (q RevocationQuery) revocation() control.Revocation {
	return control.Revocation{Reason: q.Reason, Drain: time.Duration(q.Drain) * time.Second}
}

type revokeInput struct {
	CertificatePath
	RevocationQuery
}

type revokeBeforeInput struct {
	FrontendPath
	RevocationQuery
	IssuedBefore time.Time `query:"issuedBefore" required:"true" doc:"A moment as in RFC 3339"`
}

type certificateOutput struct {
	ETag string `header:"ETag"`
	Body certificateBody
}

type revokedBody struct {
	Revoked int   `json:"revoked" doc:"Certificates that were good before"`
	Closed  int   `json:"closed" doc:"Live connections that were closed, or will be when the drain is over"`
	TookMs  int64 `json:"tookMs" doc:"Until handshakes and resumptions were refused and the connections closed"`
}

type revokedOutput struct{ Body revokedBody }

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
	register(a, repeatable(huma.Operation{
		OperationID: "issue-certificate-as", Method: http.MethodPost, Path: frontendURL + "/{uuid}/tls", Security: withBearer,
		Summary: "The same, of a key type, for a time and under a name that you choose", Tags: []string{"Certificate"},
	}, "key"), a.issueCertificateAs)
	register(a, huma.Operation{
		OperationID: "list-certificates", Method: http.MethodGet, Path: frontendURL + "/{uuid}/certificates", Security: withBearer,
		Summary: "The certificates of a frontend", Tags: []string{"Certificate"},
	}, a.listCertificates)
	one := frontendURL + "/{uuid}/certificates/{serial}"
	register(a, huma.Operation{
		OperationID: "get-certificate", Method: http.MethodGet, Path: one, Security: withBearer,
		Summary: "One certificate of a frontend", Tags: []string{"Certificate"},
	}, a.getCertificate)
	register(a, huma.Operation{
		OperationID: "revoke-certificate", Method: http.MethodDelete, Path: one, Security: withBearer,
		Summary: "Revoke a certificate; it is refused and its connections are closed when the answer arrives", Tags: []string{"Certificate"},
	}, a.revokeCertificate)
	register(a, huma.Operation{
		OperationID: "revoke-certificates", Method: http.MethodDelete, Path: frontendURL + "/{uuid}/certificates", Security: withBearer,
		Summary: "Revoke all certificates of a frontend that were issued before a moment", Tags: []string{"Certificate"},
	}, a.revokeCertificates)
}

func (a *jsonAPI) issueCertificate(ctx context.Context, in *FrontendPath) (*issuedOutput, error) {
	return a.issue(ctx, in.UUID, control.IssueRequest{})
}

func (a *jsonAPI) issueCertificateAs(ctx context.Context, in *issueInput) (*issuedOutput, error) {
	var r control.IssueRequest
	if in.Body != nil {
		r.KeyType = in.Body.KeyType
		r.KeyFormat = in.Body.KeyFormat
		r.Name = in.Body.Name
		r.CSR = in.Body.CSR
		r.Renews = in.Body.Renews
		r.Lifetime = time.Duration(in.Body.LifetimeSec) * time.Second
	}
	return a.issue(ctx, in.UUID, r)
}

func (a *jsonAPI) issue(ctx context.Context, frontendID string, r control.IssueRequest) (*issuedOutput, error) {
	return issuedOutputOf(a.control.IssueCertificate(ctx, frontendID, r))
}

func issuedOutputOf(issued control.Issued, err error) (*issuedOutput, error) {
	if err != nil {
		return nil, err
	}
	encode := base64.StdEncoding.EncodeToString
	return &issuedOutput{issuedBody{Key: encode(issued.KeyPEM), Certificate: encode(issued.CertificatePEM), CA: encode(issued.AuthorityPEM), Serial: issued.Serial}}, nil
}

func (a *jsonAPI) listCertificates(ctx context.Context, in *certificateListInput) (*certificateListOutput, error) {
	limit := in.Limit
	if limit == 0 {
		limit = maxPage
	}
	found, err := a.control.Certificates(ctx, in.UUID, in.After, limit+1) // one more tells whether there is more
	if err != nil {
		return nil, err
	}
	list := listOf(found, limit, certificateBodyOf, func(c certificateBody) string { return c.Serial })
	return &certificateListOutput{list}, nil
}

func (a *jsonAPI) getCertificate(ctx context.Context, in *CertificatePath) (*certificateOutput, error) {
	c, err := a.control.Certificate(ctx, in.UUID, in.Serial)
	if err != nil {
		return nil, err
	}
	body := certificateBodyOf(c)
	return &certificateOutput{ETag: tagOf(body), Body: body}, nil
}

func (a *jsonAPI) revokeCertificate(ctx context.Context, in *revokeInput) (*revokedOutput, error) {
	done, err := a.control.RevokeCertificate(ctx, in.UUID, in.Serial, in.revocation())
	return revokedOutputOf(done, err)
}

func (a *jsonAPI) revokeCertificates(ctx context.Context, in *revokeBeforeInput) (*revokedOutput, error) {
	done, err := a.control.RevokeIssuedBefore(ctx, in.UUID, in.IssuedBefore, in.revocation())
	return revokedOutputOf(done, err)
}

func revokedOutputOf(done control.Revoked, err error) (*revokedOutput, error) {
	if err != nil {
		return nil, inQuery(err) // DELETE has no body: what is wrong stands in the URL
	}
	return &revokedOutput{revokedBody{Revoked: done.Certificates, Closed: done.Closed, TookMs: done.Took.Milliseconds()}}, nil
}

func certificateBodyOf(c control.Certificate) certificateBody {
	body := certificateBody{
		Serial: c.Serial, FrontendID: c.FrontendID, Fingerprint: c.Fingerprint, Name: c.Name, KeyType: c.KeyType,
		NotBefore: timestampOf(c.NotBefore), NotAfter: timestampOf(c.NotAfter), IssuedAt: timestampOf(c.IssuedAt), Retired: c.Retired, Revoked: c.Revoked,
		Reason: c.Reason, Renews: c.Renews,
	}
	if c.Revoked {
		at := timestampOf(c.RevokedAt)
		body.RevokedAt = &at
	}
	return body
}
