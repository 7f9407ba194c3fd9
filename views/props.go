package views

import (
	"strings"
	"time"
)

// Page is what every page shows around its content.
type Page struct {
	Title    string // the object and tab; the layout adds the product's name
	Nav      string // the entry of the main navigation that is current: overview, frontends, certificates, account
	Client   Client // zero on pages that need no log-in
	Endpoint string // host:port that programs connect to
	// Asset returns the URL of a static file by its name ("app.css"), "" when there is none of that name.
	Asset     func(name string) string
	Theme     string // "light", "dark" or "" for the system's
	Now       time.Time
	RequestID string
	Live      string // the URL of the page's event stream, "" for none
	Flash     string // one sentence about what was just done, "" for none
	Toast     bool   // with scripts it is shown beside the page, and goes away by itself
	Admin     bool   // the client is an administrator
	KeysOff   bool   // no single-key shortcuts in this browser
	Undo      *Undo  // how to take it back, nil where that cannot be
	Frontends int    // counts in the navigation
	Certs     int
}

// Client is who is logged in.
type Client struct{ ID, Name string }

// Secret is a client key on its one showing. The zero value shows nothing.
type Secret struct{ ClientID, Key string }

// SignupProps is the sign-up page.
type SignupProps struct {
	Page      Page
	Name      string
	Code      string // of the link that an invite is, or as typed
	NeedsCode bool   // a code has to be typed
	Invite    bool   // it is an invite's; otherwise the server's set-up code
	Closed    bool
	Shown     bool              // the form came a second time, from a browser that is logged in
	Errors    map[string]string // by field: name, code; "" is about the whole form
}

// LoginProps is the log-in page.
type LoginProps struct {
	Page   Page
	UUID   string
	Next   string // where to go afterwards
	Notice string // such as "You are logged out."
	Errors map[string]string
}

// RouteRow is one route of a form.
type RouteRow struct {
	Dest     string
	Capacity string // as typed; "" is 0, no bound
	Weight   string // as typed; "" is 1
	Backup   bool
	Error    string
	Caution  string
	Good     string
}

// NewProps is the first step of the wizard: a new frontend.
type NewProps struct {
	Page            Page
	Secret          Secret // set on the first run only
	Name            string
	Routes          []RouteRow // at least one
	Demo            bool       // the demo upstream is offered
	Strategy        int
	RouteTimeoutSec string
	Errors          map[string]string // by field: name, routes, strategy, routeTimeoutSec; "" is the whole form
}

// CertificateStepProps is the second step of the wizard, and the page that issues one more certificate.
type CertificateStepProps struct {
	Page         Page
	FrontendID   string // "" when there is one to choose
	FrontendName string
	First        bool                       // part of the wizard: no certificate was issued before
	File         string                     // name of the file in the format that is chosen
	FileIn       func(format string) string // and in another one
	Frontends    []Choice                   // to choose from
	Chosen       string                     // id

	Format, KeyType, Days, Name, CSR string            // as typed
	Legacy                           bool              // PKCS#12 for old programs
	Errors                           map[string]string // by field: frontend, format, keyType, days, name, csr; "" is the whole form
}

// LockedBundleProps is a bundle that is locked with a password.
type LockedBundleProps struct {
	Page                     Page
	FrontendID, FrontendName string
	First                    bool
	File, Data               string // its name, and the file as a data URL
	Password                 string
}

// Tool is one tab of the connect page.
type Tool struct{ ID, Name string }

// Snippet is what to run with a tool.
type Snippet struct {
	Title    string   // the tool's name
	Commands []string // each may have many lines; no prompt
	Expected string   // what to expect, "" for nothing to say
	About    string   // where to get the tool, "" for nothing to say
}

// Text is all of it, as it is copied.
func (s Snippet) Text() string { return strings.Join(s.Commands, "\n") }

// ConnectProps is the third step of the wizard.
type ConnectProps struct {
	Page         Page
	FrontendID   string
	FrontendName string
	File         string       // name of the file that was downloaded last
	Certificate  *Certificate // the newest that is good, nil for none
	Wizard       bool         // show the stepper
	Head         FrontendHead // of the page that is no part of the wizard
	Tools        []Tool
	Tool         string // id of the current one
	Snippet      Snippet
	Panel        ConnectPanelProps
}

// ConnectPanelProps is what the connect page says about connections that arrive.
type ConnectPanelProps struct {
	FrontendID string
	Name       string
	Endpoint   string
	Now        time.Time
	Since      time.Time // when the page was opened
	Accepted   time.Time // zero: not yet
	Routed     time.Time
	FirstByte  time.Time
	Newest     Served // the connection that FirstByte is of
	Active     bool   // the frontend is switched on
	Attempts   []Attempt
	Refresh    string // URL of the page itself, for the link that is there without JavaScript
}

// Served is a connection that was served, stage by stage.
type Served struct {
	From, Serial, Route string
	Resumed             bool
	Handshake, Connect  time.Duration
	Answer, Took        time.Duration // of the route; all of it
	BytesIn, BytesOut   int64
}

// Attempt is a connection that was turned away or not served, in words.
type Attempt struct {
	At       time.Time
	Code     string
	Headline string
	Sentence string
	Address  string
	Count    int
}

// Route is one route with what is known about it.
type Route struct {
	Dest        string
	Capacity    int    // 0: no bound
	State       string // up, down, unknown
	Reason      string // in words, "" when there is nothing to say
	Since       time.Time
	Active      int
	Total       int64
	Failed      int64
	BytesIn     int64 // from clients
	BytesOut    int64 // to clients
	ConnectTime time.Duration
	ClosesAt    time.Time // when a drain closes what is left; zero: it does not
	Weight      int       // 1 is the usual
	Backup      bool
	Removed     bool // it is not in the frontend any more
	Addresses   int  // of a name that has several; 0 for others

	NewPerSec, BytesPerSec float64
	Median                 time.Duration // of the time to connect, lately; 0 without any
	FailedLately           int64         // connects, in 5 minutes
	Checks                 []CheckMark   // oldest first, at most 24
	CheckedAt              time.Time     // zero: never
	CheckTook              time.Duration
}

// Pager says which rows of a list are shown: From to To, counted from 0, without To.
type Pager struct {
	Page            int // from 1
	From, To, Total int
	Previous, Next  string // URLs, "" where there is nothing more
}

// Frontend is one frontend with what is known about it now.
type Frontend struct {
	ID, Name, AccessKey string
	Active              bool
	State               string // up, degraded, down, waiting, off
	Strategy            string // in words
	RouteTimeoutSec     int
	Routes              []Route
	Connections         int
	Waiting             int
	Panic               bool // health is ignored
	Total               int64
	BytesIn, BytesOut   int64
	NewPerSec           float64
	InPerSec, OutPerSec float64
	// Samples for sparklines, oldest first, one every two seconds, at most 150.
	ConnSamples, NewSamples, ByteSamples []float64
	NextExpiry                           time.Time // of a certificate; zero: none
	Certificates                         int
	CreatedAt, UpdatedAt                 time.Time
}

// OverviewProps is the first page after the log-in.
type OverviewProps struct {
	Page      Page
	Live      OverviewLiveProps
	Checklist *ChecklistProps // nil once the first byte has flowed
	Expiring  []Certificate   // that expire next, the first one first
	Changes   []Event         // newest first
	Frontends FrontendTableProps
}

// OverviewLiveProps is the part of the overview that follows along.
type OverviewLiveProps struct {
	Now                                  time.Time
	Attention                            []Attention // worst first
	MoreAttention                        int         // what is not in the list
	Connections                          int
	NewPerSec, InPerSec, OutPerSec       float64
	ConnSamples, NewSamples, ByteSamples []float64
	Waiting                              int
	Refused, RefusedRevoked              int // connections in the last hour
}

// Attention is one thing to act on.
type Attention struct {
	Frontend string
	Sentence string
	Since    time.Time
	Bad      bool // else a warning
	URL      string
	Link     string // text of the link
}

// ChecklistProps says how far a new client has come.
type ChecklistProps struct {
	HasFrontend, HasCertificate, HasFirstByte bool
	FrontendURL, CertificateURL, ConnectURL   string // of the first frontend; "" before it exists
}

// FrontendTableProps is the table of frontends, with live figures.
type FrontendTableProps struct {
	Now   time.Time
	Rows  []Frontend
	List  List
	Total int   // before the filter
	Menus bool  // each row has one
	Limit int   // how many the client may have; 0: no limit
	Pager Pager // of those that the filter selects
}

// FrontendsProps is the list of frontends.
type FrontendsProps struct {
	Page  Page
	Table FrontendTableProps
}

// FrontendProps is the page of one frontend.
type FrontendProps struct {
	Page Page
	Head FrontendHead
	Live FrontendLiveProps

	Charts ChartsProps
}

// FrontendCertificatesProps is the certificates of one frontend.
type FrontendCertificatesProps struct {
	Page         Page
	Head         FrontendHead
	Certificates []Certificate
	List         List
	Total        int // before the filter
	Pager        Pager
}

// Certificate is an issued certificate.
type Certificate struct {
	Serial, Name, FrontendID, FrontendName, KeyType, Fingerprint string
	NotBefore, NotAfter, IssuedAt                                time.Time
	State                                                        string    // active, expired, revoked, gone (its frontend is deleted)
	RevokedAt                                                    time.Time // zero while it is good
	Reason, Renews                                               string    // of the revocation; serial of the one that it follows
	Open                                                         int       // connections now
	UsedAt                                                       time.Time // last; zero: not since XLB started
}

// SettingsProps is the settings page of one frontend.
type SettingsProps struct {
	Page            Page
	Head            FrontendHead
	FrontendID      string
	FrontendName    string // as saved
	Revision        string // of the record the form was made from
	Name            string
	Active          bool
	Strategy        int
	RouteTimeoutSec string
	Routes          []RouteRow
	Errors          map[string]string // by field; "" is the whole form
	Conflict        bool              // somebody else saved meanwhile
	Differences     []Difference      // in a conflict: what they saved and this form has otherwise
	Saved           bool              // it was just saved
	Options         []Option
	Connections     int
}

// DeleteProps asks before a frontend is deleted.
type DeleteProps struct {
	Page         Page
	FrontendID   string
	FrontendName string
	Connections  int
	Certificates int
	Error        string
}

// SwitchOffProps asks before a frontend is switched off.
type SwitchOffProps struct {
	Page         Page
	FrontendID   string
	FrontendName string
	Connections  int // that it has open
	DrainSec     int // that they may go on
}

// RevokeProps asks before a certificate is revoked.
type RevokeProps struct {
	Page         Page
	FrontendID   string
	FrontendName string
	Serial, Name string // Name may be empty
	Connections  int    // that it has open
	DrainSec     int    // that they may go on
}

// RevokeBeforeProps asks for a moment, and then before everything that was issued until then is revoked.
type RevokeBeforeProps struct {
	Page                     Page
	FrontendID, FrontendName string
	Text, Error              string    // what was typed, and what is wrong with it
	Before                   time.Time // zero until it is known
	Certificates             int       // good ones that were issued before
	Connections              int       // that these have open
	DrainSec                 int       // that they may go on
}

// CertificateProps is the page of one certificate.
type CertificateProps struct {
	Page        Page
	Certificate Certificate
	File        string // name of the bundle that renewing gives
	Use         CertificateUseProps
	Changes     []Event // what was done with it, newest first
}

// CertificateUseProps is who uses a certificate now, who did, and who was turned away with it, newest first each.
type CertificateUseProps struct {
	Now                time.Time
	FrontendID, Serial string
	Total              int // open connections, of which Connections are some
	Connections        []Connection
	Ended              []Ended
	Refused            []RefusedRow
}

// Undo takes back the change that has just been made.
type Undo struct {
	FrontendID string
	Number     uint64 // of the revision before it
	IfMatch    string
}

// CertificatesProps lists the certificates of all frontends.
type CertificatesProps struct {
	Page         Page
	Certificates []Certificate
	List         List
	Total        int // before the filter
	Pager        Pager
	Frontends    int    // that one may be issued for
	AuthorityURL string // of ca.pem
}

// AccountProps is the client's own page.
type AccountProps struct {
	Page      Page
	Name      string // as typed, or as it is
	NameError string
	Revision  string
	Admin     bool
	CreatedAt time.Time

	KeyAt       time.Time
	OldKeyUntil time.Time // of the key before; zero: it has ended
	NewKey      string    // on its one showing; "" for none

	Limits   []Limit
	Keys     APIKeysProps
	Sessions []Session
	Holdings Holdings
}

// Holdings is what a client has.
type Holdings struct{ Frontends, Certificates, Connections int }

// DeleteAccountProps asks before the client is deleted.
type DeleteAccountProps struct {
	Page     Page
	Name     string
	Holdings Holdings
	Error    string
}

// Limit is one bound with its use; Max 0 is no bound.
type Limit struct {
	Name      string
	Used, Max int64
}

// ErrorProps is an error page.
type ErrorProps struct {
	Page    Page
	Status  int
	Message string // of the operation, "" for the status's own words

	OfAdmin    bool // the page is the administrator's
	RetryAfter int  // seconds, 0 for not known
	ComesBack  int  // seconds until the page is asked for again by itself, 0 for never
}
