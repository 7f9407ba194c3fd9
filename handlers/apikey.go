package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const apiKeyURL = apiPrefix + "/client/keys"

type apiKeyBody struct {
	ID        string    `json:"id"`
	Key       string    `json:"key,omitempty" doc:"xlb_<id>_<secret>_<checksum>, shown this once. Send it as a bearer token"`
	Name      string    `json:"name"`
	Scope     string    `json:"scope" doc:"read, write, issue, or several with spaces between"`
	CreatedAt timestamp `json:"createdAt"`
	ExpiresAt timestamp `json:"expiresAt"`

	Frontends  []string   `json:"frontends" nullable:"false" doc:"uuids of the frontends that it is bound to; empty: all"`
	LastUsedAt *timestamp `json:"lastUsedAt" doc:"The day; null: never"`
	LastUsedBy string     `json:"lastUsedBy" doc:"The address it came from on that day, the first one"`
}

type createAPIKeyInput struct {
	Body struct {
		Name        string   `json:"name" doc:"A label, need not be unique"`
		Scope       string   `json:"scope" doc:"read (look at everything), write (change frontends and routes, revoke certificates, close connections), issue (issue certificates), or several with spaces between. Each can read"`
		Frontends   []string `json:"frontends,omitempty" maxItems:"100" doc:"uuids of frontends that it is bound to. Default: all, those of later too"`
		LifetimeSec int64    `json:"lifetimeSec,omitempty" minimum:"60" maximum:"63072000" doc:"Default: 90 days"`
	}
}

type apiKeyOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     apiKeyBody
}

type apiKeyListOutput struct{ Body listBody[apiKeyBody] }

// APIKeyPath names an API key.
type APIKeyPath struct {
	ID string `path:"id" doc:"The key's id"`
}

func (a *jsonAPI) registerAPIKey() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: apiKeyURL + path, Summary: summary, Security: withBearer, Tags: []string{"API key"}}
	}
	create := op("create-api-key", http.MethodPost, "", "Make a further key, with a scope and an end, shown this once")
	create.DefaultStatus = http.StatusCreated
	register(a, repeatable(create, "key"), a.createAPIKey)
	register(a, op("list-api-keys", http.MethodGet, "", "The API keys, oldest first"), a.listAPIKeys)
	register(a, op("get-api-key", http.MethodGet, "/{id}", "One API key"), func(ctx context.Context, in *APIKeyPath) (*apiKeyOutput, error) {
		found, err := a.control.APIKey(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		body := apiKeyBodyOf(found)
		return &apiKeyOutput{ETag: tagOf(body), Body: body}, nil
	})
	register(a, op("delete-api-key", http.MethodDelete, "/{id}", "Revoke a key; it is refused when the answer arrives"), func(ctx context.Context, in *APIKeyPath) (*struct{}, error) {
		return nil, a.control.RevokeAPIKey(ctx, in.ID)
	})
}

func (a *jsonAPI) createAPIKey(ctx context.Context, in *createAPIKeyInput) (*apiKeyOutput, error) {
	made, err := a.control.CreateAPIKey(ctx, control.APIKeyRequest{
		Name: in.Body.Name, Scope: in.Body.Scope, Frontends: in.Body.Frontends, Lifetime: time.Duration(in.Body.LifetimeSec) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	body := apiKeyBodyOf(made.APIKey)
	tag := tagOf(body) // without the key, which no later answer has
	body.Key = made.Key
	return &apiKeyOutput{Location: apiKeyURL + "/" + made.ID, ETag: tag, Body: body}, nil
}

func (a *jsonAPI) listAPIKeys(ctx context.Context, in *NamedPage) (*apiKeyListOutput, error) {
	found, err := a.control.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	list, err := pageOf(found, *in, apiKeyBodyOf, func(k apiKeyBody) string { return k.ID })
	return &apiKeyListOutput{list}, err
}

func apiKeyBodyOf(k control.APIKey) apiKeyBody {
	body := apiKeyBody{
		ID: k.ID, Name: k.Name, Scope: k.Scope, CreatedAt: timestampOf(k.CreatedAt), ExpiresAt: timestampOf(k.ExpiresAt),
		Frontends: append([]string{}, k.Frontends...), LastUsedBy: k.LastUsedBy,
	}
	if !k.LastUsedAt.IsZero() {
		day := timestampOf(k.LastUsedAt)
		body.LastUsedAt = &day
	}
	return body
}
