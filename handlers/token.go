package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// login is what HTTP Basic carries.
type login struct{ id, key string }

type loginKey struct{}

// loginOf reads an Authorization header. net/http does that only for a request of its own, so one is made around it.
func loginOf(authorization string) (login, bool) {
	r := http.Request{Header: http.Header{"Authorization": {authorization}}}
	id, key, ok := r.BasicAuth()
	return login{id, key}, ok
}

type tokenOutput struct {
	Body struct {
		// With a capital T, unlike every other field: it is part of the contract.
		Token string `json:"Token" doc:"JWT, RS256, good for an hour"`
	}
}

type keysOutput struct {
	Body struct {
		Keys []control.JSONWebKey `json:"keys" nullable:"false"`
	}
}

func (a *jsonAPI) registerToken() {
	register(a, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: apiPrefix + "/client/auth", DefaultStatus: http.StatusOK,
		Security: withBasic, Summary: "Exchange uuid and key for a token", Tags: []string{"Client"},
	}, a.createToken)
	register(a, huma.Operation{
		OperationID: "token-keys", Method: http.MethodGet, Path: "/.well-known/jwks.json", Security: forAnybody,
		Summary: "The public keys that tokens are signed with (RFC 7517)", Tags: []string{"Server"},
	}, func(context.Context, *struct{}) (*keysOutput, error) {
		out := &keysOutput{}
		out.Body.Keys = a.control.TokenKeys()
		return out, nil
	})
}

func (a *jsonAPI) createToken(ctx context.Context, _ *struct{}) (*tokenOutput, error) {
	l, _ := ctx.Value(loginKey{}).(login)
	token, err := a.control.IssueToken(ctx, l.id, l.key)
	if control.KindOf(err) == control.KindUnauthenticated {
		p := problemOf(ctx, a.log, err)
		p.header.Set("WWW-Authenticate", basicChallenge)
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	var out tokenOutput
	out.Body.Token = token
	return &out, nil
}
