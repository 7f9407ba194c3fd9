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

// undo is the way back from the change that has just been made, nil when there is none or somebody has changed the frontend
// since: then it would take back more than the sentence beside it says.
func (p *Pages) undo(r *http.Request, frontendID string) *views.Undo {
	_, revision := notice(r)
	if revision == "" {
		return nil
	}
	f, err := p.Control.Frontend(r.Context(), frontendID)
	if err != nil || strconv.FormatUint(f.Revision, 10) != revision {
		return nil
	}
	last, err := p.Control.Revisions(r.Context(), frontendID, 0, 2)
	if err != nil || len(last) < 2 {
		return nil
	}
	return &views.Undo{FrontendID: frontendID, Number: last[1].Number, IfMatch: revision}
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
	done := "restored"
	if r.PostForm.Get("undo") != "" {
		done = "undone"
	}
	return doneAt(w, r, "/frontends/"+f.ID, done)
}
