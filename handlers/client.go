package handlers

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// timestamp is a moment as the API writes it: two numbers, which every language can read, and compare, without a parser.
// It is part of the contract.
type timestamp struct {
	Seconds int64 `json:"seconds" doc:"Since 1970-01-01T00:00:00Z"`
	Nanos   int   `json:"nanos"`
}

func timestampOf(t time.Time) timestamp { return timestamp{t.Unix(), t.Nanosecond()} }

type createClientInput struct {
	Body struct {
		Name string `json:"name" doc:"A label: letters, digits, spaces, dots, dashes and underscores, at most 64 characters"`
		Code string `json:"code,omitempty" doc:"The set-up code, where sign-up is not open"`
	}
}

type clientBody struct {
	UUID      string    `json:"uuid"`
	Key       string    `json:"key,omitempty" doc:"64 hex digits, shown this once"`
	Name      string    `json:"name"`
	CreatedAt timestamp `json:"createdAt"`

	KeyID       string     `json:"keyId" doc:"Names the key; the claim key of a token says for which one it was issued"`
	OldKeyUntil *timestamp `json:"oldKeyUntil,omitempty" doc:"How long the key before the last rotation goes on"`
	OldKeyID    string     `json:"oldKeyId,omitempty" doc:"Names that key"`
}

type createClientOutput struct {
	Location string `header:"Location"`
	Body     clientBody
}

type clientOutput struct {
	ETag string `header:"ETag"`
	Body clientBody
}

// ClientPrecondition is needed to change a client: there is one of it, and two people who share its key would overwrite
// each other's changes.
type ClientPrecondition struct {
	IfMatch string `header:"If-Match" doc:"The ETag that was read; the client must still have it"`
}

type patchClientInput struct {
	ClientPrecondition
	Body struct {
		Name optional[string] `json:"name,omitempty" doc:"A label"`
	}
}

type rotateKeyInput struct {
	Body *struct {
		GraceSec int64 `json:"graceSec,omitempty" minimum:"0" maximum:"604800" doc:"How long the old key goes on. Default: 0, it ends now"`
	}
}

func (a *jsonAPI) registerClient() {
	register(a, huma.Operation{
		OperationID: "create-client", Method: http.MethodPost, Path: apiPrefix + "/client", DefaultStatus: http.StatusCreated,
		Security: forAnybody, Summary: "Sign up", Tags: []string{"Client"},
	}, a.createClient)
	register(a, huma.Operation{
		OperationID: "get-client", Method: http.MethodGet, Path: apiPrefix + "/client",
		Security: withBearer, Summary: "The client that the token belongs to", Tags: []string{"Client"},
	}, a.getClient)
	own := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: apiPrefix + "/client" + path, Security: withBearer, Summary: summary, Tags: []string{"Client"}}
	}
	register(a, own("patch-client", http.MethodPatch, "", "Change the client (RFC 7396); needs If-Match"), a.patchClient)
	// huma writes JSON only into the document; the type that RFC 7396 gives is taken too, and programs look here for it.
	types := a.OpenAPI().Paths[apiPrefix+"/client"].Patch.RequestBody.Content
	types[mergePatchType] = types[jsonType]
	register(a, own("delete-client", http.MethodDelete, "", "Delete the client and everything it has; needs If-Match"), a.deleteClient)
	register(a, own("rotate-key", http.MethodPost, "/key", "Replace the client's key, shown this once"), a.rotateKey)
	register(a, own("revoke-tokens", http.MethodDelete, "/tokens", "End all tokens that were issued until now, or until a moment, or for one key"), a.revokeTokens)
	register(a, own("revoke-token", http.MethodDelete, "/tokens/{id}", "End one token"), func(ctx context.Context, in *TokenPath) (*struct{}, error) {
		return nil, a.control.RevokeToken(ctx, in.ID)
	})
}

type revokeTokensInput struct {
	Before time.Time `query:"issuedBefore" doc:"A moment as in RFC 3339: those issued before it, and sessions that began before it. Default: now"`
	Key    string    `query:"key" maxLength:"64" doc:"A keyId: those issued for this key. The key goes on, and so do sessions"`
}

// TokenPath names a token.
type TokenPath struct {
	ID string `path:"id" doc:"The token's claim jti; the audit list shows it with what the token was used for"`
}

// clientRevision is the one that If-Match names. Without it somebody else's change would be lost.
func (a *jsonAPI) clientRevision(ctx context.Context, ifMatch string) (uint64, error) {
	if ifMatch == "" {
		return 0, &control.Error{Kind: control.KindNoPrecondition, Message: "Send the ETag of GET /api/v1/client as If-Match."}
	}
	own, err := a.control.OwnClient(ctx)
	if err != nil {
		return 0, err
	}
	for one := range strings.SplitSeq(ifMatch, ",") {
		if one = strings.TrimSpace(one); one == "*" || one == clientETag(own) {
			return own.Revision, nil
		}
	}
	return 0, &control.Error{Kind: control.KindPrecondition, Message: "This client changed since you read it. Read it again and repeat."}
}

func clientETag(c control.Client) string { return `"` + strconv.FormatUint(c.Revision, 10) + `"` }

func (a *jsonAPI) patchClient(ctx context.Context, in *patchClientInput) (*clientOutput, error) {
	revision, err := a.clientRevision(ctx, in.IfMatch)
	if err != nil {
		return nil, err
	}
	own, err := a.control.OwnClient(ctx) // the answer to a patch that changes nothing
	if err == nil && in.Body.Name.given {
		own, err = a.control.RenameClient(ctx, revision, in.Body.Name.value)
	}
	if err != nil {
		return nil, err
	}
	return &clientOutput{ETag: clientETag(own), Body: clientBodyOf(own)}, nil
}

func (a *jsonAPI) deleteClient(ctx context.Context, in *ClientPrecondition) (*struct{}, error) {
	revision, err := a.clientRevision(ctx, in.IfMatch)
	if err != nil {
		return nil, err
	}
	return nil, a.control.DeleteClient(ctx, revision)
}

func (a *jsonAPI) rotateKey(ctx context.Context, in *rotateKeyInput) (*clientOutput, error) {
	grace := int64(0)
	if in.Body != nil {
		grace = in.Body.GraceSec
	}
	changed, err := a.control.RotateKey(ctx, time.Duration(grace)*time.Second)
	if err != nil {
		return nil, err
	}
	body := clientBodyOf(changed.Client)
	body.Key = changed.Key // here and nowhere else: what is stored is its hash
	return &clientOutput{ETag: clientETag(changed.Client), Body: body}, nil
}

// revokeTokens has one way for all and one for a key. Both at once would say that the tokens of a key before a moment end,
// which nothing can look up: a token that was issued is not stored.
func (a *jsonAPI) revokeTokens(ctx context.Context, in *revokeTokensInput) (*struct{}, error) {
	switch {
	case in.Key != "" && !in.Before.IsZero():
		return nil, inQuery(&control.Error{Kind: control.KindInvalid, Field: "key", Message: "Use key or issuedBefore, not both."})
	case in.Key != "":
		return nil, inQuery(a.control.RevokeTokensOf(ctx, in.Key))
	}
	return nil, inQuery(a.control.RevokeTokens(ctx, in.Before))
}

func (a *jsonAPI) createClient(ctx context.Context, in *createClientInput) (*createClientOutput, error) {
	created, err := a.control.CreateClient(ctx, in.Body.Name, in.Body.Code)
	if err != nil {
		return nil, err
	}
	body := clientBodyOf(created.Client)
	body.Key = created.Key
	return &createClientOutput{Location: apiPrefix + "/client", Body: body}, nil
}

func (a *jsonAPI) getClient(ctx context.Context, _ *struct{}) (*clientOutput, error) {
	own, err := a.control.OwnClient(ctx)
	if err != nil {
		return nil, err
	}
	return &clientOutput{ETag: clientETag(own), Body: clientBodyOf(own)}, nil
}

func clientBodyOf(c control.Client) clientBody {
	body := clientBody{UUID: c.ID, Name: c.Name, CreatedAt: timestampOf(c.CreatedAt), KeyID: c.KeyID, OldKeyID: c.OldKeyID}
	if !c.OldKeyUntil.IsZero() {
		until := timestampOf(c.OldKeyUntil)
		body.OldKeyUntil = &until
	}
	return body
}
