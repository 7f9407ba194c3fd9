package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func (p *Pages) account(w http.ResponseWriter, r *http.Request) error {
	props, err := p.accountProps(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Account(props))
}

func (p *Pages) accountProps(r *http.Request) (views.AccountProps, error) {
	client, err := p.Control.OwnClient(r.Context())
	if err != nil {
		return views.AccountProps{}, err
	}
	usage, err := p.Control.Usage(r.Context())
	if err != nil {
		return views.AccountProps{}, err
	}
	sessions, err := p.sessionRows(r)
	if err != nil {
		return views.AccountProps{}, err
	}
	keys, err := p.apiKeysProps(r)
	if err != nil {
		return views.AccountProps{}, err
	}
	has, err := p.Control.OwnHoldings(r.Context())
	if err != nil {
		return views.AccountProps{}, err
	}
	limits := make([]views.Limit, 0, len(usage))
	for _, u := range usage {
		limits = append(limits, views.Limit{Name: views.LimitName(u.Name), Used: int64(u.Used), Max: int64(u.Max)})
	}
	return views.AccountProps{
		Page: p.base(r, views.TitleAccount, "account"), Admin: client.Admin, CreatedAt: client.CreatedAt,
		Name: client.Name, Revision: strconv.FormatUint(client.Revision, 10), KeyAt: client.KeyAt, OldKeyUntil: client.OldKeyUntil,
		Limits: limits, Keys: keys, Sessions: sessions, Holdings: views.Holdings(has),
	}, nil
}

// rename gives the client another name, unless somebody has changed the client since the page was made.
func (p *Pages) rename(w http.ResponseWriter, r *http.Request) error {
	revision, err := strconv.ParseUint(r.PostForm.Get("revision"), 10, 64)
	if err != nil {
		revision = 0 // a form without one changes what is there now
	}
	name := r.PostForm.Get("name")
	_, err = p.Control.RenameClient(r.Context(), revision, name)
	if err == nil {
		return doneAt(w, r, "/account", "renamed")
	}
	wrong, is := fieldErrors(err)
	status := http.StatusUnprocessableEntity
	switch {
	case control.KindOf(err) == control.KindPrecondition:
		status = http.StatusConflict
		wrong = map[string]string{"name": views.ClientChanged}
	case !is:
		return err
	}
	props, err := p.accountProps(r)
	if err != nil {
		return err
	}
	props.Name = name
	props.NameError = wrong["name"]
	return p.show(w, r, status, views.Account(props))
}

// replaceKey makes a new client key and answers with the account page, which shows it this once.
func (p *Pages) replaceKey(w http.ResponseWriter, r *http.Request) error {
	made, err := p.Control.RotateKey(r.Context(), time.Duration(atoi(r.PostForm.Get("grace"), 0))*time.Second)
	if err != nil {
		return err
	}
	props, err := p.accountProps(r)
	if err != nil {
		return err
	}
	props.NewKey = made.Key
	return p.show(w, r, http.StatusOK, views.Account(props))
}

func (p *Pages) deleteAccountForm(w http.ResponseWriter, r *http.Request) error {
	props, err := p.deleteAccountProps(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.DeleteAccount(props))
}

func (p *Pages) deleteAccountProps(r *http.Request) (views.DeleteAccountProps, error) {
	has, err := p.Control.OwnHoldings(r.Context())
	if err != nil {
		return views.DeleteAccountProps{}, err
	}
	page := p.base(r, views.TitleDeleteAccount, "account")
	return views.DeleteAccountProps{Page: page, Name: page.Client.Name, Holdings: views.Holdings(has)}, nil
}

// deleteAccount ends the client, once its name was typed.
func (p *Pages) deleteAccount(w http.ResponseWriter, r *http.Request) error {
	props, err := p.deleteAccountProps(r)
	if err != nil {
		return err
	}
	if strings.TrimSpace(r.PostForm.Get("name")) != props.Name {
		props.Error = views.NameDiffers
		return p.show(w, r, http.StatusUnprocessableEntity, views.DeleteAccount(props))
	}
	if err := p.Control.DeleteClient(r.Context(), 0); err != nil {
		return err
	}
	if err := p.Sessions.Forget(w, r); err != nil {
		return err
	}
	return doneAt(w, r, "/login", "gone")
}

const shortcutsCookie = "xlb-keys"

// setShortcuts switches single keys on or off, in this browser.
func (p *Pages) setShortcuts(w http.ResponseWriter, r *http.Request) error {
	value := "off"
	age := 365 * 24 * 3600
	if r.PostForm.Get("shortcuts") == "on" {
		value = ""
		age = -1
	}
	http.SetCookie(w, cookieOf(shortcutsCookie, value, age))
	http.Redirect(w, r, "/account", http.StatusSeeOther)
	return nil
}

// shortcutsOff tells whether somebody wants no single keys in this browser.
func shortcutsOff(r *http.Request) bool {
	return preference(r, shortcutsCookie) == "off"
}
