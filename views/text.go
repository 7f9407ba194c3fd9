package views

import (
	"fmt"
	"time"
)

// The product and its frame.
const (
	product          = "XLB"
	brandLabel       = "XLB, overview"
	skip             = "Skip to content"
	mainNav          = "Main"
	navOverview      = "Overview"
	navFrontends     = "Frontends"
	navCertificates  = "Certificates"
	navAccount       = "Account"
	searchLabel      = "Search frontends by name, route or access key"
	searchHint       = "Search"
	acceptingOn      = "Accepting connections on"
	copyEndpoint     = "Copy the endpoint"
	clientWord       = "client"
	keysHeading      = "Keys"
	keysOff          = "Single keys can be switched off under Account."
	serverGone       = "Not reachable"
	loadingWord      = "Loading the page"
	toastsWord       = "Messages"
	liveUpdates      = "Live updates"
	livePause        = "Pause live updates"
	refresh          = "Refresh"
	finishLater      = "Finish later"
	later            = "Later"
	progress         = "Progress"
	stepDone         = ", done"
	breadcrumb       = "Breadcrumb"
	newWord          = "New"
	newFrontend      = "New frontend"
	newFrontendTail  = " frontend"
	copyWord         = "Copy"
	keepIt           = "Keep it"
	noneWord         = "None"
	dash             = "–"
	busySaving       = "Saving…"
	busyCreating     = "Creating…"
	busyLoggingIn    = "Logging in…"
	busyDeleting     = "Deleting…"
	busyClosing      = "Closing…"
	requestWord      = "Request "
	stateColumn      = "State"
	routeColumn      = "Route"
	frontendColumn   = "Frontend"
	healthColumn     = "Health"
	connectionsWord  = "Connections"
	newRateColumn    = "New /s"
	trafficWord      = "Traffic"
	certificateWord  = "Certificate"
	certificatesWord = "Certificates"
	strategyWord     = "Strategy"
	routesWord       = "Routes"
)

var steps = [...]string{routesWord, certificateWord, connectWord}

// streamOf is the address of the stream that a page opens; pages without parts that change hear of the server alone.
func streamOf(p Page) string {
	if p.Live == "" && p.Client.ID != "" {
		return "/events?view=page"
	}
	return p.Live
}

func documentTitle(title string) string {
	if title == "" {
		return product
	}
	return title + " · " + product
}

// Sign-up and log-in.
const (
	signupHeading  = "Balance TCP by\u00a0identity"
	signupLead     = "Create a client, name your servers, download a certificate. The first byte can flow in a minute."
	signupShown    = "This key was shown already."
	signupShownHow = "Your client is made and you are logged in. If you did not save its key, replace it under Account."
	signupName     = "Client name"
	signupNameHint = "A team, a service or yourself."
	signupCode     = "Set-up code"
	signupCodeHint = "It is in the file setup-code in the server’s data directory."
	signupInvite   = "Invite code"
	signupInviteAt = "From the administrator, used once."
	signupButton   = "Create client"
	signupHave     = "Already have a client?"
	signupClosed   = "Sign-up is closed on this server."
	signupAsk      = "Ask its administrator for a client."
	loginHeading   = "Log in"
	loginLead      = "Use the client id and key that you saved when you signed up."
	loginID        = "Client id"
	loginKey       = "Client key"
	loginButton    = "Log in"
	loginNew       = "New here?"
	loginCreate    = "Create a client"
	loginLost      = "Lost your key?"
	loginLostText  = "XLB keeps only a hash, so nobody can show it again. Ask the administrator."
	pictureLine    = "One port for everyone."
	pictureSmall   = "The certificate decides where the stream goes."
	picturePort    = "One port"
	picturePools   = "Pools"
)

func codeLabel(p SignupProps) string {
	if p.Invite {
		return signupInvite
	}
	return signupCode
}

func codeHint(p SignupProps) string {
	if p.Invite {
		return signupInviteAt
	}
	return signupCodeHint
}

// The wizard's first step.
const (
	secretHeading    = "Save your client key now"
	secretText       = "It is shown this once. You need it to log in again and to call the API."
	copyClientID     = "Copy the client id"
	copyClientKey    = "Copy the client key"
	demoHeading      = "Nothing running yet?"
	demoText         = "The demo upstream lives inside XLB on this machine. It answers HTTP and echoes TCP."
	demoButton       = "Use the demo upstream"
	secretSaved      = "I have saved it"
	inviteWord       = "Invite"
	apiKeyWord       = "API key"
	copyBoth         = "Copy both"
	downloadEnv      = "Download xlb-client.env"
	newHeading       = "Where should traffic go?"
	newLead          = "List the addresses of your service. XLB spreads connections over them and keeps away from those that do not answer."
	routePlaceholder = "host:port, or paste several"
	routesHint       = "For example db.internal:5432 or [2001:db8::7]:443"
	addRoute         = "Add route"
	nameWord         = "Name"
	newNameHint      = "Only you see it. Left empty, it is suggested from the port."
	moreOptions      = "More options"
	moreOptionsText  = "Strategy and time-out. The defaults are fine."
	newButton        = "Create frontend"
	newNext          = "Next: download the certificate"
	strategyHint     = "Least connections suits long sessions such as databases."
	timeoutWord      = "Time-out of a route"
	timeoutDefault   = "Default 30 seconds, from 1 to 300."
	timeoutHint      = "How long XLB waits for a route to answer before it tries the next one."
	secondsUnit      = "seconds"
)

// Names of fields that are no options.
const (
	FieldName     = nameWord
	FieldActive   = settingsActive
	FieldStrategy = strategyWord
	FieldTimeout  = timeoutWord
	FieldRoutes   = routesWord
)

// OnOff is the word for a switch.
func OnOff(on bool) string {
	if on {
		return "On"
	}
	return "Off"
}

const (
	roleRoute  = "Normal"
	roleBackup = "Backup"
	weightWord = "Weight"
)

func weightLabel(n int) string {
	if n == 0 {
		return "Weight of the added route"
	}
	return fmt.Sprintf("Weight of route %d", n)
}

func roleLabel(n int) string {
	if n == 0 {
		return "Use of the added route"
	}
	return fmt.Sprintf("Use of route %d", n)
}

// Strategies has the name of each strategy by its number.
var Strategies = [...]string{
	"Round robin", "Least connections", "Weighted round robin", "Two choices", "Random", "By client address", "By certificate",
}

func strategyText(number int) string {
	if number < 0 || number >= len(StrategyTexts) {
		return strategyHint
	}
	return StrategyTexts[number]
}

func routeLabel(n int) string { return fmt.Sprintf("Route %d", n) }
func capacityLabel(n int) string {
	if n == 0 {
		return "Capacity of the added route"
	}
	return fmt.Sprintf("Capacity of route %d", n)
}

func removeLabel(n int) string { return fmt.Sprintf("Remove route %d", n) }

// The wizard's second step.
const (
	certificateHeading  = "Download the certificate"
	certificateWho      = "Whoever holds it reaches "
	certificateOnly     = ", and nothing else. The private key is made now, sent once and never stored."
	certificateAny      = "that frontend"
	certificateNext     = "Next: the command that connects"
	certificateHave     = "I have it, show the commands"
	issueHeading        = "Issue a certificate"
	formatWord          = "Format"
	legacyText          = "PKCS#12 for older Apple keychains and Windows Server 2016"
	keyAndLifetime      = "Key and lifetime"
	keyTypeWord         = "Key type"
	keyTypeHint         = "RSA works with every program."
	validFor            = "Valid for"
	validForHint        = "Default 90 days, from 1 to 397."
	daysUnit            = "days"
	certificateName     = "Name of this certificate"
	certificateNameHint = "Shown in lists and logs, such as checkout-prod."
	csrUse              = "Made a key yourself? Use a signing request, and the key never leaves your machine"
	csrLabel            = "Signing request (CSR)"
	csrHint             = "PEM, as openssl req -new writes it. Its public key is used, and nothing else of it."
	cancelWord          = "Cancel"
	passwordWord        = "Password"
	copyPassword        = "Copy the password"
	lockedLead          = "The file and its password are made now, sent once and never stored."
	lockedHeading       = "Save the file and its password now"
	lockedText          = "The password is shown this once. Programs ask for it when they open the file."
)

func downloadFile(file string) string { return "Download " + file }

// The wizard's third step.
const (
	connectWord    = "Connect"
	connectLead    = "Run one of these where you unpacked the bundle. This page follows along and says what it sees."
	connectAnother = "Get another format"
	connectBundle  = "Bundle downloaded"
	connectNone    = "No certificate yet"
	connectNoneHow = "Programs present one to get in."
	connectGet     = "Download one"

	aboutBalancerClient = "balancer-client is part of XLB: make client builds bin/balancer-client."
	commandsWord        = "Commands"
	programWord         = "Program"
	expectedWord        = "Expected answer: "
	expectWeb           = "what your web server says"
	expectStream        = "an open stream: type, and the service answers"
	expectPostgres      = "1 row, with the version"
	expectUpstream      = "which upstream answered, and in what time"
	endpointWord        = "Endpoint"
	endpointText        = ", TLS 1.3. ca.pem verifies the server’s certificate."
	panelWaiting        = "Waiting for the first connection"
	panelArrived        = "A connection has arrived"
	panelConnected      = "Connected"
	panelStages         = "Stages of the first connection"
	stageListening      = "Listening"
	stageAccepted       = "Certificate accepted"
	stageAcceptedFor    = "Waiting for a connection that presents it"
	stageRouted         = "Route reached"
	stageFirstByte      = "First byte"
	attemptsWord        = "Attempts"
	attemptsOrder       = "newest first"
	attemptsNone        = "Programs that were turned away show up here, with the reason."
)

func connectTo(name string) string  { return "Connect to " + name }
func commandFor(what string) string { return "Command for " + what }
func copyWhat(what string) string   { return "Copy " + what }
func bundleText(file string, c Certificate) string {
	text := file + " · "
	if c.Name != "" {
		text += "certificate “" + c.Name + "” · "
	}
	return text + "valid until " + date(c.NotAfter)
}
func listeningText(p ConnectPanelProps) string {
	if p.Active {
		return p.Endpoint + " is open, " + p.Name + " is active"
	}
	return p.Endpoint + " is open, but " + p.Name + " is switched off"
}
func fromText(source string) string { return "From " + source }
func acceptedText(s Served) string {
	text := "Serial " + short(s.Serial) + ", TLS 1.3"
	if s.Resumed {
		text += ", resumed"
	}
	return text
}
func bytesText(s Served) string {
	if s.BytesIn == 0 { // not counted yet, or the route spoke first
		return bytesOf(s.BytesOut) + " down"
	}
	return bytesOf(s.BytesIn) + " up, " + bytesOf(s.BytesOut) + " down"
}
func openName(name string) string { return "Open " + name }
func attemptsBefore(n int) string { return plural(n, "attempt") + " that did not get through" }
func times(n int) string          { return count(n) + " times" }
func nothingYet(endpoint string) string {
	return "Nothing has arrived yet. Can the program’s machine reach " + endpoint + "?"
}
func firstByteText(route string, took time.Duration) string {
	if route == "" {
		route = "its route"
	}
	return "The first byte reached " + route + " in " + length(took) + "."
}

// panelTitle says how far the first connection has come.
func panelTitle(p ConnectPanelProps) string {
	switch {
	case !p.FirstByte.IsZero():
		return panelConnected
	case !p.Accepted.IsZero():
		return panelArrived
	}
	return panelWaiting
}

// The overview.
const (
	needsAttention   = "Needs attention"
	totalsWord       = "Totals"
	statConnections  = "Connections now"
	statNew          = "New per second"
	statTraffic      = "Traffic"
	statWaiting      = "Waiting for a route"
	statRefused      = "Refused, last hour"
	statWaitingSome  = "every route they could use is full or down"
	checklistHeading = "Get to the first byte"
	checkClient      = "Create a client"
	checkFrontend    = "Create a frontend"
	checkFrontendHow = "The addresses of your service"
	checkCert        = "Download its certificate"
	checkCertHow     = "One file that programs present to get in"
	checkByte        = "Send the first byte"
	checkByteHow     = "Copy a command for curl, psql, redis-cli and others"
	checkCertButton  = "Download"
)

func doneOf(done, all int) string { return fmt.Sprintf("%d of %d done", done, all) }
func peak(samples []float64) string {
	return "peak " + figure(highest(samples)) + " in " + window(samples)
}
func trafficSplit(in, out float64) string {
	return bytesPerSecond(out) + " down, " + bytesPerSecond(in) + " up"
}

// window writes how much time the samples cover.
func window(samples []float64) string {
	return length(time.Duration(max(len(samples)-1, 1)) * 2 * time.Second)
}

// Frontends.
const (
	frontendsHeading = "Frontends"
	allFrontends     = "All frontends"
	filterLabel      = "Filter by name, route, access key or serial"
	filterHint       = "Name, route, key or serial"
	filterButton     = "Filter"
	clearFilter      = "Clear the filter"
	emptyHeading     = "No frontends yet"
	emptyText        = "A frontend is a pool of servers behind one certificate. Programs that present the certificate are balanced over the pool."
	emptyAPI         = "Or with the API: "
	emptyAPICall     = "POST /api/v1/client/frontend"
)

func noMatch(q string) string {
	if q == "" {
		return "No frontend is in that state."
	}
	return "No frontend matches “" + q + "”."
}

// shownOf says how many rows there are and how many there may be.
func shownOf(p FrontendTableProps) string {
	s := count(len(p.Rows)) + " of " + plural(p.Total, "frontend") + "."
	if p.Pager.Total > len(p.Rows) {
		s = shownPart(p.Pager, "frontend")
	}
	if p.Limit > 0 {
		s += " Your limit is " + count(p.Limit) + "."
	}
	return s
}

func limitReached(limit int) string {
	return "You use all " + plural(limit, "frontend") + ". Delete one or ask for more."
}

// shownPart says which rows of a list there are.
func shownPart(p Pager, what string) string {
	if p.To-p.From == p.Total {
		return plural(p.Total, what) + "."
	}
	return count(p.From+1) + " to " + count(p.To) + " of " + plural(p.Total, what) + "."
}

const (
	pagesWord    = "Pages"
	previousPage = "Previous"
	nextPage     = "Next"
)

const allProblems = "All frontends with problems"

func moreAttention(n int) string { return "And " + count(n) + " more." }

// stateWord is the word for the state of a frontend, a route or a certificate.
func stateWord(state string) string {
	switch state {
	case "up":
		return "Up"
	case "degraded":
		return "Degraded"
	case "down":
		return "Down"
	case "ejected":
		return "Ejected"
	case "draining":
		return "Draining"
	case "maintenance":
		return "Maintenance"
	case "waiting":
		return "Waiting"
	case "off":
		return "Off"
	case "active":
		return "Active"
	case "expired":
		return "Expired"
	case "revoked":
		return "Revoked"
	case "gone":
		return "Frontend deleted"
	case "retired":
		return "Authority retired"
	}
	return "Unknown"
}

// routeSummary says how many routes of a frontend answer.
func routeSummary(f Frontend) string {
	up := 0
	down := 0
	for _, r := range f.Routes {
		switch r.State {
		case "up":
			up++
		case "down", "ejected":
			down++
		}
	}
	switch {
	case len(f.Routes) == 0:
		return "no routes"
	case up == 0 && down == 0:
		return plural(len(f.Routes), "route") + ", not checked yet"
	}
	return fmt.Sprintf("%d of %d up", up, len(f.Routes))
}

// One frontend.
const (
	tabOverview      = "Overview"
	tabConnections   = connectionsWord
	tabSettings      = "Settings"
	tabConnect       = connectWord
	accessKey        = "Access key"
	copyAccessKey    = "Copy the access key"
	nextExpiry       = "Next expiry"
	rightNow         = "Right now"
	failedColumn     = "Failed"
	bytesDown        = "Down"
	bytesUp          = "Up"
	ofWord           = "of"
	noRoutes         = "No routes yet, so new connections are refused."
	addOne           = "Add one"
	offText          = "New connections are refused."
	offHeading       = "This frontend is switched off."
	downHeading      = "No route answers, so new connections are refused."
	noCertificates   = "No certificates yet. Each frontend needs one; programs present it to get in."
	issueCertificate = "Issue certificate"
	issueWord        = "Issue"
	issueTail        = " certificate"
)

func routesOf(name string) string { return "Routes of " + name }

func expiryText(now, at time.Time) string {
	if !at.After(now) {
		return "Expired " + ago(now, at)
	}
	return "Expires in " + span(at.Sub(now))
}

// Revoking a certificate.
const (
	revokeWord   = "Revoke"
	busyRevoking = "Revoking…"
	revokeReason = "Reason"
)

var revokeReasons = []choice{
	{"key-compromise", "Its key may have leaked"}, {"superseded", "Replaced by a newer one"},
	{"cessation-of-operation", "No longer needed"}, {"unspecified", "Other"},
}

func certificateCalled(name, serial string) string {
	if name == "" {
		return serial
	}
	return "“" + name + "”"
}
func revokeQuestion(p RevokeProps) string {
	return "Revoke " + certificateCalled(p.Name, p.Serial) + "?"
}
func revokeText(p RevokeProps) string {
	return "Programs that use serial " + p.Serial + " lose access to " + p.FrontendName + " at once. This cannot be undone."
}

const (
	revokeLeakedHow   = "“Its key may have leaked” also revokes what that key has renewed by itself."
	revokeBeforeLink  = "Revoke everything issued before…"
	revokeBeforeLabel = "Issued before, in UTC"
	revokeBeforeHint  = "What is issued later stays."
	revokeBeforeShow  = "Show what that is"
	keepThem          = "Keep them"
)

func revokeBeforeHeading(p RevokeBeforeProps) string {
	if p.Before.IsZero() || p.Certificates == 0 {
		return "Revoke everything issued before…"
	}
	return "Revoke " + plural(p.Certificates, "certificate") + "?"
}

func revokeBeforeText(p RevokeBeforeProps) string {
	switch {
	case p.Before.IsZero():
		return "All certificates of " + p.FrontendName + " that were issued before a moment, for example before a backup was lost."
	case p.Certificates == 0:
		return "No certificate of " + p.FrontendName + " that is good was issued before " + instant(p.Before) + "."
	}
	return "They were issued before " + instant(p.Before) + ". Programs that use them lose access to " + p.FrontendName + " at once. This cannot be undone."
}

func revokeBeforeButton(n int) string { return "Revoke " + plural(n, "certificate") }

func revokeReasonName(value string) string {
	for _, r := range revokeReasons {
		if r.value == value {
			return lowerFirst(r.name)
		}
	}
	return value
}

// One certificate.
const (
	fingerprintWord = "SHA-256"
	followsWord     = "Follows"
	renewWord       = "Renew"
	renewButton     = "Download a new certificate"
)

func renewText(now time.Time, c Certificate) string {
	text := "Makes a new key pair and certificate of the same type, lifetime and name. "
	if !now.Before(c.NotAfter) {
		return text + "The old one has expired."
	}
	return text + "The old one stays valid until " + date(c.NotAfter) + "; revoke it when the new one is in use."
}

func certificateOpen(n int) string {
	if n == 0 {
		return "No connection is open with it."
	}
	return plural(n, "connection") + " open with it."
}

func allConnections(n int) string {
	if n == 1 {
		return "In the list of all"
	}
	return "All " + count(n) + ", to close them"
}

const allRefused = "All that were turned away"

// TitleOneCertificate is the title of the page of one certificate.
func TitleOneCertificate(name, serial string) string {
	if name == "" {
		name = serial
	}
	return name + " · " + certificateWord
}

// NotAMoment says what to type instead.
const NotAMoment = "Use a date and time such as 2027-01-31T12:00:00."

// TitleRevoke is the title of the page that asks before it revokes.
func TitleRevoke(name string) string { return name + " · " + revokeWord }

// What the owner of a frontend does with a route.
const (
	undoWord        = "Undo"
	verbDrain       = "Drain"
	verbReady       = "Ready"
	verbMaintenance = "Maintenance"
	backupWord      = "backup"
	removedWord     = "removed"
	panicHeading    = "Too few routes are up"
	panicText       = "So few routes are healthy that health is ignored and all of them are used."
)

func weightOf(n any) string   { return fmt.Sprint("weight ", n) }
func capacityOf(n any) string { return fmt.Sprint("capacity ", n) }

func conflictText(n int) string {
	if n == 0 {
		return "Somebody saved meanwhile, and nothing that this form has otherwise. Save again."
	}
	return "Somebody saved meanwhile. What you typed is still here and not saved: choose for each setting, then save."
}

func addressCount(n int) string {
	if n == 1 {
		return "1 address"
	}
	return count(n) + " addresses"
}

// Live connections of one frontend.
const (
	liveConnections     = "Live connections"
	connectionsFilter   = "Filter by source, route, serial or certificate name"
	connectionsHint     = "Source, route or serial"
	connectionsNone     = "No open connections"
	connectionsNoneText = "They appear here while they last."
	connectHow          = "How to connect"
	fromColumn          = "From"
	ageColumn           = "Age"
	idleColumn          = "Idle"
	actionColumn        = "Action"
	waitsForRoute       = "Waiting for a route"
	closeWord           = "Close"
)

func connectionsNoMatch(q string) string { return "No open connection matches “" + q + "”." }
func closeLabel(c Connection) string     { return "Close the connection from " + c.Source }

// connectionsShown says how many there are, and how to see those that are not listed.
func connectionsShown(p ConnectionTableProps) string {
	switch {
	case p.Pager.Total < p.Total:
		return count(p.Pager.From+1) + " to " + count(p.Pager.To) + " of " + plural(p.Total, "connection") + ". The newest " + count(p.Pager.Total) + " are listed: filter to see others."
	case len(p.Rows) < p.Total:
		return shownPart(p.Pager, "connection")
	case p.Query != "":
		return plural(p.Total, "connection") + " of “" + p.Query + "”."
	}
	return plural(p.Total, "connection") + ", newest first."
}

// Settings.
const (
	settingsGroups    = "Settings groups"
	groupGeneral      = "General"
	groupBalancing    = "Balancing"
	groupBalancingHow = "How a route is chosen for each new connection."
	groupRoutes       = routesWord
	groupRoutesHow    = "Where the connections go. Capacity bounds how many one route has at a time; empty or 0 is no bound. A route of weight 2 gets twice as many as one of weight 1, where the strategy goes by weight. Backups are used while no other route is usable, and by a connection that no other route has answered."
	groupTimeouts     = "Time-outs"
	groupDanger       = "Danger zone"
	settingsName      = nameWord
	settingsNameHow   = "Only you see it."
	settingsActive    = "Active"
	settingsActiveHow = "Switched off, new connections are refused; open ones have the time of a drain, see below, to end."
	settingsDefault   = "Round robin is the default."
	capacityWord      = "Capacity"
	conflictField     = "Setting"
	conflictMine      = "In this form"
	conflictSaved     = "Saved since"
	keepMine          = "Keep mine"
	takeSaved         = "Take theirs"
	nothingWord       = "Empty"
	conflictHeading   = "These settings changed in the meantime"
	conflictLink      = "Discard this form"
	saveChanges       = "Save changes"
	saveText          = "Live as soon as you save. Open connections stay."
	savebarLabel      = "Save"
	removedHint       = "Empty a row to remove its route."
)

func deleteName(name string) string     { return "Delete " + name }
func deleteQuestion(name string) string { return "Delete " + name + "?" }

// Deleting a frontend.
const (
	deleteButton  = "Delete frontend"
	deleteForever = "It cannot be undone."
	deleteHow     = "Closes its connections and makes its certificates worthless. This cannot be undone."
)

func typeName(name string) string { return "Type " + name + " to confirm" }
func deleteText(connections, certificates int) string {
	switch {
	case connections == 0 && certificates == 0:
		return "Nothing is connected, and it has no certificates."
	case connections == 0:
		return "Nothing is connected. This makes " + plural(certificates, "certificate") + " worthless."
	}
	return "This closes " + plural(connections, "connection") + " and makes " + plural(certificates, "certificate") + " worthless."
}

// Certificates.
const (
	certificatesHeading = certificatesWord
	allCertificates     = "All certificates"
	certificatesEmpty   = noCertificates
	serialColumn        = "Serial"
	keyTypeColumn       = "Key"
	validUntilColumn    = "Valid until"
	issuedColumn        = "Issued"
	issueNone           = "Create a frontend first."
)

func copySerial(serial string) string { return "Copy the serial " + short(serial) }

// The account.
const (
	accountHeading    = navAccount
	accountClient     = "Client"
	accountClientHow  = "The owner of your frontends and certificates."
	accountAdmin      = "Administrator"
	accountLimits     = "Limits"
	accountLimitsHow  = "Set by the administrator of this server."
	accountAppearance = "Appearance"
	themeWord         = "Theme"
	themeSave         = "Save theme"
	sinceWord         = "Client since"
	logOut            = "Log out"
)

func useOf(l Limit) string {
	if l.Max <= 0 {
		return count(l.Used) + ", no limit"
	}
	return count(l.Used) + " of " + count(l.Max)
}

// Errors.
const (
	goOverview  = "Go to the overview"
	goFrontends = "All frontends"
	goLogin     = "Log in"
	copyRequest = "Copy the request id"
)

// errorWords has what a status says on its page.
func errorWords(p ErrorProps) (heading, sentence string) {
	switch p.Status {
	case 400, 413, 415, 422:
		return "That request was not understood", "Nothing you sent was saved."
	case 401:
		return "Your session ended", "Log in to go on."
	case 403:
		if p.OfAdmin {
			return "This needs the administrator", "Your client is none. Ask somebody whose client is."
		}
		return "This is not allowed", "Nothing you sent was saved. Go back, reload the page and try once more."
	case 404, 410:
		return "Nothing lives here", "The frontend may have been deleted, or it belongs to another client."
	case 405:
		return "This address takes other requests", "Nothing you sent was saved."
	case 409, 412:
		return "Something changed in the meantime", "Nothing you sent was saved. Open the page again and repeat your change."
	case 429:
		if p.RetryAfter > 0 {
			return "Too many requests", fmt.Sprintf("Try again in %d s.", p.RetryAfter)
		}
		return "Too many requests", "Wait a little, then try again."
	case 503:
		if p.ComesBack > 0 {
			return "XLB cannot do this now", "This page comes back by itself."
		}
		return "XLB cannot do this now", "Try again in a few seconds."
	}
	return "Something broke on our side", "Nothing you sent was saved."
}

func fromAddress(address string) string { return "From " + address + "." }

const sinceWordLower = "since"

const discard = "Discard"

// themes are the choices of the account page, as the form sends them.
var themes = [...]struct{ value, name string }{{"system", "System"}, {"light", "Light"}, {"dark", "Dark"}}
