package views

import (
	"fmt"
	"time"
)

// The head of a frontend's pages.
const (
	tabRefused     = "Refused"
	tabTest        = "Test"
	deleteFrontend = "Delete"
)

func moreActions(name string) string { return "More actions for " + name }

// TitleFrontendCertificates is the title of the certificates of one frontend.
func TitleFrontendCertificates(name string) string { return name + " · " + certificatesWord }

// The routes of a frontend.
const (
	checksColumn   = "Last 24 checks"
	bytesColumn    = "Bytes"
	connectMedian  = "Connect p50"
	noChecks       = "Not checked"
	notCheckedYet  = "Not checked yet"
	setByOwner     = "Takes no connections"
	closesAtWord   = ", closes at"
	verbWeight     = "Weight and capacity"
	verbRemove     = "Remove"
	weightHint     = "1 to 256. A route of weight 2 gets twice as many connections as one of weight 1."
	capacityHint   = "How many connections it has at a time. Empty or 0 is no bound."
	keepThemOpen   = "Keep them"
	saveRoute      = "Save"
	routeWeightHow = "They hold from the next connection on. Those that are open stay."
)

func routeActions(dest string) string { return "Actions for route " + dest }

func connectionsLeft(n int) string { return plural(n, "connection") + " left" }

func checkedText(now time.Time, r Route) string {
	return "Checked " + ago(now, r.CheckedAt) + ", " + length(r.CheckTook)
}

// checksText says what the picture of the last checks shows.
func checksText(c []CheckMark) string {
	failed, slow := 0, 0
	for _, m := range c {
		switch {
		case m.Failed:
			failed++
		case m.Slow:
			slow++
		}
	}
	all := "Last " + plural(len(c), "check") + ": "
	switch {
	case failed == len(c):
		return all + "all failed"
	case failed == 0 && slow == 0:
		return all + "all passed"
	case failed == 0:
		return all + "all passed, " + count(slow) + " slow"
	}
	return all + fmt.Sprintf("%d failed, %d slow", failed, slow)
}

func routeQuestion(p RouteQuestionProps) string {
	switch p.Verb {
	case "maintenance":
		return "Close " + plural(p.Route.Active, "connection") + " of " + p.Route.Dest + "?"
	case "remove":
		return "Remove " + p.Route.Dest + "?"
	}
	return "Weight and capacity of " + p.Route.Dest
}

func routeQuestionText(p RouteQuestionProps) string {
	switch p.Verb {
	case "maintenance":
		return "A route in maintenance takes no connections. The programs see a reset and may connect again at once, to another route."
	case "remove":
		finish := "may last as long as they do."
		if p.Finish > 0 {
			finish = "have " + length(p.Finish) + " to finish."
		}
		return "It takes no new connections now; the " + plural(p.Route.Active, "open connection") + " " + finish
	}
	return routeWeightHow
}

func routeKeep(verb string) string {
	if verb == "maintenance" {
		return keepThemOpen
	}
	return keepIt
}

func routeButton(verb string) string {
	switch verb {
	case "maintenance":
		return verbMaintenance
	case "remove":
		return verbRemove
	}
	return saveRoute
}

// RouteDone says what was done with a route, and how many connections it has left or had.
func RouteDone(verb, dest string, connections int) string {
	left := plural(connections, "connection") + " left."
	switch verb {
	case "drain":
		return dest + " drains. " + left
	case "maintenance":
		return dest + " is in maintenance. " + plural(connections, "connection") + " closed."
	case "ready":
		return dest + " takes connections again."
	case "remove":
		if connections == 0 {
			return dest + " is removed."
		}
		return dest + " is removed. " + left
	}
	return "Weight and capacity of " + dest + " are saved."
}

// The drawing of where connections come from and go.
const nobodyConnected = "Nobody is connected"

func andMore(n int) string { return "and " + count(n) + " more" }

func connectionsNoun(n int) string {
	if n == 1 {
		return "connection"
	}
	return "connections"
}

// WithoutName is what stands for a certificate that has no name.
func WithoutName(serial string) string { return short(serial) }

// The charts of a frontend.
const (
	chartConnections = "Connections"
	chartNew         = "New per second"
	chartTraffic     = trafficWord
	chartConnect     = "Time to connect to a route"
	chartFailed      = "Failed connects"
	chartWait        = "Longest wait for a route"
	downWord         = "down"
	upWord           = "up"
	noTraffic        = "No traffic in this time."
	showTables       = "Show as tables"
	showCharts       = "Show as charts"
	rangeWord        = "Time range"
	timeColumn       = "Time"
	lowestColumn     = "Lowest"
	meanColumn       = "Mean"
	highestColumn    = "Highest"
)

// trafficRanges are the ranges of the charts, as the address has them.
var trafficRanges = [...]struct{ value, name, inWords string }{
	{"5m", "5 min", "5 minutes"}, {"1h", "1 h", "hour"}, {"24h", "24 h", "24 hours"},
}

func chartAsTable(title string) string { return "Show “" + title + "” as a table" }
func chartAsChart(title string) string { return "Show “" + title + "” as a chart" }

func chartLabel(c Chart, inWords string) string {
	text := c.Title + ", last " + inWords
	for _, v := range c.Values {
		text += ", " + v.Name + " " + v.Text + " " + v.Unit
	}
	return text
}

func inRange(value string) string {
	for _, r := range trafficRanges {
		if r.value == value {
			return "in " + r.name
		}
	}
	return ""
}

func rangeInWords(value string) string {
	for _, r := range trafficRanges {
		if r.value == value {
			return r.inWords
		}
	}
	return ""
}

// chartsBegin says from when on there is something in the charts.
func chartsBegin(p ChartsProps) string {
	if p.Began.IsZero() {
		return "The charts are kept in memory. They begin with the first connection after a start of XLB."
	}
	return "The charts are kept in memory. They begin with the first connection after the last start of XLB, at "
}

// Who was turned away.
const (
	refusedHeading = "Why programs were turned away"
	refusedNone    = "Nobody was turned away in this time."
	refusedFoot    = "Programs that present no certificate, or one of another authority, belong to nobody, so they are not listed here. The connect page shows those that come from your own address."
	whatToDo       = "What to do"
	whenColumn     = "When"
	reasonColumn   = "Reason"
	onceWord       = "once"
)

// refusedRanges are how far back the list goes, as the address has them.
var refusedRanges = [...]struct{ value, name string }{{"1h", "1 h"}, {"24h", "24 h"}, {"all", "All"}}

// TitleRefused is the title of the list of who was turned away.
func TitleRefused(name string) string { return name + " · " + tabRefused }

func refusedShown(p RefusedTableProps) string {
	if p.Pager.Total > len(p.Rows) {
		return shownPart(p.Pager, "entry")
	}
	return "Newest first. XLB remembers the last 1,000 of yours, in memory."
}

// Connections that are selected, and those that have ended.
const (
	everyRoute     = "Every route"
	selectColumn   = "Selected"
	identityColumn = "Identity"
	selectSome     = "Select connections to close several at once."
	clearSelection = "Clear"
	closeSelected  = "Close the selected"
	closeManyText  = "The programs see a reset and may connect again at once. To keep them out, revoke the certificate or switch the frontend off."
	endedHeading   = "Ended lately"
	endedNone      = "None has ended since the last start of XLB."
	endedColumn    = "Ended"
	lastedColumn   = "Lasted"
	whyColumn      = "Why"
)

func selectLabel(c Connection) string { return "Select the connection from " + c.Source }
func closeQuestion(n int) string      { return "Close " + plural(n, "connection") + "?" }
func closeMany(n int) string          { return "Close " + plural(n, "connection") }
func endedShown(p EndedTableProps) string {
	if p.Pager.Total > len(p.Rows) {
		return shownPart(p.Pager, "connection")
	}
	return "Newest first. XLB remembers the last 1,000 of all your frontends, in memory."
}

// ClosedMany says how many connections were closed.
func ClosedMany(n int) string {
	if n == 0 {
		return "Those connections had ended already."
	}
	return "Closed " + plural(n, "connection") + "."
}

// EndReason says why a connection ended, by the code that is in the log.
func EndReason(code string) string {
	if text, known := endReasons[code]; known {
		return text
	}
	return RouteReason(code)
}

var endReasons = map[string]string{
	"done":         "Both sides closed in order",
	"client-eof":   "The program’s stream ended without a goodbye",
	"client-reset": "The program reset it",
	"route-reset":  "The route reset it",
	"route-closed": "The route closed without a byte",
	"idle":         "Nothing moved for the idle time-out",
	"lifetime":     "It lived as long as it may",
	"killed":       "Closed by you, or its route was removed",
	"shutdown":     "XLB stopped",
	"internal":     "XLB ran out of files or ports",
	"expired":      "Its certificate expired",
	"revoked":      "Its certificate was revoked",

	"authority-retired": "Its certificate’s authority was retired",
	"off":               "The frontend was switched off",
	"gone":              "The frontend was deleted",
	"disabled":          "The client was disabled",
	"conn-limit":        "Too many connections",
	"rate-limit":        "Too many in one second",
	"server-limit":      "The server has all it may have",
	"no-route":          "No route was available",
	"all-full":          "Every route was full",
	"no-cert":           "No certificate",
	"other-frontend":    "Another frontend’s certificate",
}

// A test of a frontend.
const (
	testHeading   = "One connection through the real path"
	testText      = "XLB connects to its own port with a short-lived certificate of this frontend and reports each stage. What the route answers is counted, never shown."
	testSendLabel = "What to send"
	testRun       = "Run the test"
	testAgain     = "Run again"
	busyTesting   = "Connecting…"
	testNotSent   = "not reached"
	testNoAnswer  = "nothing was sent, and the route waits for the program"
)

var testSends = [...]struct{ value, name string }{
	{"nothing", "Send: nothing"}, {"http", "Send: HTTP GET /"}, {"postgres", "Send: PostgreSQL SSLRequest"}, {"redis", "Send: Redis PING"},
}

// TitleTest is the title of the page that tests a frontend.
func TitleTest(name string) string { return name + " · " + tabTest }

func testTitle(r TestResult) string {
	switch {
	case r.Failed != "":
		return "Failed at “" + testStage(r.Failed) + "”"
	case r.Silent:
		return "The route is reached, and waits for the first byte"
	}
	return "Passed in " + length(r.Took)
}

func testStage(id string) string {
	switch id {
	case "handshake":
		return "Handshake"
	case "certificate":
		return "Certificate accepted"
	case "frontend":
		return "Frontend found"
	case "chosen":
		return "Route chosen"
	case "reached":
		return "Route reached"
	}
	return "First byte back"
}

// TestFacts are what a stage of a test may say.
type TestFacts struct {
	Stage, Serial, Frontend, Strategy, Route string
	Reached, Silent                          bool
}

// AboutStage is the line below a stage.
func AboutStage(f TestFacts) string {
	switch {
	case f.Stage == "first-byte" && f.Silent:
		return testNoAnswer
	case !f.Reached:
		return testNotSent
	}
	switch f.Stage {
	case "handshake":
		return "TLS 1.3, ECDSA P-256"
	case "certificate":
		return "issued for this test, serial " + short(f.Serial)
	case "frontend":
		return f.Frontend + ", switched on"
	case "chosen":
		return f.Route + " by " + f.Strategy
	case "reached":
		return f.Route
	}
	return "it came; it is not shown"
}

// TestSilent says that a route took what was sent and did not answer.
const TestSilent = "The route took the connection and what was sent, and did not answer in time. It may expect other first bytes."

// Lists, and what the overview says beside them.
const (
	expireNext       = "Certificates that expire next"
	everyCertificate = "All certificates"
	recentChanges    = "Recent changes"
	allActivity      = "All activity"
	nothingChanged   = "Nothing was changed yet."
	certificateLabel = "Filter by name, serial or frontend"
	certificateHint  = "Name, serial or frontend"
	downloadCA       = "ca.pem"
	neverUsedHere    = "not since XLB started"
	detailsWord      = "Details"
	withoutName      = "Without a name"
)

// The states that lists may be narrowed to.
const (
	StateAll      = "All"
	StateProblems = "Problems"
	StateUpName   = "Up"
	StateUnused   = "Never used"
	StateOffName  = "Off"
	StateActive   = "Active"
	StateExpiring = "Expiring"
	StateExpired  = "Expired"
	StateRevoked  = "Revoked"
)

// FrontendFilter and FrontendFilterHint name the search of frontends, CertificateFilter and its hint that of certificates.
const (
	FrontendFilter        = filterLabel
	FrontendFilterHint    = filterHint
	CertificateFilter     = certificateLabel
	CertificateFilterHint = certificateHint
)

func noCertificateMatch(q string) string {
	if q == "" {
		return "No certificate is in that state."
	}
	return "No certificate matches “" + q + "”."
}

func certificateActions(c Certificate) string {
	return "Actions for " + or(c.Name, short(c.Serial))
}

// lastUsedText says when a certificate was last used, as far as is known.
func lastUsedText(now time.Time, c Certificate) string {
	switch {
	case c.Open > 0:
		return "now, " + plural(c.Open, "connection")
	case !c.UsedAt.IsZero():
		return ago(now, c.UsedAt)
	}
	return neverUsedHere
}

// Links and sentences of the overview's rows.
const (
	SeeWho    = "See who"
	SeeLimits = "See limits"
)

// Revoked is a certificate that was revoked and is still used.
type Revoked struct {
	Serial, Name string
	Count        int       // handshakes in the last hour
	At           time.Time // of the last
}

// RevokedIsUsed says that programs still come with a certificate that was revoked.
func RevokedIsUsed(r Revoked) string {
	return plural(r.Count, "handshake") + " refused in the last hour with the revoked certificate “" + or(r.Name, short(r.Serial)) + "”."
}

// LimitIsNear says that there are nearly as many connections as there may be.
func LimitIsNear(used, most int) string {
	return count(used) + " of " + count(most) + " connections are in use."
}

// LimitOfClientIsNear says that nearly all of a limit is used, and what comes then.
func LimitOfClientIsNear(used, most int) string {
	return count(used) + " of " + count(most) + " are used. What is more is refused; ask your administrator for more."
}

// refusedContext is the line below the number of connections that were refused.
func refusedContext(p OverviewLiveProps) string {
	if p.Refused == 0 {
		return "nobody was turned away"
	}
	return count(p.RefusedRevoked) + " revoked, " + plural(p.Refused-p.RefusedRevoked, "other")
}

// What becomes of connections whose way in is taken away.
const (
	itsConnections = "Its connections"
	closeNowHow    = "Done within a second."
	letFinish      = "Let them finish"
)

func closeNow(n int) string {
	if n == 0 {
		return "Close them now: there is none open"
	}
	return "Close all " + count(n) + " now"
}

func letFinishHow(seconds int) string {
	return "What is left after " + span(time.Duration(seconds)*time.Second) + " is closed."
}

// Switching a frontend off and on.
const (
	switchOffWord = "Switch off"
	switchOnWord  = "Switch on"
	switchOffText = "New connections are refused until it is switched on again. Its certificates and settings stay."
	keepOn        = "Keep it on"
)

func switchOffName(name string) string     { return "Switch " + name + " off" }
func switchOffQuestion(name string) string { return "Switch " + name + " off?" }

// TitleSwitchOff is the title of the page that asks before a frontend is switched off.
func TitleSwitchOff(name string) string { return name + " · " + switchOffWord }
