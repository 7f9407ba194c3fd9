package handlers

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/views"
)

// activityShown is how many records a page has.
const activityShown = 50

// activityKinds are the actions behind the choices of the page, as the API takes them.
var activityKinds = map[string]control.AuditQuery{
	"changes":      {Action: "frontend,client,admin", Outcome: "done"},
	"certificates": {Action: "certificate"},
	"access":       {Action: "session,token,api-key,client.create,client.rotate-key,admin.reset-key,admin.disable-client"},
	"refused":      {Outcome: "refused"},
}

func (p *Pages) activity(w http.ResponseWriter, r *http.Request) error {
	chosen := r.URL.Query()
	kind := chosen.Get("kind")
	q := activityKinds[kind]
	q.Text = strings.TrimSpace(chosen.Get("q"))
	q.Limit = activityShown
	if before, err := strconv.ParseUint(chosen.Get("before"), 10, 64); err == nil {
		q.Before = before
	}
	found, err := p.Control.Audits(r.Context(), q)
	if err != nil {
		return err
	}
	names, err := p.frontendNames(r)
	if err != nil {
		return err
	}
	props := views.ActivityProps{
		Page: p.base(r, views.TitleActivity, "activity"), Kind: kind, Query: q.Text, KeptDays: p.Control.AuditDays(),
		ExportURL: activityURL("/activity.csv", kind, q.Text), CheckURL: activityURL("/activity", kind, q.Text, "check", "1"),
	}
	for _, k := range views.KindNames {
		props.Kinds = append(props.Kinds, views.ActivityKind{Name: k.Name, URL: activityURL("/activity", k.ID, q.Text), Current: k.ID == kind})
	}
	if found.Next > 0 {
		props.Older = activityURL("/activity", kind, q.Text, "before", strconv.FormatUint(found.Next, 10))
	}
	props.Days = activityDays(found.Items, names, props.Page)
	// A chain is followed when somebody asks: years of it take a while.
	if chosen.Has("check") {
		check, err := p.Control.CheckAudit(r.Context())
		if err != nil {
			return err
		}
		props.Checked = check.Broken == 0
		props.Records = check.Records
		props.Broken = check.Broken
	}
	return p.show(w, r, http.StatusOK, views.Activity(props))
}

// exportActivity answers with what the page has been narrowed to, as a table.
func (p *Pages) exportActivity(w http.ResponseWriter, r *http.Request) error {
	q := activityKinds[r.URL.Query().Get("kind")]
	q.Text = strings.TrimSpace(r.URL.Query().Get("q"))
	q.Limit = control.MaxAudits
	found, err := p.Control.Audits(r.Context(), q)
	if err != nil {
		return err
	}
	text, err := auditCSV(found.Items)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="xlb-activity.csv"`)
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(text)
	return ignoreGone(err)
}

func activityURL(path, kind, text string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	if kind != "" {
		q.Set("kind", kind)
	}
	if text != "" {
		q.Set("q", text)
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// frontendNames are the names of those that there are, by id.
func (p *Pages) frontendNames(r *http.Request) (map[string]string, error) {
	all, err := p.Control.Frontends(r.Context(), "", 0)
	names := map[string]string{}
	for _, f := range all {
		names[f.ID] = f.Name
	}
	return names, err
}

// activityDays puts records into words, by day.
func activityDays(records []control.Audit, names map[string]string, page views.Page) (days []views.ActivityDay) {
	for _, record := range records {
		title := views.DayTitle(record.At, page.Now)
		if n := len(days); n == 0 || days[n-1].Title != title {
			days = append(days, views.ActivityDay{Title: title})
		}
		today := &days[len(days)-1]
		today.Events = append(today.Events, eventOf(record, names, page.Client))
	}
	return days
}

func eventOf(r control.Audit, names map[string]string, own views.Client) views.Event {
	e := views.Event{
		At: r.At, Who: own.Name, Action: r.Action, Sentence: views.EventSentence(r.Action), Refused: r.Outcome == "refused",
		RequestID: r.RequestID,
	}
	if r.Actor != own.ID { // not by name: a client is not told who administers the server
		e.Who = views.TheAdministrator
	}
	e.From = strings.Join(slices.DeleteFunc([]string{views.ViaName(r.Via), r.Address}, func(s string) bool { return s == "" }), " · ")
	if e.Refused {
		e.Sentence = views.RefusedSentence(r.Action, r.Reason)
		return e
	}
	if sentence := preciseSentence(r); sentence != "" {
		e.Sentence = sentence
	}
	id := frontendIn(r)
	e.Object = names[id]
	if e.Object != "" {
		e.ObjectURL = "/frontends/" + id
	}
	for _, change := range r.Changes {
		if change.Kind == "session" {
			continue // all of it is in the sentence
		}
		if change.Kind == "frontend" && e.Object == "" {
			e.Object = plainText(change.Before["name"])
		}
		e.Lines = append(e.Lines, diffLines(change)...)
		if number, err := strconv.ParseUint(string(change.Before["revision"]), 10, 64); err == nil && change.Kind == "frontend" && e.ObjectURL != "" {
			e.Back = number
			e.BackURL = e.ObjectURL + "/revisions/" + strconv.FormatUint(number, 10)
		}
		e.Open = len(e.Lines) <= openLines && !isWhole(change)
	}
	return e
}

// openLines is how many fields may be different for an entry to show them without being asked.
const openLines = 6

// isWhole tells whether something is new or gone: every field of it is different, which nobody wants to read at once.
func isWhole(change control.AuditChange) bool {
	for _, id := range []string{"uuid", "serial"} {
		if change.Before[id] != nil || change.After[id] != nil {
			return true
		}
	}
	return false
}

// preciseSentence says more than the action alone, where the record tells more.
func preciseSentence(r control.Audit) string {
	certificates := 0
	name := ""
	for _, change := range r.Changes {
		if change.Kind == "certificate" {
			certificates++
			name = plainText(change.After["name"])
		}
	}
	switch r.Action {
	case "certificate.issue", "certificate.renew":
		if name != "" {
			return views.IssuedSentence(r.Action, name)
		}
	case "certificate.revoke":
		return views.RevokedSentence(certificates)
	case "connection.close":
		closed, _, _ := strings.Cut(r.Reason, " ")
		if n, err := strconv.Atoi(closed); err == nil {
			return views.ClosedSentence(n)
		}
	}
	return ""
}

// frontendIn is the id of the frontend that a record is about, empty for none.
func frontendIn(r control.Audit) string {
	for _, change := range r.Changes {
		switch {
		case change.Kind == "frontend":
			return change.ID
		case change.Kind == "certificate" && change.After["frontendId"] != nil:
			return plainText(change.After["frontendId"])
		}
	}
	if strings.HasPrefix(r.Action, "frontend.") || strings.HasPrefix(r.Action, "certificate.") || strings.HasPrefix(r.Action, "connection.") {
		id, _, _ := strings.Cut(r.Object, "/")
		return id
	}
	return ""
}

// diffLines are the fields of a change, in the order of their names.
func diffLines(change control.AuditChange) (lines []views.DiffLine) {
	fields := maps.Clone(change.Before)
	maps.Copy(fields, change.After)
	delete(fields, "revision") // its number, which every change changes
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		lines = append(lines, views.DiffLine{Field: field, Before: readable(change.Before[field]), After: readable(change.After[field])})
	}
	return lines
}

// readable is a value as people read it: texts without quotes, and long ones cut.
func readable(value json.RawMessage) string {
	if value == nil {
		return ""
	}
	text := plainText(value)
	if text == "" {
		text = string(value)
	}
	return clip(text)
}

func plainText(value json.RawMessage) (text string) {
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC().Format(time.RFC3339)
	}
	return text
}
