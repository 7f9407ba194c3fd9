package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func adminRow(c control.ClientStatus) views.AdminClient {
	return views.AdminClient{
		ID: c.ID, Name: c.Name, Admin: c.Admin, Disabled: c.Disabled, CreatedAt: c.CreatedAt, Has: views.Holdings(c.Holdings),
		Most: views.Holdings{
			Frontends: max(0, c.Limits.Frontends), Certificates: max(0, c.Limits.Certificates), Connections: max(0, c.Limits.Connections),
		},
	}
}

// adminPage is the page with some of its parameters set differently.
func adminPage(chosen url.Values, name, value string) string {
	q := url.Values{}
	for _, kept := range []string{"only", "q", "sort"} {
		if text := chosen.Get(kept); text != "" && kept != name {
			q.Set(kept, text)
		}
	}
	if value != "" {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return "/admin"
	}
	return "/admin?" + q.Encode()
}

func (p *Pages) admin(w http.ResponseWriter, r *http.Request) error {
	props, err := p.adminProps(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Admin(props))
}

func (p *Pages) adminProps(r *http.Request) (views.AdminProps, error) {
	chosen := r.URL.Query()
	query := control.ClientQuery{Text: chosen.Get("q"), Only: chosen.Get("only"), Sort: chosen.Get("sort")}
	found, err := p.Control.Clients(r.Context(), query)
	if err != nil {
		return views.AdminProps{}, err
	}
	state, err := p.Control.ServerState(r.Context())
	if err != nil {
		return views.AdminProps{}, err
	}
	invites, err := p.Control.Invites(r.Context())
	if err != nil {
		return views.AdminProps{}, err
	}
	props := views.AdminProps{
		Page: p.base(r, views.TitleAdmin, "admin"), Server: p.serverShown(state), Only: query.Only, Query: query.Text, Sort: query.Sort,
		Pager: pager(len(found), "/admin", chosen, "page"), Total: state.Clients,
	}
	for _, c := range found[props.Pager.From:props.Pager.To] {
		props.Rows = append(props.Rows, adminRow(c))
	}
	for _, one := range views.OnlyNames {
		props.Chips = append(props.Chips, views.Chip{Name: one.Name, URL: adminPage(chosen, "only", one.ID), Current: one.ID == query.Only})
	}
	for _, one := range views.AdminSorts {
		props.Sorts = append(props.Sorts, views.Chip{URL: adminPage(chosen, "sort", one.ID), Current: one.ID == query.Sort})
	}
	for _, i := range invites {
		props.Invites = append(props.Invites, views.Invite{ID: i.ID, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt})
	}
	return props, nil
}

func (p *Pages) serverShown(s control.ServerState) views.Server {
	return views.Server{
		StartedAt: s.StartedAt, AuthorityExpiry: s.AuthorityExpiry, Version: p.Version, Authority: s.Authority, Clients: s.Clients, Disabled: s.Disabled,
		Invites: s.Invites, Connections: s.Connections, MaxConnections: s.MaxConnections, Handshakes: s.Handshakes, Shed: s.Shed,
		ChecksLate: s.ChecksLate, StoreError: s.StoreError, StoreFree: s.StoreFree,
	}
}

// createInvite answers with the page, which shows the link this once.
func (p *Pages) createInvite(w http.ResponseWriter, r *http.Request) error {
	made, err := p.Control.CreateInvite(r.Context())
	if err != nil {
		return err
	}
	props, err := p.adminProps(r)
	if err != nil {
		return err
	}
	// The host that the administrator uses is one that works; the server cannot know how it is called from outside.
	link := url.URL{Scheme: "https", Host: r.Host, Path: "/signup", RawQuery: url.Values{"code": {made.Code}}.Encode()}
	props.New = link.String()
	return p.show(w, r, http.StatusCreated, views.Admin(props))
}

func (p *Pages) deleteInvite(w http.ResponseWriter, r *http.Request) error {
	if err := p.Control.DeleteInvite(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return doneAt(w, r, "/admin", "invite-gone")
}

func (p *Pages) adminClient(w http.ResponseWriter, r *http.Request) error {
	props, err := p.adminClientProps(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.AdminClientPage(props))
}

func (p *Pages) adminClientProps(r *http.Request) (views.AdminClientProps, error) {
	id := idOf(r)
	c, err := p.Control.ClientOf(r.Context(), id)
	if err != nil {
		return views.AdminClientProps{}, err
	}
	usage, err := p.Control.UsageOf(r.Context(), id)
	if err != nil {
		return views.AdminClientProps{}, err
	}
	sessions, err := p.Control.SessionsOf(r.Context(), id)
	if err != nil {
		return views.AdminClientProps{}, err
	}
	props := views.AdminClientProps{
		Page: p.base(r, views.TitleAdminClient(c.Name), "admin"), Client: adminRow(c), Own: c.ID == control.ActorFrom(r.Context()).ClientID,
	}
	for _, u := range usage {
		l := views.AdminLimit{Field: u.Name, Name: views.LimitName(u.Name), Used: u.Used, Max: u.Max}
		if own, set := c.OwnLimits[u.Name]; set {
			l.Value = strconv.Itoa(own)
		}
		props.Limits = append(props.Limits, l)
	}
	for _, s := range sessions {
		props.Sessions = append(props.Sessions, sessionRow(s))
	}
	return props, nil
}

// changeClient does what the button says, and leads back to the client's page.
func (p *Pages) changeClient(w http.ResponseWriter, r *http.Request) error {
	id := idOf(r)
	do := r.PostForm.Get("do")
	var err error
	switch do {
	case "disable", "enable":
		_, err = p.Control.SetDisabled(r.Context(), id, do == "disable")
	case "admin", "unadmin":
		_, err = p.Control.SetAdmin(r.Context(), id, do == "admin")
	case "end-sessions":
		err = p.Control.EndSessionsOf(r.Context(), id)
	case "reset":
		return p.resetKey(w, r, id)
	case "limits":
		return p.setLimits(w, r, id)
	default:
		if _, err = p.Control.ClientOf(r.Context(), id); err == nil { // who may not is told that, and nothing of the form
			err = &control.Error{Kind: control.KindInvalid, Field: "do", Message: "There is no such thing to do."}
		}
	}
	if err != nil {
		return err
	}
	return doneAt(w, r, "/admin/clients/"+url.PathEscape(id), "client-"+do)
}

// resetKey answers with the page, which shows the key this once.
func (p *Pages) resetKey(w http.ResponseWriter, r *http.Request, id string) error {
	made, err := p.Control.ResetKey(r.Context(), id)
	if err != nil {
		return err
	}
	props, err := p.adminClientProps(r)
	if err != nil {
		return err
	}
	props.NewKey = made.Key
	return p.show(w, r, http.StatusOK, views.AdminClientPage(props))
}

// setLimits sets all limits of the form: an empty field is the server's default.
func (p *Pages) setLimits(w http.ResponseWriter, r *http.Request, id string) error {
	props, err := p.adminClientProps(r)
	if err != nil {
		return err
	}
	changes := map[string]int{}
	wrong := false
	for i := range props.Limits {
		l := &props.Limits[i]
		l.Value = strings.TrimSpace(r.PostForm.Get(l.Field))
		n, err := strconv.Atoi(l.Value)
		switch {
		case l.Value == "":
			n = -1 // the server's default again; 0 is no bound
		case err != nil || n < 0:
			l.Wrong = views.LimitNumber
			wrong = true
		}
		changes[l.Field] = n
	}
	if !wrong {
		_, err = p.Control.SetLimits(r.Context(), id, changes)
		fields, is := fieldErrors(err)
		if err != nil && !is {
			return err
		}
		for i := range props.Limits {
			props.Limits[i].Wrong = fields["limits."+props.Limits[i].Field]
		}
		wrong = err != nil
	}
	if wrong {
		return p.show(w, r, http.StatusUnprocessableEntity, views.AdminClientPage(props))
	}
	return doneAt(w, r, "/admin/clients/"+url.PathEscape(id), "client-limits")
}

func (p *Pages) deleteClientForm(w http.ResponseWriter, r *http.Request) error {
	props, err := p.deleteClientProps(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.DeleteClient(props))
}

func (p *Pages) deleteClientProps(r *http.Request) (views.DeleteClientProps, error) {
	c, err := p.Control.ClientOf(r.Context(), idOf(r))
	if err != nil {
		return views.DeleteClientProps{}, err
	}
	return views.DeleteClientProps{Page: p.base(r, views.TitleAdminClient(c.Name), "admin"), Client: adminRow(c)}, nil
}

func (p *Pages) deleteClient(w http.ResponseWriter, r *http.Request) error {
	props, err := p.deleteClientProps(r)
	if err != nil {
		return err
	}
	// Nothing of it can be had back, so a click is not enough.
	if strings.TrimSpace(r.PostForm.Get("name")) != props.Client.Name {
		props.Error = views.NameDiffers
		return p.show(w, r, http.StatusUnprocessableEntity, views.DeleteClient(props))
	}
	if err := p.Control.RemoveClient(r.Context(), props.Client.ID); err != nil {
		return err
	}
	return doneAt(w, r, "/admin", "client-deleted")
}
