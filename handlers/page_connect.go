package handlers

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// lookBack is how far back the connect page looks for a first connection: a reload shows what it showed.
const lookBack = 10 * time.Minute

func (p *Pages) connect(w http.ResponseWriter, r *http.Request) error {
	f, err := p.Control.Frontend(r.Context(), idOf(r))
	if err != nil {
		return err
	}
	now := time.Now()
	since := now.Add(-lookBack)
	panel, err := p.panel(r, f.ID, since, now)
	if err != nil {
		return err
	}
	page := p.base(r, views.TitleConnect(f.Name), "frontends")
	// Both moments travel with the stream, so that it says the same as this first page, however often it is opened again.
	page.Live = liveURL("connect", nil, "id", f.ID, "since", strconv.FormatInt(since.Unix(), 10), "opened", strconv.FormatInt(now.Unix(), 10))
	certificate, err := p.newest(r, f)
	if err != nil {
		return err
	}
	format := formatOf(r)
	file := control.BundleName(f.Name, format)
	asked := r.URL.Query().Get("tool")
	tool := views.ToolFor(asked, firstPort(f), preference(r, toolCookie))
	if tool == asked { // a choice of this browser for itself, which a GET may remember
		http.SetCookie(w, cookieOf(toolCookie, tool, preferenceAge))
	}
	head, err := p.head(r, f.ID, "")
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, views.Connect(views.ConnectProps{
		Page: page, Head: head, FrontendID: f.ID, FrontendName: f.Name, File: file, Certificate: certificate, Wizard: f.FirstByte.IsZero(),
		Tools: views.Tools, Tool: tool, Snippet: views.SnippetFor(tool, format, file, page.Endpoint), Panel: panel,
	}))
}

// toolCookie remembers the tab that was opened last.
const toolCookie = "xlb-tool"

// newest is the newest certificate of a frontend that lets programs in; nil for none.
func (p *Pages) newest(r *http.Request, f control.Frontend) (*views.Certificate, error) {
	issued, err := p.Control.Certificates(r.Context(), f.ID, "", 0)
	if err != nil {
		return nil, err
	}
	for _, row := range certificateRows(issued, map[string]string{f.ID: f.Name}, time.Now()) {
		if row.State == control.CertificateActive {
			return &row, nil
		}
	}
	return nil, nil
}

func firstPort(f control.Frontend) string {
	if len(f.Routes) == 0 {
		return ""
	}
	_, port, err := net.SplitHostPort(f.Routes[0].Dest)
	if err != nil {
		return ""
	}
	return port
}

// panel is what has arrived since a moment, for a page that was opened at another.
func (p *Pages) panel(r *http.Request, id string, since, opened time.Time) (views.ConnectPanelProps, error) {
	f, err := p.Control.Frontend(r.Context(), id)
	if err != nil {
		return views.ConnectPanelProps{}, err
	}
	progress, err := p.Control.Progress(r.Context(), f.ID, since)
	if err != nil {
		return views.ConnectPanelProps{}, err
	}
	panel := views.ConnectPanelProps{
		FrontendID: f.ID, Name: f.Name, Endpoint: p.Control.Endpoint(), Now: time.Now(), Since: opened,
		Accepted: progress.Accepted, Routed: progress.Routed, FirstByte: progress.FirstByte, Newest: servedOf(progress.Newest),
		Active: f.Active, Refresh: "/frontends/" + f.ID + "/connect",
	}
	for _, a := range progress.Attempts {
		headline, sentence := views.Explain(p.facts(r, a, f, p.Control.OwnLimits(r.Context()).Connections))
		panel.Attempts = append(panel.Attempts, views.Attempt{
			At: a.At, Code: a.Code, Headline: headline, Sentence: sentence, Address: a.Address.String(), Count: a.Count,
		})
	}
	return panel, nil
}

func servedOf(s control.Served) views.Served {
	served := views.Served{
		Serial: s.Serial, Resumed: s.Resumed, Route: s.Route, Handshake: s.Handshake, Connect: s.Wait + s.Connect, Took: s.Took,
		Answer: s.Took - s.Handshake - s.Wait - s.Connect, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
	}
	if s.From.IsValid() {
		served.From = s.From.String()
	}
	return served
}

// facts are what may be said about an attempt. Details of those who belong to nobody stay on this machine.
func (p *Pages) facts(r *http.Request, a control.Attempt, f control.Frontend, connections int) views.Facts {
	facts := views.Facts{
		Code: a.Code, Route: a.Route, Routes: len(f.Routes), Endpoint: p.Control.Endpoint(), TimeoutSec: f.RouteTimeoutSec,
		Connections: max(0, connections),
	}
	if a.FrontendID != "" || p.Control.IsLocal(r.Context()) {
		facts.Detail = a.Detail
	}
	return facts
}
