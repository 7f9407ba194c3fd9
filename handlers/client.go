package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// timestamp is a moment as the API writes it.
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
}

type createClientOutput struct {
	Location string `header:"Location"`
	Body     clientBody
}

type clientOutput struct{ Body clientBody }

func (a *jsonAPI) registerClient() {
	register(a, huma.Operation{
		OperationID: "create-client", Method: http.MethodPost, Path: apiPrefix + "/client", DefaultStatus: http.StatusCreated,
		Security: forAnybody, Summary: "Sign up", Tags: []string{"Client"},
	}, a.createClient)
	register(a, huma.Operation{
		OperationID: "get-client", Method: http.MethodGet, Path: apiPrefix + "/client",
		Security: withBearer, Summary: "The client that the token belongs to", Tags: []string{"Client"},
	}, a.getClient)
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
	return &clientOutput{clientBodyOf(own)}, nil
}

func clientBodyOf(c control.Client) clientBody {
	return clientBody{UUID: c.ID, Name: c.Name, CreatedAt: timestampOf(c.CreatedAt)}
}
