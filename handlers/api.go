// Package handlers turns requests into calls of control and answers into JSON or pages. It has two faces: the
// JSON API for programs, and the pages for people. It knows no rule: those live in control.
package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const (
	apiPrefix  = "/api/v1"
	openAPIURL = apiPrefix + "/openapi.json"

	mergePatchType = "application/merge-patch+json" // RFC 7396
	jsonType       = "application/json"
)

// How an operation wants to know who asks, as the OpenAPI document lists it.
var (
	withBearer      = []map[string][]string{{"bearer": {}}}
	withBasic       = []map[string][]string{{"basic": {}}}
	withCertificate = []map[string][]string{{"certificate": {}}}
	forAnybody      = []map[string][]string{{}}
)

// APIConfig is the huma configuration that [RegisterAPI] needs.
func APIConfig(version string) huma.Config {
	cfg := huma.DefaultConfig("XLB", version)
	cfg.CreateHooks = nil // no $schema field, no Link header
	// What huma would serve by itself comes without our headers, our errors and our bound on sizes.
	cfg.OpenAPIPath = ""
	cfg.DocsPath = ""
	cfg.SchemasPath = ""
	cfg.RejectUnknownQueryParameters = true // a misspelt drain=60 would close connections at once
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalStrict}
	cfg.Formats = map[string]huma.Format{jsonType: format, "json": format, mergePatchType: format}
	cfg.Info.Description = "Create frontends, and the certificates whose streams are balanced over their routes."
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer":      {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The token of POST /api/v1/client/auth, good for an hour, or an API key."},
		"basic":       {Type: "http", Scheme: "basic", Description: "The client's uuid and key."},
		"certificate": {Type: "mutualTLS", Description: "The certificate that is to be renewed, in the TLS handshake."},
	}
	return cfg
}

// Field names are compared exactly, as encoding/json in other languages does.
func init() { huma.ValidateStrictCasing = true }

// jsonAPI is the face for programs.
type jsonAPI struct {
	huma.API
	control *control.Control
	log     *slog.Logger
}

// RegisterAPI adds all operations of the JSON API. log receives the failures that an answer hides.
func RegisterAPI(api huma.API, c *control.Control, log *slog.Logger) {
	a := &jsonAPI{API: api, control: c, log: log}
	// In this order: who is not logged in is not told what is wrong with the body.
	api.UseMiddleware(a.noStore, a.whoAsks, a.mediaType, a.once)
	a.registerClient()
	a.registerToken()
	a.registerAPIKey()
	a.registerSession()
	a.registerFrontend()
	a.registerStatus()
	a.registerRevision()
	a.registerRefused()
	a.registerTest()
	a.registerCertificate()
	a.registerRenew()
	a.registerConnection()
	a.registerAuthority()
	a.registerAdmin()
	a.registerInvite()
	a.registerAudit()
	a.registerEvent()
	a.registerImport()
	a.registerOpenAPI()
}

// register adds one operation; what it returns as an error becomes a problem.
func register[I, O any](a *jsonAPI, op huma.Operation, fn func(context.Context, *I) (*O, error)) {
	huma.Register(a.API, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			return nil, problemOf(ctx, a.log, err)
		}
		return out, nil
	})
}

// noStore keeps answers out of caches: they hold keys, tokens, or what only one client may see.
func (a *jsonAPI) noStore(ctx huma.Context, next func(huma.Context)) {
	ctx.SetHeader("Cache-Control", "no-store")
	next(ctx)
}

// whoAsks answers 401 before anything of the request is looked at.
func (a *jsonAPI) whoAsks(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	switch {
	case wants(op, "bearer") && !control.ActorFrom(ctx.Context()).IsKnown():
		ctx.SetHeader("WWW-Authenticate", bearerChallenge)
		huma.WriteErr(a.API, ctx, http.StatusUnauthorized, "Send a bearer token. POST /api/v1/client/auth gives one.")
	case wants(op, "basic"):
		login, ok := loginOf(ctx.Header("Authorization"))
		if !ok {
			ctx.SetHeader("WWW-Authenticate", basicChallenge)
			huma.WriteErr(a.API, ctx, http.StatusUnauthorized, "Send the client's uuid and key with HTTP Basic.")
			return
		}
		next(huma.WithValue(ctx, loginKey{}, login))
	default:
		next(ctx)
	}
}

func wants(op *huma.Operation, scheme string) bool {
	for _, one := range op.Security {
		if _, ok := one[scheme]; ok {
			return true
		}
	}
	return false
}

// mediaType refuses bodies of a type that the operation does not list. huma would read any as JSON, and a form on another
// site can send text/plain without the browser asking us first.
func (a *jsonAPI) mediaType(ctx huma.Context, next func(huma.Context)) {
	body := ctx.Operation().RequestBody
	given := ctx.Header("Content-Type")
	if body != nil && given != "" {
		name, _, err := mime.ParseMediaType(given)
		if _, ok := body.Content[name]; err != nil || !ok {
			huma.WriteErr(a.API, ctx, http.StatusUnsupportedMediaType, "")
			return
		}
	}
	next(ctx)
}

var (
	errNotJSON   = errors.New("not valid JSON")
	errWrongType = errors.New("a value has the wrong type or is out of range")
)

// unmarshalStrict reads exactly one JSON value whose objects name nothing twice: parsers differ in which
// of the two they take.
func unmarshalStrict(data []byte, v any) error {
	// huma decodes each body twice, into any and into the type: once is enough to look for what comes twice.
	if _, generic := v.(*any); generic {
		if err := checkJSON(data); err != nil {
			return err
		}
	}
	if json.Unmarshal(data, v) != nil {
		return errWrongType // what json says names types of ours
	}
	return nil
}

func checkJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a number that no float holds is refused later, by its field, and not here without one
	if !json.Valid(data) {
		return errNotJSON
	}
	return checkValue(d)
}

// maxDepth bounds how deep a body nests: each level costs memory before anything is known to be wrong. Ours have three.
const maxDepth = 32

// checkValue walks the tokens of valid JSON.
func checkValue(d *json.Decoder) error {
	var open []map[string]bool // the names of each open object, nil for a list
	isName := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errNotJSON
		}
		switch t := token.(type) {
		case json.Delim:
			switch {
			case t == '}' || t == ']':
				open = open[:len(open)-1]
			case len(open) == maxDepth:
				return fmt.Errorf("nested deeper than %d levels", maxDepth)
			case t == '{':
				open = append(open, map[string]bool{})
			default:
				open = append(open, nil)
			}
			isName = len(open) > 0 && open[len(open)-1] != nil
			continue
		case string:
			if isName {
				names := open[len(open)-1]
				if names[t] {
					return fmt.Errorf("the field %q comes twice in one object", clip(t))
				}
				names[t] = true
				isName = false
				continue
			}
		}
		isName = len(open) > 0 && open[len(open)-1] != nil
	}
}

// registerOpenAPI comes last: the document is made once, of what was registered.
func (a *jsonAPI) registerOpenAPI() {
	type output struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	var document []byte
	register(a, huma.Operation{
		OperationID: "openapi", Method: http.MethodGet, Path: openAPIURL, Security: forAnybody,
		Summary: "This description, as OpenAPI 3.1", Tags: []string{"Server"},
	}, func(context.Context, *struct{}) (*output, error) {
		return &output{ContentType: jsonType, Body: document}, nil
	})
	var err error
	if document, err = json.Marshal(a.OpenAPI()); err != nil {
		panic(fmt.Sprintf("openapi: %v", err)) // the types of this package, nothing from outside
	}
}
