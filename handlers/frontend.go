package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const frontendURL = apiPrefix + "/client/frontend"

// FrontendPath names a frontend. It is exported because huma fills no fields of unexported embedded types;
// the same holds for the other embedded inputs.
type FrontendPath struct {
	UUID string `path:"uuid" doc:"The frontend's uuid"`
}

// Precondition guards a change against changes of others.
type Precondition struct {
	IfMatch string `header:"If-Match" doc:"The ETag that was read; the frontend must still have it"`
}

type createFrontendInput struct{ Body frontendInput }

// FrontendRequest names a frontend that is to be changed.
type FrontendRequest struct {
	FrontendPath
	Precondition
}

type patchFrontendInput struct {
	FrontendRequest
	Drain int64 `query:"drain" minimum:"0" maximum:"86400" doc:"When this switches the frontend off: seconds that live connections may go on. Default: 0, closed at once"`
	Body  frontendInput
}

type frontendBody struct {
	UUID            string      `json:"uuid"`
	Name            string      `json:"name"`
	Active          bool        `json:"active"`
	Strategy        int         `json:"strategy" doc:"0 round robin, 1 least connections, 2 weighted round robin, 3 two choices, 4 random, 5 source hash, 6 identity hash"`
	RouteTimeoutSec int         `json:"routeTimeoutSec"`
	ClientID        string      `json:"clientId"`
	AccessKey       string      `json:"accessKey" doc:"The CN of its certificates, 64 hex digits"`
	Routes          []routeBody `json:"routes" nullable:"false"`
	CreatedAt       timestamp   `json:"createdAt"`
	UpdatedAt       timestamp   `json:"updatedAt"`

	spec *control.FrontendSpec // whose options follow
}

// MarshalJSON writes the fields above and the options.
func (b frontendBody) MarshalJSON() ([]byte, error) {
	type own frontendBody // without this method
	fields, err := json.Marshal(own(b))
	if err != nil {
		return nil, err
	}
	return appendOptions(fields, b.spec)
}

// TransformSchema adds the options.
func (frontendBody) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	addOptionsOf(r, s)
	return s
}

type frontendOutput struct {
	ETag string `header:"ETag"`
	Body frontendBody
}

type createFrontendOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     frontendBody
}

type frontendListOutput struct {
	Body listBody[frontendBody]
}

func (a *jsonAPI) registerFrontend() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Security: withBearer, Tags: []string{"Frontend"},
		}
	}
	one := frontendURL + "/{uuid}"
	create := op("create-frontend", http.MethodPost, frontendURL, "Create a frontend")
	create.DefaultStatus = http.StatusCreated
	register(a, repeatable(create), a.createFrontend)
	register(a, op("list-frontends", http.MethodGet, frontendURL, "Your frontends, oldest first"), a.listFrontends)
	register(a, op("list-frontends-old", http.MethodGet, frontendURL+"/list", "The same list, under the name that scripts know"), a.listFrontends)
	register(a, op("get-frontend", http.MethodGet, one, "One frontend"), a.getFrontend)
	register(a, op("patch-frontend", http.MethodPatch, one, "Change a frontend (RFC 7396): what is absent stays, null is the default"), a.patchFrontend)
	register(a, op("delete-frontend", http.MethodDelete, one, "Delete a frontend and close its connections"), a.deleteFrontend)
	// huma knows one type for each body. Both are taken: most programs send what they always send.
	types := a.OpenAPI().Paths[one].Patch.RequestBody.Content
	types[mergePatchType] = types[jsonType]
}

func (a *jsonAPI) createFrontend(ctx context.Context, in *createFrontendInput) (*createFrontendOutput, error) {
	spec := control.DefaultFrontend()
	in.Body.into(&spec)
	f, err := a.control.CreateFrontend(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &createFrontendOutput{Location: frontendURL + "/" + f.ID, ETag: etag(f), Body: frontendBodyOf(f)}, nil
}

func (a *jsonAPI) listFrontends(ctx context.Context, in *Page) (*frontendListOutput, error) {
	ask := in.Limit
	if ask > 0 {
		ask++ // whether there is more
	}
	found, err := a.control.Frontends(ctx, in.After, ask)
	if err != nil {
		return nil, err
	}
	return &frontendListOutput{listOf(found, in.Limit, frontendBodyOf, func(f frontendBody) string { return f.UUID })}, nil
}

func (a *jsonAPI) getFrontend(ctx context.Context, in *FrontendPath) (*frontendOutput, error) {
	f, err := a.control.Frontend(ctx, in.UUID)
	if err != nil {
		return nil, err
	}
	return &frontendOutput{ETag: etag(f), Body: frontendBodyOf(f)}, nil
}

func (a *jsonAPI) patchFrontend(ctx context.Context, in *patchFrontendInput) (*frontendOutput, error) {
	revision, err := a.revision(ctx, in.FrontendRequest)
	if err != nil {
		return nil, err
	}
	f, err := a.control.UpdateFrontend(ctx, in.UUID, control.Update{
		IfMatch: revision, Drain: time.Duration(in.Drain) * time.Second,
		Edit: func(spec *control.FrontendSpec) error {
			in.Body.into(spec)
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &frontendOutput{ETag: etag(f), Body: frontendBodyOf(f)}, nil
}

// deleteFrontend compares If-Match before it deletes. A change in between goes with the frontend, as one just after
// reading it would.
func (a *jsonAPI) deleteFrontend(ctx context.Context, in *FrontendRequest) (*struct{}, error) {
	if _, err := a.revision(ctx, *in); err != nil {
		return nil, err
	}
	return nil, a.control.DeleteFrontend(ctx, in.UUID)
}

// revision is the one that If-Match asks for, zero when it does not ask. It compares strongly
// (RFC 9110, section 13.1.1). A list is looked up here, because the transaction compares with one revision.
func (a *jsonAPI) revision(ctx context.Context, in FrontendRequest) (uint64, error) {
	wanted := strings.TrimSpace(in.IfMatch)
	if wanted == "" || wanted == "*" {
		return 0, nil
	}
	f, err := a.control.Frontend(ctx, in.UUID)
	if err != nil {
		return 0, err
	}
	for one := range strings.SplitSeq(wanted, ",") {
		if strings.TrimSpace(one) == etag(f) {
			return f.Revision, nil
		}
	}
	return 0, &control.Error{Kind: control.KindPrecondition, Message: "This frontend changed since you read it. Read it again and repeat."}
}

func etag(f control.Frontend) string { return `"` + strconv.FormatUint(f.Revision, 10) + `"` }

func frontendBodyOf(f control.Frontend) frontendBody {
	body := frontendBody{
		UUID: f.ID, Name: f.Name, Active: f.Active, Strategy: int(f.Strategy), RouteTimeoutSec: f.RouteTimeoutSec,
		ClientID: f.ClientID, AccessKey: f.AccessKey, Routes: make([]routeBody, 0, len(f.Routes)),
		CreatedAt: timestampOf(f.CreatedAt), UpdatedAt: timestampOf(f.UpdatedAt), spec: &f.FrontendSpec,
	}
	// A list even when it is empty: scripts go through it without looking.
	for _, r := range f.Routes {
		body.Routes = append(body.Routes, routeBodyOf(r))
	}
	return body
}
