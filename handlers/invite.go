package handlers

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

const inviteURL = apiPrefix + "/admin/invites"

type inviteBody struct {
	ID        string    `json:"id"`
	Code      string    `json:"code,omitempty" doc:"For POST /api/v1/client or the sign-up page, once; shown this once"`
	CreatedAt timestamp `json:"createdAt"`
	ExpiresAt timestamp `json:"expiresAt"`
}

type inviteOutput struct {
	Location string `header:"Location"`
	Body     inviteBody
}

type inviteListOutput struct{ Body listBody[inviteBody] }

type inviteInput struct {
	ID string `path:"id" pattern:"^[0-9a-f]{64}$" doc:"The invite's id"`
}

func (a *jsonAPI) registerInvite() {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: inviteURL + path, Summary: summary, Security: withBearer, Tags: []string{"Administrator"}}
	}
	create := op("admin-create-invite", http.MethodPost, "", "Make a code that lets one client in, within 7 days")
	create.DefaultStatus = http.StatusCreated
	register(a, repeatable(create, "code"), func(ctx context.Context, _ *struct{}) (*inviteOutput, error) {
		made, err := a.control.CreateInvite(ctx)
		if err != nil {
			return nil, err
		}
		return &inviteOutput{Location: inviteURL + "/" + made.ID, Body: inviteBodyOf(made)}, nil
	})
	register(a, op("admin-list-invites", http.MethodGet, "", "The invites that can still be used"), func(ctx context.Context, in *NamedPage) (*inviteListOutput, error) {
		found, err := a.control.Invites(ctx)
		if err != nil {
			return nil, err
		}
		list, err := pageOf(found, *in, inviteBodyOf, func(i inviteBody) string { return i.ID })
		return &inviteListOutput{list}, err
	})
	register(a, op("admin-delete-invite", http.MethodDelete, "/{id}", "Take an invite back"), func(ctx context.Context, in *inviteInput) (*struct{}, error) {
		return nil, a.control.DeleteInvite(ctx, in.ID)
	})
}

func inviteBodyOf(i control.Invite) inviteBody {
	return inviteBody{ID: i.ID, Code: i.Code, CreatedAt: timestampOf(i.CreatedAt), ExpiresAt: timestampOf(i.ExpiresAt)}
}
