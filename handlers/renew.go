package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

type renewInput struct{ Body *renewBody }

// renewBody is what the holder of a key may choose; all of it is optional.
type renewBody struct {
	KeyType     string `json:"keyType,omitempty" enum:"rsa-3072,rsa-2048,rsa-4096,ecdsa-p256,ed25519" doc:"Default: as before"`
	KeyFormat   string `json:"keyFormat,omitempty" enum:"pkcs1,pkcs8" doc:"How the private key is written. Default: pkcs1 for RSA keys"`
	LifetimeSec int64  `json:"lifetimeSec,omitempty" minimum:"60" maximum:"34300800" doc:"At most, and by default, as before"`
	CSR         string `json:"csr,omitempty" doc:"A certificate request, PEM: its public key is used and nothing else of it. Goes without keyType"`
}

func (a *jsonAPI) registerRenew() {
	register(a, repeatable(huma.Operation{
		OperationID: "renew-certificate", Method: http.MethodPost, Path: apiPrefix + "/renew", Security: withCertificate,
		Summary: "Follow the certificate of this TLS connection by a new one, before it expires; the old one stays good", Tags: []string{"Certificate"},
	}, "key"), a.renew)
}

func (a *jsonAPI) renew(ctx context.Context, in *renewInput) (*issuedOutput, error) {
	var r control.IssueRequest
	if in.Body != nil {
		r = control.IssueRequest{KeyType: in.Body.KeyType, KeyFormat: in.Body.KeyFormat, CSR: in.Body.CSR, Lifetime: time.Duration(in.Body.LifetimeSec) * time.Second}
	}
	return issuedOutputOf(a.control.Renew(ctx, r))
}
