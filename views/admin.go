package views

import (
	"fmt"
	"time"
)

// AdminProps is the page of the administrator: the server and its clients.
type AdminProps struct {
	Page   Page
	Server Server
	Chips  []Chip
	Only   string // what the list is narrowed to
	Query  string
	Sort   string
	Sorts  []Chip // one for each of AdminSorts
	Rows   []AdminClient
	Pager  Pager
	Total  int // clients that the list is of

	Invites []Invite
	New     string // the link of an invite, on its one showing; "" for none
}

// Chip is one choice of what a list shows.
type Chip struct {
	Name    string
	Count   int
	URL     string
	Current bool
}

// Server is how the server does.
type Server struct {
	StartedAt, AuthorityExpiry time.Time
	Version, Authority         string

	Clients, Disabled, Invites              int
	Connections, MaxConnections, Handshakes int
	Shed                                    int64
	ChecksLate                              time.Duration
	StoreError                              string
	StoreFree                               int64 // negative when nobody knows
}

// AdminClient is a client as its administrator sees it.
type AdminClient struct {
	ID, Name        string
	Admin, Disabled bool
	CreatedAt       time.Time
	Has             Holdings
	Most            Holdings // 0: no bound
}

// Invite is one that can still be used.
type Invite struct {
	ID                   string
	CreatedAt, ExpiresAt time.Time
}

// AdminClientProps is the page of one client.
type AdminClientProps struct {
	Page     Page
	Client   AdminClient
	Own      bool // it is the one that looks at it
	Limits   []AdminLimit
	Error    string // of the limits
	Sessions []Session
	NewKey   string // on its one showing; "" for none
}

// AdminLimit is a limit as the form has it.
type AdminLimit struct {
	Field, Name string
	Used, Max   int
	Value       string // as typed, or as it is
	Wrong       string
}

// DeleteClientProps asks before a client is deleted.
type DeleteClientProps struct {
	Page   Page
	Client AdminClient
	Error  string
}

// TitleAdmin and TitleAdminClient are the names of the pages.
const TitleAdmin = "Admin"

// TitleAdminClient is the name of a client's page.
func TitleAdminClient(name string) string { return name + " · Admin" }

const (
	navAdmin        = "Admin"
	adminHeading    = "Clients"
	adminServer     = "Server"
	adminInvites    = "Invites"
	adminInvitesHow = "Each lets one client in, once, within 7 days."
	adminNoInvites  = "None waits to be used."
	inviteButton    = "New invite"
	inviteMade      = "A new invite"
	inviteOnce      = "Copy the link now: it is shown this once. Whoever opens it signs up."
	copyInvite      = "Copy the link"
	takeBack        = "Take back"
	madeColumn      = "Made"
	untilColumn     = "Until"
	clientColumn    = "Client"
	joinedColumn    = "Joined"
	adminFilter     = "Filter clients"
	adminFilterHint = "Name or id"
	adminKinds      = "Which clients"
	noClients       = "No client fits."
	activeWord      = "Active"
	disabledWord    = "Disabled"
	authorityWord   = "Authority"
	clientsWord     = "Clients"
	storeWord       = "Store"

	adminAccessHeading = "Access"
	adminDisable       = "Disable"
	adminEnable        = "Enable"
	adminEnableText    = "It was shut out. Log-ins and certificates work again; what it had is still there."
	adminMake          = "Make administrator"
	adminUnmake        = "No longer administrator"
	adminMakeText      = "An administrator sees all clients and may do what this page does."
	adminReset         = "Reset key"
	adminResetText     = "For a client that has lost its key. The old key, tokens and sessions end now."
	adminKeyMade       = "The new client key"
	adminKeyOnce       = "Copy it now, and hand it over on a safe way: it is shown this once."
	adminLimits        = "Limits"
	adminLimitsHow     = "0 is no bound; an empty field is the server’s default."
	adminLimitsSave    = "Save limits"
	adminNoSessions    = "No browser is logged in."
	adminEndSessions   = "Log out all"
	adminDelete        = "Delete client"
	notItself          = "This is you."
	LimitNumber        = "Use a whole number, 0 for no bound, or nothing for the default."
)

// OnlyNames are what the list of clients can be narrowed to.
var OnlyNames = [...]struct{ ID, Name string }{{"", "All"}, {"near", "Near a limit"}, {"disabled", "Disabled"}, {"administrators", "Administrators"}}

// AdminSorts are the columns that the list can be sorted by, in their order.
var AdminSorts = [...]struct{ ID, Name, Class string }{
	{"name", clientColumn, ""}, {"", joinedColumn, "not-card"}, {"frontends", frontendsHeading, "r"}, {"connections", connectionsWord, ""},
	{"certificates", certificatesWord, "r"},
}

func clientURL(id string) string { return "/admin/clients/" + id }

func adminDisableText(h Holdings) string {
	return "It is refused everywhere. Its " + plural(h.Connections, "connection") + " close now."
}

func deleteClientText(h Holdings) string { return deleteAccountText(h) + " " + deleteForever }

func clientsContext(s Server) string {
	return count(s.Disabled) + " disabled, " + plural(s.Invites, "invite") + " open"
}

func connectionsContext(s Server) string {
	text := plural(s.Handshakes, "handshake") + " in flight"
	if s.MaxConnections > 0 {
		text = "of " + count(s.MaxConnections) + ", " + text
	}
	if s.Shed > 0 {
		text += fmt.Sprintf(", %d turned away for want of room", s.Shed)
	}
	return text
}

func storeValue(s Server) string {
	if s.StoreError != "" {
		return "Read only"
	}
	return "Saves"
}

func storeContext(s Server) string {
	text := s.StoreError
	if s.StoreFree >= 0 {
		if text != "" {
			text += ", "
		}
		text += bytesOf(s.StoreFree) + " free"
	}
	if s.ChecksLate >= time.Second {
		text += fmt.Sprintf(", checks late by %d s", int(s.ChecksLate.Seconds()))
	}
	return text
}

func serverLine(s Server) string { return "XLB " + s.Version + ", since " + instant(s.StartedAt) }

func untilText(t time.Time) string { return "until " + date(t) }

func takeBackLabel(i Invite) string { return takeBack + ", made " + instant(i.CreatedAt) }

func sortDirection(by string) string {
	if by == "name" || by == "" {
		return "ascending"
	}
	return "descending"
}

func limitHint(l AdminLimit) string {
	if l.Max == 0 {
		return count(l.Used) + " used, no bound now."
	}
	return count(l.Used) + " used of " + count(l.Max) + " now."
}

func usedOf(used, most int) string {
	if most == 0 {
		return count(used)
	}
	return count(used) + " of " + count(most)
}

func clientsShown(p AdminProps) string {
	if p.Pager.Total > len(p.Rows) {
		return shownPart(p.Pager, "client")
	}
	return count(len(p.Rows)) + " of " + plural(p.Total, "client") + "."
}
