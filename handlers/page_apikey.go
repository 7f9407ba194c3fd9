package handlers

import (
	"net/http"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// apiKeysProps is the part of the account page about API keys.
func (p *Pages) apiKeysProps(r *http.Request) (views.APIKeysProps, error) {
	keys, err := p.Control.APIKeys(r.Context())
	if err != nil {
		return views.APIKeysProps{}, err
	}
	frontends, err := p.Control.Frontends(r.Context(), "", 0)
	if err != nil {
		return views.APIKeysProps{}, err
	}
	props := views.APIKeysProps{Now: time.Now()}
	names := map[string]string{}
	for _, f := range frontends {
		names[f.ID] = f.Name
		props.Frontends = append(props.Frontends, views.Choice{ID: f.ID, Name: f.Name})
	}
	for _, k := range keys {
		shown := views.APIKey{
			ID: k.ID, Name: k.Name, Scope: k.Scope, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt, LastUsedBy: k.LastUsedBy,
		}
		var bound []string
		for _, id := range k.Frontends {
			bound = append(bound, orElse(names[id], id))
		}
		shown.Frontend = strings.Join(bound, ", ")
		props.Keys = append(props.Keys, shown)
	}
	return props, nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// createKey makes an API key and answers with the account page, which shows it this once. There is no redirect in
// between, because the key must stand in no URL and no session.
func (p *Pages) createKey(w http.ResponseWriter, r *http.Request) error {
	request := control.APIKeyRequest{
		Name: r.PostForm.Get("name"), Scope: strings.Join(append([]string{control.ScopeRead}, r.PostForm["scope"]...), " "),
		Lifetime: time.Duration(atoi(r.PostForm.Get("days"), 0)) * 24 * time.Hour,
	}
	if id := r.PostForm.Get("frontend"); id != "" {
		request.Frontends = []string{id}
	}
	made, err := p.Control.CreateAPIKey(r.Context(), request)
	wrong, is := fieldErrors(err)
	if err != nil && !is {
		return err
	}
	props, err := p.accountProps(r)
	if err != nil {
		return err
	}
	if is {
		for field, text := range wrong {
			if field != "name" { // the others are choices: what is wrong with one stands above the form
				wrong[""] = text
			}
		}
		props.Keys.Name = request.Name
		props.Keys.Errors = wrong
		return p.show(w, r, http.StatusUnprocessableEntity, views.Account(props))
	}
	props.Keys.New = made.Key
	props.Keys.NewName = made.Name
	return p.show(w, r, http.StatusCreated, views.Account(props))
}

// revokeKeyForm asks before a key is revoked: programs that use it stop at once.
func (p *Pages) revokeKeyForm(w http.ResponseWriter, r *http.Request) error {
	key, err := p.Control.APIKey(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.RevokeKey(views.RevokeKeyProps{
		Page: p.base(r, views.TitleRevokeKey(key.Name), "account"), Key: views.APIKey{ID: key.ID, Name: key.Name},
	}))
}

func (p *Pages) revokeKey(w http.ResponseWriter, r *http.Request) error {
	if err := p.Control.RevokeAPIKey(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return doneAt(w, r, "/account", "key-revoked")
}
