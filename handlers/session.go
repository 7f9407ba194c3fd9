package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const sessionURL = apiPrefix + "/client/sessions"

type sessionBody struct {
	ID        string    `json:"id"`
	UserAgent string    `json:"userAgent" doc:"What the browser says it is"`
	Address   string    `json:"address" doc:"That it logged in from"`
	CreatedAt timestamp `json:"createdAt"`
	UsedAt    timestamp `json:"usedAt" doc:"Last, to the minute"`
	ExpiresAt timestamp `json:"expiresAt"`
}

type sessionListOutput struct{ Body listBody[sessionBody] }

// SessionPath names a session.
type SessionPath struct {
	ID string `path:"id" doc:"The session's id"`
}

func (a *jsonAPI) registerSession() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: sessionURL + path, Summary: summary, Security: withBearer, Tags: []string{"Client"}}
	}
	register(a, op("list-sessions", http.MethodGet, "", "Browsers that are logged in, newest first"), func(ctx context.Context, in *NamedPage) (*sessionListOutput, error) {
		found, err := a.control.Sessions(ctx)
		if err != nil {
			return nil, err
		}
		list, err := pageOf(found, *in, sessionBodyOf, func(s sessionBody) string { return s.ID })
		return &sessionListOutput{list}, err
	})
	register(a, op("end-session", http.MethodDelete, "/{id}", "Log a browser out"), func(ctx context.Context, in *SessionPath) (*struct{}, error) {
		return nil, a.control.EndOneSession(ctx, in.ID)
	})
	register(a, op("end-sessions", http.MethodDelete, "", "Log all browsers out"), func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		return nil, a.control.EndSessions(ctx, true)
	})
}

func sessionBodyOf(s control.Session) sessionBody {
	return sessionBody{ID: s.ID, UserAgent: s.UserAgent, Address: s.Address, CreatedAt: timestampOf(s.CreatedAt), UsedAt: timestampOf(s.UsedAt), ExpiresAt: timestampOf(s.ExpiresAt)}
}
