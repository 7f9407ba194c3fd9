package handlers

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// RevisionPath names a revision of a frontend.
type RevisionPath struct {
	FrontendPath
	Number uint64 `path:"number" minimum:"1" doc:"The revision's number"`
}

type revisionListInput struct {
	FrontendPath
	Before uint64 `query:"before" doc:"The next of the page before: goes on before this number"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" doc:"Most items in the answer. Default: 100"`
}

type revisionBody struct {
	Number   uint64       `json:"number" doc:"Counts the changes of the frontend from 1"`
	At       timestamp    `json:"at"`
	Actor    string       `json:"actor" doc:"uuid of the client that made it: the own one, or an administrator; empty when nobody knows any more"`
	Frontend frontendBody `json:"frontend" doc:"With the settings of then; ids and times are of now"`
}

type revisionListOutput struct{ Body listBody[revisionBody] }

type revisionOutput struct {
	ETag string `header:"ETag"`
	Body revisionBody
}

type revisionDiffInput struct {
	RevisionPath
	To uint64 `query:"to" doc:"Another revision. Default: the frontend as it is now"`
}

type revisionDiffOutput struct{ Body auditChangeBody }

type restoreInput struct {
	RevisionPath
	Precondition
}

func (a *jsonAPI) registerRevision() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: frontendURL + "/{uuid}/revisions" + path, Summary: summary, Security: withBearer, Tags: []string{"Frontend"},
		}
	}
	register(a, op("list-revisions", http.MethodGet, "", "What the frontend was after its last 100 changes, newest first"), a.listRevisions)
	register(a, op("get-revision", http.MethodGet, "/{number}", "One revision"), a.getRevision)
	register(a, op("diff-revision", http.MethodGet, "/{number}/diff", "What is different between a revision and another one, or now"), a.diffRevision)
	// POST and not PATCH: what is sent is not what comes out, and the same again makes no second revision.
	restore := op("restore-revision", http.MethodPost, "/{number}/restore", "Set the frontend as it was; that is a new revision")
	restore.DefaultStatus = http.StatusOK
	register(a, restore, a.restoreRevision)
}

func (a *jsonAPI) listRevisions(ctx context.Context, in *revisionListInput) (*revisionListOutput, error) {
	limit := in.Limit
	if limit == 0 {
		limit = control.MaxRevisions
	}
	found, err := a.control.Revisions(ctx, in.UUID, in.Before, limit+1)
	if err != nil {
		return nil, err
	}
	number := func(r revisionBody) string { return strconv.FormatUint(r.Number, 10) }
	return &revisionListOutput{listOf(found, limit, revisionBodyOf, number)}, nil
}

func revisionBodyOf(r control.FrontendRevision) revisionBody {
	return revisionBody{Number: r.Number, At: timestampOf(r.At), Actor: r.Actor, Frontend: frontendBodyOf(r.Frontend)}
}

func (a *jsonAPI) getRevision(ctx context.Context, in *RevisionPath) (*revisionOutput, error) {
	r, err := a.control.Revision(ctx, in.UUID, in.Number)
	if err != nil {
		return nil, err
	}
	body := revisionBodyOf(r)
	return &revisionOutput{ETag: tagOf(body), Body: body}, nil
}

func (a *jsonAPI) diffRevision(ctx context.Context, in *revisionDiffInput) (*revisionDiffOutput, error) {
	differ, err := a.control.RevisionDiff(ctx, in.UUID, in.Number, in.To)
	if err != nil {
		return nil, err
	}
	return &revisionDiffOutput{auditChangeBody(differ)}, nil
}

func (a *jsonAPI) restoreRevision(ctx context.Context, in *restoreInput) (*frontendOutput, error) {
	revision, err := a.revision(ctx, FrontendRequest{in.FrontendPath, in.Precondition})
	if err != nil {
		return nil, err
	}
	f, err := a.control.RestoreFrontend(ctx, in.UUID, in.Number, revision)
	if err != nil {
		return nil, err
	}
	return &frontendOutput{ETag: etag(f), Body: frontendBodyOf(f)}, nil
}
