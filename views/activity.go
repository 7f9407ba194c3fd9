package views

import (
	"fmt"
	"time"
)

// ActivityProps is the page of who did what.
type ActivityProps struct {
	Page      Page
	Days      []ActivityDay // newest first
	Kinds     []ActivityKind
	Kind      string // that is shown, "" for all
	Query     string
	Older     string // URL of what is before, "" at the end
	ExportURL string
	CheckURL  string
	KeptDays  int // 0: for ever
	Checked   bool
	Records   int    // that fit, when Checked
	Broken    uint64 // number of the first record that does not fit; 0: none
}

// ActivityKind is one choice of what to see.
type ActivityKind struct {
	Name, URL string
	Current   bool
}

// ActivityDay is what happened on one day.
type ActivityDay struct {
	Title  string
	Events []Event
}

// Event is one record in words.
type Event struct {
	At        time.Time
	Who       string
	Action    string
	Sentence  string // what it did, to what follows
	Object    string
	ObjectURL string // "" for what is not there any more
	From      string // way and address
	Refused   bool
	Lines     []DiffLine
	Open      bool // the lines are shown at once
	RequestID string
	Back      uint64 // the revision of the frontend before
	BackURL   string // "" where there is no way back
}

// DiffLine is one field that is different, before and after; "" for not there.
type DiffLine struct{ Field, Before, After string }

func revisionName(n uint64) string { return fmt.Sprintf("Revision %d", n) }
func goBack(n uint64) string       { return fmt.Sprintf("Go back to revision %d", n) }
func goBackHeading(n uint64) string {
	return fmt.Sprintf("Go back to revision %d?", n)
}

// TitleRevision is the title of the page that asks before a frontend goes back.
func TitleRevision(name string, n uint64) string { return name + " · " + revisionName(n) }

const (
	revisionFrom   = "It is from"
	nothingDiffers = "It is what the frontend is now: nothing would be different."
)

// KindNames are the choices of what to see, by their name in the URL.
var KindNames = []struct{ ID, Name string }{
	{"", "Everything"}, {"changes", "Changes"}, {"certificates", "Certificates"}, {"access", "Access"}, {"refused", "Refused"},
}

const (
	navActivity    = "Activity"
	TitleActivity  = navActivity
	exportWord     = "Export"
	activityKinds  = "Filter by kind"
	activityFilter = "Filter activity"
	activityHint   = "Who, what or where from"
	activityEmpty  = "Nothing happened in this time."
	olderWord      = "Older"
	checkChain     = "Check that nothing is missing"
	whatChanged    = "What changed"
	beforeAfter    = "Before and after"
	beforeWord     = "Before:"
	afterWord      = "After:"
	// TheAdministrator is who acted when it was not the client itself.
	TheAdministrator = "The administrator"
	chainBrokenText  = "What is older may be as it was written; what follows cannot be relied on. Tell the administrator."
)

func chainBroken(seq uint64) string {
	return fmt.Sprintf("Entries are missing or altered from number %d on", seq)
}

func chainFits(n int) string {
	if n == 1 {
		return "The one entry fits; nothing is missing or altered"
	}
	return "All " + count(n) + " entries fit together; nothing is missing or altered"
}

func keptFor(days int) string {
	if days == 0 {
		return "Kept for ever."
	}
	return fmt.Sprintf("Kept for %d days.", days)
}

// maxDiffLines is how many fields an entry shows; the API has all.
const maxDiffLines = 20

func moreFields(n int) string { return "And " + plural(n, "more field") + "; the API has all of them." }

func dayID(i int) string { return fmt.Sprintf("day-%d", i) }

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05") }

// DayTitle names a day as seen from now.
func DayTitle(t, now time.Time) string {
	t = t.UTC()
	now = now.UTC()
	switch t.Format(time.DateOnly) {
	case now.Format(time.DateOnly):
		return "Today, " + t.Format("2 January")
	case now.AddDate(0, 0, -1).Format(time.DateOnly):
		return "Yesterday, " + t.Format("2 January")
	}
	return t.Format("2 January 2006")
}

func eventFoot(e Event) string {
	if e.RequestID == "" {
		return ""
	}
	return "Request " + e.RequestID
}

// eventIcon is the picture of an action.
func eventIcon(action string) string {
	switch action {
	case "certificate.issue", "certificate.renew":
		return "i-cert"
	case "certificate.revoke", "connection.close":
		return "i-x"
	case "frontend.create":
		return "i-plus"
	case "frontend.delete", "client.delete", "admin.delete-client":
		return "i-trash"
	case "client.rotate-key", "admin.reset-key", "token.revoke", "api-key.create", "api-key.revoke":
		return "i-key"
	case "client.create", "session.create", "session.end":
		return "i-user"
	}
	return "i-gear"
}

// EventSentence says what an action did; what it did that to follows.
func EventSentence(action string) string {
	switch action {
	case "client.create":
		return "signed up"
	case "client.update":
		return "renamed the client"
	case "client.delete":
		return "deleted the client"
	case "client.rotate-key":
		return "replaced the client key"
	case "api-key.create":
		return "made an API key"
	case "api-key.revoke":
		return "revoked an API key"
	case "token.revoke":
		return "ended all tokens and sessions"
	case "session.create":
		return "logged in"
	case "session.end":
		return "logged out"
	case "frontend.create":
		return "created"
	case "frontend.update":
		return "changed"
	case "frontend.restore":
		return "set back"
	case "frontend.delete":
		return "deleted"
	case "frontend.test":
		return "tested"
	case "certificate.issue":
		return "issued a certificate for"
	case "certificate.renew":
		return "renewed a certificate of"
	case "certificate.revoke":
		return "revoked a certificate of"
	case "connection.close":
		return "closed connections of"
	case "admin.disable-client":
		return "disabled the client or let it in again"
	case "admin.delete-client":
		return "deleted the client"
	case "admin.reset-key":
		return "reset the client key"
	case "admin.set-limits":
		return "set the client’s limits"
	case "admin.set-administrator":
		return "made the client an administrator, or no longer one"
	case "admin.backup":
		return "made a backup"
	case "admin.end-sessions":
		return "logged all browsers of the client out"
	case "admin.invite":
		return "made an invite or took one back"
	}
	return "did " + action
}

// IssuedSentence says that a certificate with a name was issued or renewed.
func IssuedSentence(action, name string) string {
	if action == "certificate.renew" {
		return "renewed the certificate “" + name + "” of"
	}
	return "issued the certificate “" + name + "” for"
}

// RevokedSentence says how many certificates were revoked.
func RevokedSentence(n int) string { return "revoked " + plural(n, "certificate") + " of" }

// ClosedSentence says how many connections were closed.
func ClosedSentence(n int) string { return "closed " + plural(n, "connection") + " of" }

// RefusedSentence says that an action was refused, and why.
func RefusedSentence(action, reason string) string { return "was refused (" + action + "): " + reason }

// ViaName is the way in, in words.
func ViaName(via string) string {
	switch via {
	case "page":
		return "dashboard"
	case "api":
		return "API"
	}
	return via
}
