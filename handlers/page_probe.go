package handlers

import (
	"net/http"
	"slices"
	"strings"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

func (p *Pages) testForm(w http.ResponseWriter, r *http.Request) error {
	props, err := p.testProps(r, "")
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Test(props))
}

func (p *Pages) testProps(r *http.Request, send string) (views.TestProps, error) {
	head, err := p.head(r, idOf(r), "test")
	if err != nil {
		return views.TestProps{}, err
	}
	page := p.base(r, views.TitleTest(head.Frontend.Name), "frontends")
	page.Live = liveURL("head", nil, "id", head.Frontend.ID, "tab", "test")
	if !slices.Contains(control.TestSends, send) {
		send = sendFor(head.Frontend)
	}
	return views.TestProps{Page: page, Head: head, Send: send}, nil
}

// sendFor is what a route of the first port's usual service answers to.
func sendFor(f views.Frontend) string {
	if len(f.Routes) == 0 {
		return control.SendNothing
	}
	dest := f.Routes[0].Dest
	switch dest[strings.LastIndexByte(dest, ':')+1:] {
	case "80", "8000", "8080":
		return control.SendHTTP
	case "5432":
		return control.SendPostgres
	case "6379":
		return control.SendRedis
	}
	return control.SendNothing
}

func (p *Pages) runTest(w http.ResponseWriter, r *http.Request) error {
	send := r.PostForm.Get("send")
	props, err := p.testProps(r, send)
	if err != nil {
		return err
	}
	result, err := p.Control.TestFrontend(r.Context(), props.Head.Frontend.ID, send)
	status := http.StatusOK
	switch kind := control.KindOf(err); {
	case err != nil && kind != control.KindTooMany && kind != control.KindUnavailable:
		return err
	case err != nil: // too soon, or the own port cannot be reached: said on the page, where the button for the next try is
		status = statusOf(control.Problems(err)[0])
		props.Error = control.Problems(err)[0].Message
		setRetryAfter(w, control.Problems(err)[0])
	default:
		if props.Result, err = p.testRow(r, props.Head, result); err != nil {
			return err
		}
	}
	return p.show(w, r, status, views.Test(props))
}

// testRow is the result of a test as shown.
func (p *Pages) testRow(r *http.Request, head views.FrontendHead, t control.TestResult) (*views.TestResult, error) {
	row := &views.TestResult{At: t.At, Took: t.Took, Failed: t.Failed, Silent: t.Silent}
	for _, s := range t.Stages {
		row.Stages = append(row.Stages, views.TestStage{ID: s.Name, Reached: s.Reached, Took: s.Took, About: views.AboutStage(views.TestFacts{
			Stage: s.Name, Serial: t.Serial, Frontend: head.Frontend.Name, Strategy: strings.ToLower(head.Frontend.Strategy), Route: t.Route,
			Reached: s.Reached, Silent: t.Silent,
		})})
	}
	switch {
	case t.Failed == "":
	case t.Reason == control.TestNoAnswer:
		row.Sentence = views.TestSilent
	case t.Reason == "":
		row.Sentence = t.Detail
	default:
		f, err := p.Control.Frontend(r.Context(), head.Frontend.ID)
		if err != nil {
			return nil, err
		}
		attempt := control.Attempt{Code: t.Reason, Detail: t.Detail, Route: t.Route, FrontendID: f.ID}
		headline, sentence := views.Explain(p.facts(r, attempt, f, p.Control.OwnLimits(r.Context()).Connections))
		row.Sentence = headline + ". " + sentence
	}
	return row, nil
}
