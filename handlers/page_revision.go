package handlers

import (
	"net/http"
	"strconv"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// numberOf is the revision that a page is about; what is no number is one that there is not.
func numberOf(r *http.Request) uint64 {
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// revisionForm asks before a frontend goes back, with what becomes different.
func (p *Pages) revisionForm(w http.ResponseWriter, r *http.Request) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	old, err := p.Control.Revision(r.Context(), f.ID, numberOf(r))
	if err != nil {
		return err
	}
	differ, err := p.Control.RevisionDiff(r.Context(), f.ID, 0, old.Number)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.RevisionPage(views.RevisionProps{
		Page: p.base(r, views.TitleRevision(f.Name, old.Number), "frontends"), FrontendID: f.ID, FrontendName: f.Name,
		Number: old.Number, At: old.At, Lines: diffLines(differ), IfMatch: strconv.FormatUint(f.Revision, 10),
	}))
}

// restore goes back, unless somebody has changed the frontend since the page was made.
func (p *Pages) restore(w http.ResponseWriter, r *http.Request) error {
	ifMatch, err := strconv.ParseUint(r.PostForm.Get("revision"), 10, 64)
	if err != nil {
		return &control.Error{Kind: control.KindInvalid, Field: "revision", Message: "Open the page again: it has to say which state you have seen."}
	}
	f, err := p.Control.RestoreFrontend(r.Context(), idOf(r), numberOf(r), ifMatch)
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/frontends/"+f.ID+"?done=restored", http.StatusSeeOther)
	return nil
}
