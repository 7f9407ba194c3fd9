package views

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// Titles of pages: the object, then the tab.
const (
	TitleSignup       = "Sign up"
	TitleLogin        = loginHeading
	TitleOverview     = navOverview
	TitleNew          = newFrontend
	TitleFrontends    = frontendsHeading
	TitleCertificates = certificatesHeading
	TitleAccount      = accountHeading
	TitleIssue        = issueCertificate
	TitleError        = "Error"
)

// TitleCertificate, TitleConnect, TitleConnections, TitleSettings and TitleDelete name a tab of a frontend.
func TitleCertificate(name string) string { return name + " · " + certificateWord }

// DaysWrong says how long a certificate may be valid.
func DaysWrong(most int) string { return fmt.Sprintf("Use 1 to %d days.", most) }

// BundleWord stands in the name of a file for a frontend that is not chosen yet.
const BundleWord = "bundle"

// TitleConnect is the title of the connect page.
func TitleConnect(name string) string { return name + " · " + connectWord }

// TitleConnections is the title of the list of live connections.
func TitleConnections(name string) string { return name + " · " + tabConnections }

// TitleSettings is the title of the settings page.
func TitleSettings(name string) string { return name + " · " + tabSettings }

// TitleDelete is the title of the page that asks before it deletes.
func TitleDelete(name string) string { return name + " · Delete" }

// Words for the overview's rows and the account's limits.
const (
	NoRouteAnswers = "No route answers, so new connections are refused."
	SeeRoute       = "See route"
	IssueNew       = "Issue a new one"
	NameDiffers    = "That is not its name. Type the name exactly as it is shown."
)

// LimitName is the name of a limit of a client, by its name in the API.
func LimitName(name string) string {
	switch name {
	case "frontends":
		return frontendsHeading
	case "routesPerFrontend":
		return "Routes of the largest frontend"
	case "certificates":
		return "Certificates in force"
	case "connections":
		return connectionsWord
	case "connectionsPerSec":
		return "New connections in a second"
	case "bytesPerSec":
		return "Bytes in a second"
	case "requestsPerSec":
		return "API requests in a second"
	case "newDestinationsPerHour":
		return "New destinations in an hour"
	}
	return name
}

// Done says what was just done, by the code that a redirect carries; "" for a code that there is not.
func Done(code string) string {
	var closed, took int
	if n, _ := fmt.Sscanf(code, "revoked-%d-%d", &closed, &took); n == 2 && closed >= 0 && took >= 0 {
		return fmt.Sprintf("Revoked. %s closed in %s ms.", plural(closed, "connection"), count(took))
	}
	var revoked int
	if n, _ := fmt.Sscanf(code, "revoked-all-%d-%d-%d", &revoked, &closed, &took); n == 3 && min(revoked, closed, took) >= 0 {
		return fmt.Sprintf("Revoked %s. %s closed in %s ms.", plural(revoked, "certificate"), plural(closed, "connection"), count(took))
	}
	var many int
	if n, _ := fmt.Sscanf(code, "closed:%d", &many); n == 1 && many >= 0 {
		return ClosedMany(many)
	}
	if verb, connections, dest, is := routeDone(code); is {
		return RouteDone(verb, dest, connections)
	}
	switch code {
	case "renewed":
		return "Renewed. The old one stays valid; revoke it when the new one is in use."
	case "out":
		return "You are logged out."
	case "session-ended":
		return "That browser is logged out."
	case "sessions-ended":
		return "All other browsers are logged out."
	case "key-revoked":
		return "Revoked. Whatever used the key is refused now."
	case "issued":
		return "The certificate is issued. Nobody has a copy of its key."
	case "renamed":
		return "The name is saved."
	case "gone":
		return "The account and everything it had are deleted."
	case "client-disable":
		return "The client is disabled, and its connections are closed."
	case "client-enable":
		return "The client may log in again."
	case "client-admin":
		return "The client is an administrator now."
	case "client-unadmin":
		return "The client is no longer an administrator."
	case "client-limits":
		return "The limits are saved, and in force."
	case "client-end-sessions":
		return "All its browsers are logged out."
	case "client-deleted":
		return "The client and everything it had are deleted."
	case "authority-add":
		return "The next authority is there. It is in ca.pem, and issues when you let it."
	case "authority-use":
		return "It issues now. The one before it stays trusted."
	case "authority-retire":
		return "It is retired. Its certificates are refused, and their connections are closed."
	case "authority-trust":
		return "It is trusted again."
	case "authority-remove":
		return "It is removed, and its key with it."
	case "invite-gone":
		return "The invite is taken back."
	case "off":
		return "Switched off. Its connections are closed."
	case "off-drain":
		return "Switched off. Open connections may finish."
	case "on":
		return "Switched on."
	case "undone":
		return "Undone. It is as it was before."
	case "restored":
		return "Set back. Live now; no connection of a route that stays was dropped."
	case "saved":
		return "Saved. Live now; no connection was dropped."
	case "deleted":
		return "The frontend is deleted."
	case "revoked-drain":
		return "Revoked. Its connections have 5 minutes to finish."
	case "ended":
		return "That connection had ended already."
	}
	return ""
}

// RouteIsDown says that one of several routes does not answer.
func RouteIsDown(route, reason string, others int) string {
	rest := "the other carries its share."
	if others > 1 {
		rest = fmt.Sprintf("the other %d routes carry its share.", others)
	}
	if reason == "" {
		return route + " is down; " + rest
	}
	return route + " is down: " + lowerFirst(reason) + "; " + rest
}

func lowerFirst(text string) string { return string(text[0]|0x20) + text[1:] }

// CertificateExpires says when the next certificate of a frontend ends.
func CertificateExpires(now, at time.Time) string {
	return "A certificate expires in " + span(at.Sub(now)) + "."
}

// RouteReason is why a route is down, in a few words.
func RouteReason(code string) string {
	switch code {
	case "":
		return ""
	case "route-refused":
		return "Connection refused"
	case "route-timeout":
		return "Timed out"
	case "route-dns":
		return "Name not found"
	case "route-policy":
		return "Not allowed by this server"
	case "route-tls":
		return "TLS failed"
	case "route-answer":
		return "Answered, but not as expected"
	case "route-reset", "route-closed":
		return "Hung up"
	}
	return "Cannot be reached"
}

// RouteAnswers is the hint beside a route that was tried.
func RouteAnswers(took time.Duration) string { return "Answers in " + length(took) }

// RouteCaution is the hint beside a route that was tried in vain; it can be saved all the same.
func RouteCaution(code, host string, port int) string {
	switch code {
	case "route-refused":
		return fmt.Sprintf("%s refuses connections on port %d. You can save it now and start the service later.", host, port)
	case "route-timeout":
		return "No answer within 2 s. A firewall may be in the way. You can save it anyway."
	case "route-dns":
		return fmt.Sprintf("The name %s was not found. You can save it anyway.", host)
	}
	return "It could not be tried just now. You can save it anyway."
}

// Facts are what may be said about an attempt.
type Facts struct {
	Code        string
	Detail      string // of the protocol or the certificate; "" when the reader may not see it
	Route       string
	Routes      int // of the frontend
	TimeoutSec  int
	Connections int // limit of the client
	Endpoint    string
}

// Explain says why a connection was turned away or not served, and what to do.
func Explain(f Facts) (headline, sentence string) {
	if headline, sentence := explainHandshake(f); headline != "" {
		return headline, sentence
	}
	if headline, sentence := explainIdentity(f); headline != "" {
		return headline, sentence
	}
	return explainRoute(f)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// quoted is a text of somebody else's in quotation marks.
func quoted(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return "“" + text + "”"
}

func after(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

func explainHandshake(f Facts) (headline, sentence string) {
	switch f.Code {
	case "not-tls":
		return "Refused: not TLS", "The program sent plain " + or(f.Detail, "text") + " to a TLS port. Use https:// or switch TLS on."
	case "old-tls":
		return "Refused: " + or(f.Detail, "an old version of TLS"), "XLB speaks TLS 1.3 only. Update the program or its TLS library."
	case "no-cert":
		return "Refused: no certificate", "The program connected without a certificate, so XLB cannot know where to send the stream. Add --cert and --key as in the command."
	case "other-ca":
		return "Refused: another authority", "The certificate is signed by " + quoted(f.Detail, "somebody else") + ", not by this server. Use cert.pem from the bundle you downloaded here."
	case "key-mismatch":
		return "Refused: key and certificate do not match", "Use key.pem and cert.pem of the same bundle."
	case "untrusted":
		host, _, _ := net.SplitHostPort(f.Endpoint)
		return "The program hung up: it does not trust this server", "Give it ca.pem (--cacert) and connect to " + host + "."
	case "silent":
		return "Refused: nothing was sent for 10 s", "Port scanners and TCP health checks do this."
	case "hung-up":
		return "The program hung up during the handshake", "Port scanners and TCP health checks do this, and some programs that do not trust this server: give those ca.pem."
	case "handshake-limit":
		return "Refused: too many handshakes at once", "The server is busy. Try again."
	}
	return "", ""
}

func explainIdentity(f Facts) (headline, sentence string) {
	switch f.Code {
	case "expired":
		return "Refused: certificate expired" + after(" on ", f.Detail), "Issue a new one."
	case "not-yet":
		return "Refused: certificate not valid " + or(after("before ", f.Detail), "yet"), "Check the clock of the machine that connects."
	case "authority-retired":
		return "Refused: the certificate’s authority was retired", "Issue a new one for this program, and give it the new ca.pem."
	case "revoked":
		return "Refused: certificate revoked", "Issue a new one for this program."
	case "off":
		return "Refused: the frontend is switched off", "Switch it on in Settings."
	case "gone":
		return "Refused: the frontend is deleted", "Create a new one."
	case "disabled":
		return "Refused: the client is disabled", "Ask the administrator."
	case "no-proxy":
		return "Refused: no PROXY header", "The load balancer in front has to send one (-proxy-from)."
	case "conn-limit":
		return "Refused: too many connections", "The limit is " + strconv.Itoa(f.Connections) + ". Close some or ask the administrator."
	case "server-limit":
		return "Refused: the server has no room", "All its connections are taken, or you have a large part of them. Close some or ask the administrator."
	case "rate-limit":
		return "Refused: too many in one second", "Try again more slowly, or ask the administrator."
	}
	return "", ""
}

func explainRoute(f Facts) (headline, sentence string) {
	route := or(f.Route, "the route")
	switch f.Code {
	case "route-refused":
		return "Accepted, but the route refused the connection", "Nothing listens on " + route + ". Start the service, or change the route."
	case "route-timeout":
		return "Accepted, but the route did not answer", "Check the address and the firewall of " + route + "."
	case "route-dns":
		return "Accepted, but the route’s name was not found", "Check the name."
	case "route-policy":
		return "Accepted, but the route is not allowed", "This server does not allow that address."
	case "route-tls":
		return "Accepted, but TLS to the route failed", "Check what the route expects."
	case "no-route":
		return "Accepted, but no route is available", "The frontend has no route that can be used. Add one in Settings."
	case "all-full":
		return "Accepted, but every route is full", fmt.Sprintf("Waited up to %d s. Raise the capacity or add a route.", f.TimeoutSec)
	case "route-closed":
		return "Connected, then the route closed without a byte", "The service may expect other first bytes, or TLS of its own."
	}
	return "Not served", "The server’s log has the details under the reason " + f.Code + "."
}
