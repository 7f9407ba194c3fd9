package views

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"
)

const nasty = `<script>alert("x")</script>'&`

func samplePage() Page {
	return Page{
		Title: nasty, Nav: "frontends", Client: Client{ID: "0198c41e-7a52-7c1b-9d0e-6f2b8e44a1d7", Name: nasty},
		Endpoint: "lb.acme.example:9090", Asset: func(name string) string { return "/static/" + name },
		Theme: "dark", Now: noon, RequestID: "7f3c0b1e", Live: "/events?view=x", Flash: nasty, Frontends: 7, Certs: 14,
	}
}

func sampleRows() []RouteRow {
	return []RouteRow{
		{Dest: "10.0.7.2:6379", Capacity: "200", Good: "Answers in 1 ms"},
		{Dest: nasty, Error: nasty},
		{Dest: "10.0.7.3:6380", Caution: nasty},
	}
}

func sampleFrontend() Frontend {
	return Frontend{
		ID: "f1", Name: nasty, AccessKey: "7d02b6c0aaaaf1a4", Active: true, State: "degraded", Strategy: "Round robin",
		RouteTimeoutSec: 5, Connections: 1374, Total: 90000, BytesIn: 1e6, BytesOut: 1e9, NewPerSec: 62.5, InPerSec: 3.6e6,
		OutPerSec: 28.1e6, ConnSamples: []float64{1, 2, 3}, NewSamples: []float64{1, 0}, ByteSamples: []float64{0, 0},
		NextExpiry: noon.Add(5 * 24 * time.Hour), Certificates: 2, CreatedAt: noon, UpdatedAt: noon,
		Routes: []Route{
			{Dest: "10.0.4.11:5432", Capacity: 200, State: "up", Active: 190, Total: 5, ConnectTime: 600 * time.Microsecond},
			{Dest: nasty, State: "down", Reason: nasty, Since: noon, Failed: 20},
			{Dest: "10.0.4.13:5432", State: "unknown"},
		},
	}
}

func sampleList() List {
	return List{Path: "/frontends", Query: nasty, State: "up", Sort: "-name", States: []ListState{{"", "All", 7}, {"up", "Up", 2}}, Label: nasty, Hint: nasty}
}

func sampleHead() FrontendHead {
	return FrontendHead{Now: noon, Tab: "overview", Frontend: sampleFrontend(), Refused: 12}
}

func sampleFlow() Flow {
	return Flow{
		Active: 12, From: []FlowEnd{{Name: nasty, Active: 8}, {Name: "b", Active: 4}}, MoreFrom: 2,
		To: []FlowEnd{{Name: "10.0.4.11:5432", State: "up", Active: 9}, {Name: nasty, State: "down"}, {Name: "c", State: "draining", Active: 3}}, MoreTo: 1,
	}
}

func sampleCharts(tables string) ChartsProps {
	p := ChartsProps{FrontendID: "f1", Range: "5m", Tables: tables, From: noon.Add(-5 * time.Minute), Step: 2 * time.Second, Began: noon}
	for i := range 150 {
		v := float64(i)
		point := TrafficPoint{Active: 400 + v, New: v / 100, In: 1e6 * v, Out: 2e6, Failed: float64(i % 2), Median: 0.0006, High: 0.0023, Wait: 0}
		if i > 50 && i < 60 {
			nan := math.NaN()
			point = TrafficPoint{nan, nan, nan, nan, nan, nan, nan, nan}
		}
		p.Points = append(p.Points, point)
		p.Now = point
	}
	return p
}

func sampleCertificates() []Certificate {
	var list []Certificate
	for i, state := range []string{"active", "active", "active", "expired", "revoked", "gone"} {
		list = append(list, Certificate{
			Serial: fmt.Sprintf("4e91aabbccddeeff%02d", i), FrontendID: "f1", FrontendName: nasty, KeyType: "RSA 3072",
			NotBefore: noon.Add(-24 * time.Hour), IssuedAt: noon, NotAfter: noon.Add(time.Duration(i*20+3) * 24 * time.Hour), State: state,
		})
	}
	return list
}

func sampleConnections() ConnectionTableProps {
	return ConnectionTableProps{FrontendID: "f1", Query: nasty, Total: 412, Rows: []Connection{
		{ID: "7", Serial: "4e91aabb", Name: nasty, Source: "10.2.0.14:51884", Route: nasty, Since: noon, Age: 134 * time.Minute, Idle: time.Second, BytesOut: 1.2e9, BytesIn: 88e6},
		{ID: "3", Serial: "91ab07", Source: "[2001:db8::7]:1", Since: noon},
	}}
}

func samplePanel() ConnectPanelProps {
	return ConnectPanelProps{
		FrontendID: "f1", Name: nasty, Endpoint: "localhost:9090", Now: noon, Since: noon.Add(-2 * time.Minute), Refresh: "/r",
		Attempts: []Attempt{
			{At: noon, Code: "no-cert", Headline: nasty, Sentence: nasty, Address: "127.0.0.1:1", Count: 3},
			{At: noon, Code: "route-refused", Headline: "Accepted, but", Sentence: "Start it.", Count: 1},
		},
	}
}

// pages is every page, with much to show and with nothing to show.
func pages() map[string]templ.Component {
	p, f := samplePage(), sampleFrontend()
	table := FrontendTableProps{Now: noon, Rows: []Frontend{f, {ID: "f2", Name: "b", State: "waiting"}}, List: sampleList(), Total: 2, Limit: 50}
	all := map[string]string{"": nasty, "name": nasty, "code": nasty, "uuid": nasty, "key": nasty, "routes": nasty, "strategy": nasty, "routeTimeoutSec": nasty}
	connect := ConnectProps{
		Page: p, FrontendID: "f1", FrontendName: nasty, File: "xlb.zip", Tools: []Tool{{"curl", "curl"}, {"psql", "psql"}}, Tool: "psql",
		Snippet: Snippet{"psql", []string{"psql \\\n  x", nasty}, "a prompt", nasty}, Certificate: &sampleCertificates()[0], Panel: samplePanel(),
	}
	wizard := connect
	wizard.Wizard = true
	wizard.Panel.Accepted, wizard.Panel.FirstByte = noon, noon
	wizard.Panel.Newest = Served{From: nasty, Serial: "4e91", Route: "10.0.7.2:6379", Resumed: true, Handshake: time.Millisecond, Connect: time.Millisecond, Took: 4 * time.Millisecond, BytesIn: 14}
	return map[string]templ.Component{
		"signup":                       Signup(SignupProps{Page: p, Name: nasty, NeedsCode: true, Errors: all}),
		"signup, empty":                Signup(SignupProps{}),
		"signup, closed":               Signup(SignupProps{Closed: true}),
		"login":                        Login(LoginProps{Page: p, UUID: nasty, Next: "/x", Notice: nasty, Errors: all}),
		"login, empty":                 Login(LoginProps{}),
		"new":                          New(NewProps{Page: p, Secret: Secret{"id", "key"}, Name: nasty, Routes: sampleRows(), Errors: all}),
		"new, empty":                   New(NewProps{}),
		"certificate":                  CertificateStep(CertificateStepProps{Page: p, FrontendID: "f1", FrontendName: nasty, File: nasty, First: true, Format: "zip"}),
		"certificate, more":            CertificateStep(CertificateStepProps{Page: p, FrontendID: "f1", FrontendName: nasty, File: "a.zip", Errors: all, CSR: nasty}),
		"certificate, choose":          CertificateStep(CertificateStepProps{Page: p, Frontends: []Choice{{"f1", nasty}}, Chosen: "f1", Errors: map[string]string{"frontend": nasty, "csr": nasty}}),
		"locked bundle":                LockedBundle(LockedBundleProps{Page: p, FrontendID: "f1", FrontendName: nasty, First: true, File: nasty, Data: "data:x;base64,eA==", Password: "p"}),
		"locked, one more":             LockedBundle(LockedBundleProps{Page: p, FrontendID: "f1", FrontendName: nasty}),
		"sign-up again":                Signup(SignupProps{Page: p, Shown: true}),
		"certificate, empty":           CertificateStep(CertificateStepProps{}),
		"connect":                      Connect(connect),
		"connect, done":                Connect(wizard),
		"connect, empty":               Connect(ConnectProps{}),
		"overview":                     Overview(OverviewProps{Page: p, Checklist: &ChecklistProps{HasFrontend: true, CertificateURL: "/c"}, Frontends: table, Live: sampleLive(), Expiring: sampleCertificates()[:2], Changes: []Event{{At: noon, Who: nasty, Sentence: "changed", Object: nasty, ObjectURL: "/f"}, {Object: nasty}}}),
		"overview, empty":              Overview(OverviewProps{}),
		"frontends":                    Frontends(FrontendsProps{Page: p, Table: table}),
		"frontends, full":              Frontends(FrontendsProps{Page: p, Table: FrontendTableProps{Rows: table.Rows, List: sampleList(), Total: 2, Limit: 2}}),
		"frontends, no match":          Frontends(FrontendsProps{Page: p, Table: FrontendTableProps{List: sampleList(), Total: 2}}),
		"frontends, empty":             Frontends(FrontendsProps{}),
		"frontend":                     FrontendPage(FrontendProps{Page: p, Head: sampleHead(), Live: FrontendLiveProps{Now: noon, Frontend: f, Routes: f.Routes, Flow: sampleFlow()}, Charts: sampleCharts("")}),
		"frontend, tables":             FrontendPage(FrontendProps{Page: p, Head: sampleHead(), Charts: sampleCharts("all")}),
		"frontend certificates":        FrontendCertificates(FrontendCertificatesProps{Page: p, Head: sampleHead(), Certificates: sampleCertificates(), List: sampleList(), Total: 6}),
		"frontend certificates, empty": FrontendCertificates(FrontendCertificatesProps{}),
		"route question":               RouteQuestion(RouteQuestionProps{Page: p, FrontendID: "f1", FrontendName: nasty, Verb: "maintenance", Route: f.Routes[1]}),
		"route question, remove":       RouteQuestion(RouteQuestionProps{Page: p, FrontendID: "f1", FrontendName: nasty, Verb: "remove", Route: f.Routes[0], Finish: time.Minute, Shown: 2}),
		"route question, weight":       RouteQuestion(RouteQuestionProps{Page: p, FrontendID: "f1", FrontendName: nasty, Verb: "weight", Route: f.Routes[0], Errors: map[string]string{"weight": nasty, "capacity": nasty}}),
		"frontend, empty":              FrontendPage(FrontendProps{}),
		"frontend, down":               FrontendPage(FrontendProps{Page: p, Live: FrontendLiveProps{Frontend: Frontend{ID: "f", Active: true, State: "down"}}}),
		"connections":                  Connections(ConnectionsProps{Page: p, Head: sampleHead(), Table: sampleConnections(), Ended: EndedTableProps{FrontendID: "f1", Rows: []Ended{{At: noon, Serial: "4e91", Name: nasty, Source: nasty, Route: nasty, Reason: nasty}, {Reason: "done"}}}}),
		"close question":               CloseQuestion(CloseQuestionProps{Page: p, FrontendName: nasty, IDs: []string{"1", nasty}, Table: ConnectionTableProps{FrontendID: "f1", Query: nasty, Route: nasty}}),
		"connections, none":            Connections(ConnectionsProps{Page: p, Head: sampleHead(), Table: ConnectionTableProps{FrontendID: "f1", Query: nasty}}),
		"connections, empty":           Connections(ConnectionsProps{}),
		"settings":                     Settings(SettingsProps{Page: p, FrontendID: "f1", FrontendName: nasty, Revision: "3", Name: nasty, Active: true, Strategy: 1, Routes: sampleRows(), Errors: all, Conflict: true}),
		"settings, empty":              Settings(SettingsProps{}),
		"delete":                       Delete(DeleteProps{Page: p, FrontendID: "f1", FrontendName: nasty, Connections: 3, Certificates: 1, Error: nasty}),
		"delete, empty":                Delete(DeleteProps{}),
		"certificates":                 Certificates(CertificatesProps{Page: p, Certificates: sampleCertificates(), List: sampleList(), Total: 6, Frontends: 1, AuthorityURL: "/ca.pem"}),
		"certificates, no match":       Certificates(CertificatesProps{Page: p, List: sampleList(), Total: 6}),
		"certificates, empty":          Certificates(CertificatesProps{}),
		"one certificate":              CertificatePage(CertificateProps{Page: p, Certificate: sampleCertificates()[0], File: nasty, Use: sampleUse(), Changes: []Event{{At: time.Now(), Who: nasty, Sentence: nasty, Object: nasty}}}),
		"one, revoked": CertificatePage(CertificateProps{Page: p, Certificate: Certificate{
			Serial: "4e91", Name: nasty, FrontendID: "f1", FrontendName: nasty, State: "revoked", RevokedAt: noon, Reason: nasty, Renews: nasty,
		}}),
		"one, empty":           CertificatePage(CertificateProps{}),
		"revoke":               Revoke(RevokeProps{Page: p, FrontendID: "f1", FrontendName: nasty, Serial: "4e91", Name: nasty, Connections: 311}),
		"revoke, empty":        Revoke(RevokeProps{}),
		"switch off":           SwitchOff(SwitchOffProps{Page: p, FrontendID: "f1", FrontendName: nasty, Connections: 311, DrainSec: 300}),
		"switch off, empty":    SwitchOff(SwitchOffProps{}),
		"revoke before":        RevokeBefore(RevokeBeforeProps{Page: p, FrontendID: "f1", FrontendName: nasty, Text: nasty, Error: nasty}),
		"revoke before, all":   RevokeBefore(RevokeBeforeProps{Page: p, FrontendID: "f1", FrontendName: nasty, Before: noon, Certificates: 3, Connections: 9}),
		"revoke before, empty": RevokeBefore(RevokeBeforeProps{}),
		"account":              Account(AccountProps{Page: p, Admin: true, CreatedAt: noon, Limits: []Limit{{"Frontends", 7, 50}, {nasty, 95, 100}, {"Routes", 3, 0}}}),
		"account, empty":       Account(AccountProps{}),
		"authorities": Authorities(AuthoritiesProps{Page: p, Error: nasty, List: []Authority{
			{ID: nasty, State: "current", NotAfter: noon, Servers: true}, {ID: "b", State: "next", NotAfter: noon},
			{ID: "c", State: "retiring", NotAfter: noon, LastExpiry: noon, Certificates: 2, Stranded: true}, {ID: "d", State: "retired", NotAfter: noon},
		}}),
		"admin": Admin(AdminProps{Page: p, Server: Server{StartedAt: noon, AuthorityExpiry: noon, Version: nasty, Authority: nasty, Clients: 3, MaxConnections: 9, Shed: 1, ChecksLate: time.Minute, StoreError: nasty, StoreFree: 1},
			Chips: []Chip{{Name: nasty, URL: "/admin?q=1"}}, Query: nasty, Sorts: make([]Chip, len(AdminSorts)), New: nasty,
			Rows: []AdminClient{{ID: "c", Name: nasty, Admin: true, Disabled: true, CreatedAt: noon, Most: Holdings{1, 2, 3}}}, Invites: []Invite{{"i", noon, noon}}}),
		"admin, client":    AdminClientPage(AdminClientProps{Page: p, Client: AdminClient{ID: "c", Name: nasty}, Limits: []AdminLimit{{"frontends", nasty, 1, 2, nasty, nasty}}, Error: nasty, Sessions: []Session{{ID: "s", Browser: nasty, Address: nasty}}, NewKey: nasty}),
		"admin, delete":    DeleteClient(DeleteClientProps{Page: p, Client: AdminClient{ID: "c", Name: nasty}, Error: nasty}),
		"account, new key": Account(AccountProps{Page: p, Name: nasty, NameError: nasty, Revision: nasty, KeyAt: noon, OldKeyUntil: noon.Add(time.Hour), NewKey: nasty, Holdings: Holdings{1, 2, 3}}),
		"account, delete":  DeleteAccount(DeleteAccountProps{Page: p, Name: nasty, Holdings: Holdings{1, 2, 3}, Error: nasty}),
		"error":            Error(ErrorProps{Page: p, Status: 404, Message: nasty}),
		"error, empty":     Error(ErrorProps{}),
	}
}

func sampleLive() OverviewLiveProps {
	return OverviewLiveProps{
		Now: noon, Connections: 5, ConnSamples: []float64{1, 2}, Waiting: 2,
		Attention: []Attention{
			{Frontend: nasty, Sentence: nasty, Since: noon.Add(-4 * time.Minute), Bad: true, URL: "/x", Link: "See route"},
			{Frontend: "b", Sentence: "c"},
		},
	}
}

func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// elements lists every element, what is inside of templates and noscript included.
func elements(n *html.Node) []*html.Node {
	var list []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode {
			list = append(list, d)
		}
	}
	return list
}

func parse(t *testing.T, markup string) []*html.Node {
	t.Helper()
	doc, err := html.ParseWithOptions(strings.NewReader(markup), html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Fatal(err)
	}
	return elements(doc)
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, c := range pages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			markup := render(t, c)
			if strings.Contains(markup, "<script>") || strings.Contains(markup, "alert(\"") {
				t.Error("a name was not escaped")
			}
			all := parse(t, markup)
			checkPage(t, all)
			checkMarkup(t, all)
		})
	}
}

func checkPage(t *testing.T, all []*html.Node) {
	t.Helper()
	seen := map[string]int{}
	for _, n := range all {
		seen[n.Data]++
		switch n.Data {
		case "html":
			if lang, _ := attr(n, "lang"); lang != "en" {
				t.Error("no language")
			}
		case "main":
			id, _ := attr(n, "id")
			if tab, _ := attr(n, "tabindex"); id != "main" || tab != "-1" {
				t.Error("main is not the target of the skip link")
			}
		}
	}
	for _, one := range []string{"h1", "main", "title"} {
		if seen[one] != 1 {
			t.Errorf("%d elements %s, want 1", seen[one], one)
		}
	}
}

// checkMarkup is what holds for pages and fragments alike.
func checkMarkup(t *testing.T, all []*html.Node) {
	t.Helper()
	ids, labels := map[string]bool{}, map[string]bool{}
	for _, n := range all {
		if id, ok := attr(n, "id"); ok {
			if ids[id] || id == "" {
				t.Errorf("id %q twice or empty", id)
			}
			ids[id] = true
		}
		if target, ok := attr(n, "for"); ok {
			labels[target] = true
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s has the attribute %s", n.Data, a.Key)
			}
		}
	}
	for _, n := range all {
		switch n.Data {
		case "style":
			t.Error("a style element")
		case "script":
			if n.FirstChild != nil {
				t.Error("an inline script")
			}
		case "input", "select", "textarea":
			checkControl(t, n, labels)
		case "th":
			if scope, _ := attr(n, "scope"); scope == "" {
				t.Error("a th without scope")
			}
		case "button":
			if kind, _ := attr(n, "type"); kind == "" {
				t.Error("a button without type")
			}
		case "form":
			if action, _ := attr(n, "action"); action == "" {
				t.Error("a form without action")
			}
		}
		for _, key := range []string{"aria-describedby", "aria-labelledby", "data-copy", "data-copy-both", "data-env", "for"} {
			value, _ := attr(n, key)
			for id := range strings.FieldsSeq(value) {
				if !ids[id] {
					t.Errorf("%s=%q leads nowhere", key, id)
				}
			}
		}
		if href, ok := attr(n, "href"); ok && strings.HasPrefix(href, "#") && !ids[href[1:]] {
			t.Errorf("href %q leads nowhere", href)
		}
	}
}

func checkControl(t *testing.T, n *html.Node, labels map[string]bool) {
	t.Helper()
	if kind, _ := attr(n, "type"); kind == "hidden" {
		return
	}
	id, _ := attr(n, "id")
	label, _ := attr(n, "aria-label")
	if label == "" && !labels[id] && (n.Parent == nil || n.Parent.Data != "label") {
		name, _ := attr(n, "name")
		t.Errorf("%s %q has no label", n.Data, name)
	}
}

func TestFragments(t *testing.T) {
	t.Parallel()
	f := sampleFrontend()
	for id, c := range map[string]templ.Component{
		"overview-live":  OverviewLive(sampleLive()),
		"frontend-table": FrontendTable(FrontendTableProps{Rows: []Frontend{f}, Total: 1}),
		"frontend-live":  FrontendLive(FrontendLiveProps{Now: noon, Frontend: f}),
		"connect-panel":  ConnectPanel(samplePanel()),

		"connection-table": ConnectionTable(sampleConnections()),
	} {
		markup := render(t, c)
		if !strings.HasPrefix(strings.TrimSpace(markup), `<div id="`+id+`"`) {
			t.Errorf("%s begins with %.60s", id, markup)
		}
		if strings.Contains(markup, "<script>") {
			t.Errorf("%s: a name was not escaped", id)
		}
	}
}

func TestRouteHint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row  RouteRow
		want string
	}{
		{RouteRow{}, ""},
		{RouteRow{Good: "a", Caution: "b", Error: "c"}, `class="err"`},
		{RouteRow{Good: "a", Caution: "b"}, `class="caution"`},
		{RouteRow{Good: "a"}, `class="good"`},
	} {
		got := render(t, RouteHint(c.row))
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%+v: %q", c.row, got)
		}
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		panel ConnectPanelProps
		want  string
		title string
	}{
		{ConnectPanelProps{}, "ok wait idle idle", panelWaiting},
		{ConnectPanelProps{Accepted: noon}, "ok ok wait idle", panelArrived},
		{ConnectPanelProps{Accepted: noon, Routed: noon}, "ok ok ok wait", panelArrived},
		{ConnectPanelProps{FirstByte: noon}, "ok ok ok ok", panelConnected},
	} {
		var got []string
		for _, s := range stagesOf(c.panel) {
			got = append(got, s.class)
		}
		if strings.Join(got, " ") != c.want || panelTitle(c.panel) != c.title {
			t.Errorf("got %v, %q", got, panelTitle(c.panel))
		}
	}
}

func TestConnectionTable(t *testing.T) {
	t.Parallel()
	all := sampleConnections()
	full, filtered, whole, one := all, all, all, all
	full.Pager = Pager{Page: 2, From: 2, To: 4, Total: 400, Previous: "/frontends/f1/connections?page=1", Next: "/frontends/f1/connections?page=3"}
	filtered.Total, filtered.Query, filtered.Pager = 2, "10.2", Pager{Page: 1, To: 2, Total: 2}
	whole.Total, whole.Query, whole.Pager = 2, "", Pager{Page: 1, To: 2, Total: 2}
	one.Rows, one.Total, one.Query, one.Pager = all.Rows[1:], 1, "", Pager{Page: 1, To: 1, Total: 1}
	part := full
	part.Total, part.Pager.Total, part.Pager.Next = 4, 4, ""
	for _, c := range []struct {
		table ConnectionTableProps
		want  []string
	}{
		{part, []string{"3 to 4 of 4 connections.", `href="/frontends/f1/connections?page=1">Previous`, `aria-disabled="true">Next`}},
		{full, []string{"3 to 4 of 412 connections. The newest 400 are listed: filter to see others.", "2 h 14 min", "1.2 GB", "88 MB", `name="q"`}},
		{filtered, []string{"2 connections of “10.2”."}},
		{whole, []string{"2 connections, newest first.", `action="/frontends/f1/connections"`, `name="id" value="7"`, "Close the connection from 10.2.0.14:51884"}},
		{one, []string{"1 connection, newest first.", waitsForRoute}},
		{ConnectionTableProps{FrontendID: "f1"}, []string{connectionsNone, `href="/frontends/f1/connect"`}},
		{ConnectionTableProps{FrontendID: "f1", Query: "x"}, []string{"No open connection matches “x”.", clearFilter}},
	} {
		got := render(t, ConnectionTable(c.table))
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v lacks %q", c.table, want)
			}
		}
	}
}

// Of many routes those are marked that need a look.
func TestMarksShowTheWorstFirst(t *testing.T) {
	t.Parallel()
	var routes []Route
	for range 30 {
		routes = append(routes, Route{State: "up"})
	}
	routes = append(routes, Route{State: "down"}, Route{State: "draining"})
	got := marksOf(routes)
	if len(got) != maxMarks || got[0] != "down" || got[1] != "draining" || got[2] != "up" {
		t.Errorf("got %v", got)
	}
	if few := marksOf(routes[29:]); len(few) != 3 || few[0] != "up" {
		t.Errorf("few are in their order: got %v", few)
	}
}

func sampleUse() CertificateUseProps {
	return CertificateUseProps{
		Now: time.Now(), FrontendID: "f1", Serial: "4e91", Total: 3, Connections: []Connection{{ID: "1", Source: nasty, Route: nasty}, {ID: "2"}},
		Ended: []Ended{{At: time.Now(), Source: nasty, Reason: nasty}}, Refused: []RefusedRow{{Count: 2, Headline: nasty, Sentence: nasty, Address: nasty}, {Count: 1}},
	}
}
