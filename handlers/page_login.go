package handlers

import (
	"net/http"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func loggedIn(r *http.Request) bool { return control.ActorFrom(r.Context()).ClientID != "" }

func toOverview(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func (p *Pages) signupForm(w http.ResponseWriter, r *http.Request) error {
	if loggedIn(r) {
		return toOverview(w, r)
	}
	return p.show(w, r, http.StatusOK, views.Signup(p.signupProps(r, views.SuggestClient(), nil)))
}

func (p *Pages) signupProps(r *http.Request, name string, errors map[string]string) views.SignupProps {
	code := r.PostForm.Get("code")
	if r.Method != http.MethodPost {
		code = r.URL.Query().Get("code") // of the link that an invite is
	}
	// Outside of local mode sign-up is closed to strangers, and a link lets one in all the same.
	needsCode := p.Control.NeedsSetup() || p.Control.SignupPolicy(r.Context()) == "invite" || code != ""
	return views.SignupProps{
		Page: p.base(r, views.TitleSignup, ""), Name: name, Code: code, Errors: errors,
		NeedsCode: needsCode, Invite: !p.Control.NeedsSetup(), Closed: !needsCode && p.Control.SignupPolicy(r.Context()) != "open",
	}
}

// signup makes a client, logs the browser in, and answers with the next step and the key, shown this once.
func (p *Pages) signup(w http.ResponseWriter, r *http.Request) error {
	name := r.PostForm.Get("name")
	if loggedIn(r) { // loaded again: a second client would be one that nobody wanted, and its key hide that of the first
		props := p.signupProps(r, name, nil)
		props.Shown = true
		return p.show(w, r, http.StatusConflict, views.Signup(props))
	}
	client, err := p.Control.CreateClient(r.Context(), name, r.PostForm.Get("code"))
	if wrong, is := fieldErrors(err); is {
		return p.show(w, r, http.StatusUnprocessableEntity, views.Signup(p.signupProps(r, name, wrong)))
	}
	if problem := busy(err); problem != nil {
		setRetryAfter(w, problem)
		return p.show(w, r, statusOf(problem), views.Signup(p.signupProps(r, name, map[string]string{"": problem.Message})))
	}
	if err != nil {
		return err
	}
	if err := p.Sessions.Start(w, r, client.ID); err != nil {
		return err
	}
	// The next step is made for the new client. It comes in this answer and not after a redirect, because the key is
	// shown this once and must stand in no URL and no session.
	a := control.ActorFrom(r.Context())
	a.ClientID = client.ID
	r = r.WithContext(control.WithActor(r.Context(), a))
	props := p.newProps(r, newForm{routes: []views.RouteRow{{}}, timeout: defaultTimeout()}, nil)
	props.Secret = views.Secret{ClientID: client.ID, Key: client.Key}
	return p.show(w, r, http.StatusCreated, views.New(props))
}

// busy is the problem when err says to try again later.
func busy(err error) *control.Error {
	for _, problem := range control.Problems(err) {
		if problem.Kind == control.KindTooMany || problem.Kind == control.KindUnavailable {
			return problem
		}
	}
	return nil
}

func (p *Pages) loginForm(w http.ResponseWriter, r *http.Request) error {
	next := local(r.URL.Query().Get("next"), "/")
	if loggedIn(r) {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	return p.show(w, r, http.StatusOK, views.Login(views.LoginProps{
		Page: p.base(r, views.TitleLogin, ""), Next: next, Notice: noticeText(r),
	}))
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) error {
	id := r.PostForm.Get("uuid")
	next := local(r.PostForm.Get("next"), "/")
	client, err := p.Control.Authenticate(r.Context(), id, r.PostForm.Get("key"))
	problems := control.Problems(err)
	if err != nil && len(problems) == 0 {
		return err
	}
	// The id stays in the form, the key does not: it would be in the page, and in what the browser keeps of it.
	if len(problems) > 0 {
		setRetryAfter(w, problems[0])
		return p.show(w, r, statusOf(problems[0]), views.Login(views.LoginProps{
			Page: p.base(r, views.TitleLogin, ""), UUID: id, Next: next, Errors: map[string]string{"": problems[0].Message},
		}))
	}
	if err := p.Sessions.Start(w, r, client.ID); err != nil {
		return err
	}
	// 303: what follows is a GET, and going back does not send the key again.
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) error {
	if err := p.Sessions.End(w, r); err != nil {
		return err
	}
	return doneAt(w, r, "/login", "out")
}
