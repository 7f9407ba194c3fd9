package handlers

import (
	"net/http"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func (p *Pages) authorities(w http.ResponseWriter, r *http.Request) error {
	return p.showAuthorities(w, r, http.StatusOK, "", "")
}

// showAuthorities shows the page, with why something was not done.
func (p *Pages) showAuthorities(w http.ResponseWriter, r *http.Request, status int, problem, about string) error {
	list, err := p.Control.Authorities(r.Context())
	if err != nil {
		return err
	}
	props := views.AuthoritiesProps{Page: p.base(r, views.TitleAuthorities, "admin"), Error: problem, About: about}
	for _, a := range list {
		props.List = append(props.List, views.Authority{
			ID: a.ID, State: a.State, NotAfter: a.NotAfter, LastExpiry: a.LastExpiry, Certificates: a.Certificates, Servers: a.Servers, Stranded: a.Stranded,
		})
	}
	return p.show(w, r, status, views.Authorities(props))
}

func (p *Pages) addAuthority(w http.ResponseWriter, r *http.Request) error {
	_, err := p.Control.AddAuthority(r.Context())
	return p.authorityDone(w, r, "", "add", err)
}

// authorityStates are what the buttons make of an authority.
var authorityStates = map[string]string{"use": "current", "trust": "retiring", "retire": "retired"}

func (p *Pages) changeAuthority(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	do := r.PostForm.Get("do")
	var err error
	if do == "remove" {
		err = p.Control.RemoveAuthority(r.Context(), id)
	} else {
		_, err = p.Control.ChangeAuthority(r.Context(), id, control.AuthorityChange{State: authorityStates[do], Anyway: r.PostForm.Get("anyway") == "yes"})
	}
	return p.authorityDone(w, r, id, do, err)
}

// authorityDone leads back to the page, or shows what stood in the way.
func (p *Pages) authorityDone(w http.ResponseWriter, r *http.Request, id, do string, err error) error {
	problems := control.Problems(err)
	if len(problems) > 0 && (problems[0].Kind == control.KindConflict || problems[0].Kind == control.KindLimit) {
		return p.showAuthorities(w, r, statusOf(problems[0]), problems[0].Message, id)
	}
	if err != nil {
		return err
	}
	return doneAt(w, r, "/admin/authorities", "authority-"+do)
}
