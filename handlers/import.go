package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const (
	exportURL = apiPrefix + "/client/export"
	// ImportURL takes larger bodies than all others, of MaxImportBody bytes.
	ImportURL     = apiPrefix + "/client/import"
	MaxImportBody = 16 << 20
)

// portableBody is a frontend as a file has it: what its owner decides, without what this server has given it and without
// secrets.
type portableBody struct {
	Name            string      `json:"name"`
	Active          bool        `json:"active"`
	Strategy        string      `json:"strategy"`
	RouteTimeoutSec int         `json:"routeTimeoutSec"`
	Routes          []routeBody `json:"routes" nullable:"false"`

	spec *control.FrontendSpec // whose options follow
}

// MarshalJSON writes the fields above and the options.
func (b portableBody) MarshalJSON() ([]byte, error) {
	type own portableBody // without this method
	fields, err := json.Marshal(own(b))
	if err != nil {
		return nil, err
	}
	return appendSomeOptions(fields, b.spec, func(o control.Option) bool { return !o.ReadOnly })
}

// TransformSchema adds the options.
func (portableBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	addOptions(s)
	return s
}

type exportOutput struct {
	ContentDisposition string `header:"Content-Disposition"`
	Body               struct {
		Version   int            `json:"version" doc:"Of the form of this file: 1"`
		Frontends []portableBody `json:"frontends" nullable:"false" doc:"Oldest first"`
	}
}

// importBody is what a file has to be.
type importBody struct {
	Version   int             `json:"version,omitempty" enum:"1" doc:"Of the form of the file. Default: 1"`
	Frontends []frontendInput `json:"frontends" nullable:"false" doc:"Matched with those that there are by name; what is left out of one is the default"`
}

type importInput struct {
	DryRun  bool   `query:"dryRun" doc:"Say what would be done, and do nothing"`
	Prune   bool   `query:"prune" doc:"Delete the frontends that are not in the file, with their certificates"`
	RawBody []byte `contentType:"application/json"`
}

type planItemBody struct {
	Action string                     `json:"action" enum:"create,change,delete,same"`
	Name   string                     `json:"name"`
	UUID   string                     `json:"uuid" doc:"Empty for one that is not there yet"`
	Before map[string]json.RawMessage `json:"before" doc:"Of a change: the fields that are different, as they are or were; of a secret only that it changes"`
	After  map[string]json.RawMessage `json:"after" doc:"The same fields, as they become or became"`
}

type importOutput struct {
	Body struct {
		DryRun  bool           `json:"dryRun"`
		Changes int            `json:"changes" doc:"How many of the items are not the same"`
		Items   []planItemBody `json:"items" nullable:"false" doc:"In the order in which it is done: as in the file, then what is deleted"`
	}
}

func (a *jsonAPI) registerImport() {
	register(a, huma.Operation{
		OperationID: "export", Method: http.MethodGet, Path: exportURL, Security: withBearer, Tags: []string{"Client"},
		Summary: "All frontends as one file, without secrets",
	}, a.export)
	// huma would read the whole file into values of any type to check it: readImport does that frontend by frontend. Its
	// bound of the body is one byte later than that of the server, which says what the limit is.
	register(a, huma.Operation{
		OperationID: "import", Method: http.MethodPost, Path: ImportURL, Security: withBearer, Tags: []string{"Client"}, DefaultStatus: http.StatusOK,
		Summary: "Make the frontends like those of a file; the same again goes on where it was stopped", MaxBodyBytes: MaxImportBody + 1, SkipValidateBody: true,
	}, a.importFile)
	schemas := a.OpenAPI().Components.Schemas
	a.OpenAPI().Paths[ImportURL].Post.RequestBody.Content[jsonType].Schema = schemas.Schema(reflect.TypeFor[importBody](), true, "ImportBody")
}

func (a *jsonAPI) export(ctx context.Context, _ *struct{}) (*exportOutput, error) {
	all, err := a.control.Frontends(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	out := &exportOutput{ContentDisposition: `attachment; filename="xlb-frontends.json"`}
	out.Body.Version = 1
	out.Body.Frontends = []portableBody{}
	for _, f := range all {
		body := portableBody{Name: f.Name, Active: f.Active, Strategy: f.Strategy.String(), RouteTimeoutSec: f.RouteTimeoutSec, Routes: []routeBody{}, spec: &f.FrontendSpec}
		for _, r := range f.Routes {
			body.Routes = append(body.Routes, routeBodyOf(r))
		}
		out.Body.Frontends = append(out.Body.Frontends, body)
	}
	return out, nil
}

func (a *jsonAPI) importFile(ctx context.Context, in *importInput) (*importOutput, error) {
	wanted, err := a.readImport(ctx, in.RawBody)
	if err != nil {
		return nil, err
	}
	plan, err := a.control.Import(ctx, wanted, control.Import{DryRun: in.DryRun, Prune: in.Prune})
	if err != nil {
		return nil, err
	}
	out := &importOutput{}
	out.Body.DryRun = in.DryRun
	out.Body.Changes = plan.Changes
	out.Body.Items = make([]planItemBody, 0, len(plan.Items))
	for _, item := range plan.Items {
		out.Body.Items = append(out.Body.Items, planItemBody{Action: item.Action, Name: item.Name, UUID: item.ID, Before: item.Change.Before, After: item.Change.After})
	}
	return out, nil
}

func bodyError(field, message string) error {
	return &control.Error{Kind: control.KindInvalid, Field: field, Message: message}
}

// readImport reads a file frontend by frontend: as values of any type it would take ten times its size at once.
func (a *jsonAPI) readImport(ctx context.Context, text []byte) ([]control.FrontendSpec, error) {
	if err := checkJSON(text); err != nil {
		return nil, humaProblem(control.ActorFrom(ctx).RequestID, http.StatusBadRequest, err.Error(), nil)
	}
	var file map[string]json.RawMessage
	if json.Unmarshal(text, &file) != nil {
		return nil, bodyError("", "Send an object with frontends.")
	}
	var problems []error
	for name := range file {
		if name != "version" && name != "frontends" {
			problems = append(problems, bodyError(clip(name), "There is no such field."))
		}
	}
	if version, given := file["version"]; given && string(version) != "1" {
		problems = append(problems, bodyError("version", "Only version 1 can be read."))
	}
	var frontends []json.RawMessage
	if file["frontends"] == nil || json.Unmarshal(file["frontends"], &frontends) != nil || frontends == nil {
		problems = append(problems, bodyError("frontends", "This has to be a list of frontends."))
	}
	schemas := a.OpenAPI().Components.Schemas
	schema := schemas.Schema(reflect.TypeFor[frontendInput](), true, "FrontendInput")
	wanted := make([]control.FrontendSpec, 0, len(frontends))
	for i, raw := range frontends {
		spec := control.DefaultFrontend()
		found := readFrontend(raw, schemas, schema, &spec)
		for _, one := range found {
			problems = append(problems, bodyError(fmt.Sprintf("frontends[%d]%s", i, one[0]), one[1]))
		}
		if len(problems) >= maxProblems {
			break // the answer would be longer than the file
		}
		wanted = append(wanted, spec)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return wanted, nil
}

// readFrontend reads one frontend of a file, or tells what its form has wrong: where and why.
func readFrontend(raw json.RawMessage, schemas huma.Registry, schema *huma.Schema, spec *control.FrontendSpec) (wrong [][2]string) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return [][2]string{{"", "This is no frontend."}}
	}
	result := huma.ValidateResult{}
	huma.Validate(schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &result)
	for _, err := range result.Errors {
		if d, is := err.(huma.ErrorDetailer); is {
			location, message := missingField(d.ErrorDetail().Location, d.ErrorDetail().Message)
			wrong = append(wrong, [2]string{"." + location, message})
		}
	}
	var in frontendInput
	if len(wrong) == 0 {
		if err := json.Unmarshal(raw, &in); err != nil {
			return [][2]string{{"", "A value has the wrong type or is out of range."}}
		}
		in.into(spec)
	}
	return wrong
}
