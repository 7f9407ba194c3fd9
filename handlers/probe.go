package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type testInput struct {
	FrontendPath
	Body struct {
		Send string `json:"send,omitempty" enum:"nothing,http,postgres,redis" default:"nothing" doc:"What to send after the handshake: nothing, GET / of HTTP, an SSLRequest of PostgreSQL, or PING of Redis"`
	}
}

type testBody struct {
	At     timestamp       `json:"at"`
	Passed bool            `json:"passed" doc:"True too when nothing was sent and the route was reached"`
	TookMs float64         `json:"tookMs"`
	Stages []testStageBody `json:"stages" nullable:"false"`
	Failed string          `json:"failed" doc:"The stage at which it failed; empty when it passed"`
	Reason string          `json:"reason" doc:"A code, as in the log; silent when the route did not answer"`
	Detail string          `json:"detail"`
	Route  string          `json:"route" doc:"That was chosen, or tried last"`
}

type testStageBody struct {
	Name    string  `json:"name" doc:"handshake, certificate, frontend, chosen, reached or first-byte"`
	Reached bool    `json:"reached"`
	TookMs  float64 `json:"tookMs"`
}

type testOutput struct{ Body testBody }

func (a *jsonAPI) registerTest() {
	register(a, huma.Operation{
		OperationID: "test-frontend", Method: http.MethodPost, Path: frontendURL + "/{uuid}/test", Security: withBearer,
		Summary: "Make one connection through the own port with a certificate of the frontend, and report each stage. Once a second", Tags: []string{"Frontend"},
	}, a.testFrontend)
}

func (a *jsonAPI) testFrontend(ctx context.Context, in *testInput) (*testOutput, error) {
	t, err := a.control.TestFrontend(ctx, in.UUID, in.Body.Send)
	if err != nil {
		return nil, err
	}
	out := &testOutput{testBody{
		At: timestampOf(t.At), Passed: t.Failed == "", TookMs: t.Took.Seconds() * 1000, Stages: []testStageBody{}, Failed: t.Failed,
		Reason: t.Reason, Detail: t.Detail, Route: t.Route,
	}}
	for _, s := range t.Stages {
		out.Body.Stages = append(out.Body.Stages, testStageBody{s.Name, s.Reached, s.Took.Seconds() * 1000})
	}
	return out, nil
}
