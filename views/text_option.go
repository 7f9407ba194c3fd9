package views

import "strconv"

// Groups of options.
const (
	groupHealth      = "Health checks"
	groupHealthHow   = "Whether XLB asks each route by itself if it works, and what it makes of connects that fail."
	groupLimits      = "Limits"
	groupLimitsHow   = "Of this frontend, all routes together. The client has limits of its own above these."
	groupTimeoutsHow = "Each is counted for one connection."
	groupProtocol    = "Protocol"
	groupProtoHow    = "What a route gets to see."
	resetWord        = "Reset"
)

// optionText is what the settings page says about an option.
type optionText struct {
	group, label, how string

	choices []choice // of a select
	kind    string   // number, text, area, switch or select
	only    string   // a class: shown only while another option has a value that needs it
}

type choice struct{ value, name string }

// optionTexts has the words for each option, by its field in the API, in the order of the page.
var optionTexts = []struct {
	field string
	optionText
}{
	{"slowStartSec", optionText{group: "balancing", label: "Slow start", how: "A route that comes back gets its full share only after this time.", kind: "number"}},
	{"panicPercent", optionText{group: "balancing", label: "Panic threshold", how: "With fewer healthy routes than this, all of them are used: wrong checks must not take you down.", kind: "number"}},
	{"queueLimit", optionText{group: "balancing", label: "Queue", how: "Connections that may wait while every route is full.", kind: "number"}},

	{"check.kind", optionText{group: "health", label: "Kind", how: "A TCP connect proves that something listens. HTTP proves that it answers.", kind: "select", choices: []choice{
		{"none", "No checks"}, {"tcp", "TCP connect"}, {"tls", "TLS handshake"}, {"send", "Send and expect"}, {"http", "HTTP"}}}},
	{"check.method", optionText{group: "health", label: "Method", how: "Of the HTTP request.", kind: "select", only: "only-http", choices: []choice{{"GET", "GET"}, {"HEAD", "HEAD"}, {"OPTIONS", "OPTIONS"}}}},
	{"check.path", optionText{group: "health", label: "Path", how: "A page that fails while the service does.", kind: "text", only: "only-http"}},
	{"check.host", optionText{group: "health", label: "Host", how: "The Host header. Empty is the route’s own address or name.", kind: "text", only: "only-http"}},
	{"check.statusLow", optionText{group: "health", label: "Lowest good status", how: "Answers below it fail the check.", kind: "number", only: "only-http"}},
	{"check.statusHigh", optionText{group: "health", label: "Highest good status", how: "Answers above it fail the check.", kind: "number", only: "only-http"}},
	{"check.send", optionText{group: "health", label: "Send", how: "What goes out first. Empty sends nothing.", kind: "text", only: "only-send"}},
	{"check.expect", optionText{group: "health", label: "Expect", how: "A text that has to be in the answer. Empty takes any.", kind: "text", only: "only-send"}},
	{"check.intervalSec", optionText{group: "health", label: "Interval", how: "Time between two checks of one route, give or take 10 %.", kind: "number", only: "only-check"}},
	{"check.timeoutSec", optionText{group: "health", label: "Time-out of a check", how: "An answer that takes longer counts as none.", kind: "number", only: "only-check"}},
	{"check.fall", optionText{group: "health", label: "Failures until down", how: "This many in a row.", kind: "number", only: "only-check"}},
	{"check.rise", optionText{group: "health", label: "Successes until up", how: "This many in a row.", kind: "number", only: "only-check"}},
	{"closeOnDown", optionText{group: "health", label: "Close connections of a route that goes down", how: "Otherwise they go on for as long as they can.", kind: "switch", only: "only-check"}},
	{"ejectAfter", optionText{group: "health", label: "Failures until a route rests", how: "In a row, with or without checks. It rests for 30 s, longer each time, and comes back as soon as it answers.", kind: "number"}},
	{"ejectOn", optionText{group: "health", label: "What is a failure", how: "An early end comes within a second, without a byte. A route that rests for those is not probed, because it would answer.", kind: "select", choices: []choice{
		{"connect", "A failed connect"}, {"early-close", "A failed connect, or an early end without a byte"}}}},

	{"maxConnections", optionText{group: "limits", label: "Connections", how: "At once.", kind: "number"}},
	{"connectionsPerSec", optionText{group: "limits", label: "New connections", how: "In a second; what is over it is refused.", kind: "number"}},
	{"bytesPerSec", optionText{group: "limits", label: "Bytes", how: "In a second, both directions together; what is over it is slowed down.", kind: "number"}},

	{"idleTimeoutSec", optionText{group: "timeouts", label: "Idle", how: "A connection without a byte for so long is closed.", kind: "number"}},
	{"halfCloseTimeoutSec", optionText{group: "timeouts", label: "Half-closed", how: "The same once one side has ended its direction.", kind: "number"}},
	{"maxLifetimeSec", optionText{group: "timeouts", label: "Longest life", how: "A connection is closed after so long, busy or not.", kind: "number"}},
	{"keepAliveSec", optionText{group: "timeouts", label: "TCP keep-alive", how: "Sent to both sides of a quiet connection after so long, to notice machines that are gone.", kind: "number"}},
	{"tcpUserTimeoutSec", optionText{group: "timeouts", label: "Unacknowledged data", how: "A side that has not acknowledged what was sent to it for so long is given up. One that does not read counts too.", kind: "number"}},
	{"drainTimeoutSec", optionText{group: "timeouts", label: "Drain", how: "Connections of a route that is drained or removed have so long to end.", kind: "number"}},

	{"proxyProtocol", optionText{group: "protocol", label: "PROXY protocol", how: "Tells the route who the client is. The route has to expect it, and everything that connects from this server is believed.", kind: "select", choices: []choice{
		{"0", "Off"}, {"1", "Version 1, text"}, {"2", "Version 2, with the certificate"}}}},
	{"routeTls.mode", optionText{group: "protocol", label: "TLS to the routes", how: "Verified is right for a network that you do not trust.", kind: "select", choices: []choice{
		{"off", "Off"}, {"verify", "Verified"}, {"insecure", "Not verified"}}}},
	{"routeTls.serverName", optionText{group: "protocol", label: "Name in the certificates", how: "Empty is the host of the route.", kind: "text", only: "only-tls"}},
	{"routeTls.ca", optionText{group: "protocol", label: "Authority", how: "Certificates in PEM to trust. Empty is what the server’s system trusts.", kind: "area", only: "only-tls"}},
	{"routeTls.certificate", optionText{group: "protocol", label: "Certificate", how: "Shown to routes that ask for one, PEM. Empty shows none.", kind: "area", only: "only-tls"}},
	{"routeTls.key", optionText{group: "protocol", label: "Private key", how: "Of that certificate, PEM. It is stored sealed and never shown: empty keeps the one that is there.", kind: "area", only: "only-tls"}},
}

// StrategyTexts say what each strategy is for, by its number.
var StrategyTexts = [...]string{
	"One route after the other. Right for short connections.",
	"The route with the fewest connections. Right for long sessions such as databases.",
	"One after the other, each as often as its weight says.",
	"The less busy of two routes drawn by chance. Right when several balancers share the routes.",
	"By chance, as often as the weights say.",
	"The same client address finds the same route.",
	"The same certificate finds the same route.",
}

func defaultText(o Option, t optionText) string {
	value := o.Default
	for _, c := range t.choices {
		if c.value == o.Default {
			value = c.name
		}
	}
	if value == "" {
		value = "empty"
	}
	if o.Value != o.Default {
		return "Changed from " + o.withUnit(value) + ", the default."
	}
	text := "Default " + o.withUnit(value)
	if t.kind == "number" {
		text += ", from " + grouped(o.Low) + " to " + grouped(o.High)
	}
	return text + "."
}

// grouped sets the digits of a long number apart.
func grouped(digits string) string {
	if n, err := strconv.Atoi(digits); err == nil {
		return count(n)
	}
	return digits
}

func (o Option) withUnit(value string) string {
	switch {
	case value == "0" && o.Zero != "":
		return "0, " + o.Zero
	case o.Unit != "":
		return grouped(value) + " " + o.Unit
	}
	return value
}

// OptionFields are the options that there are words for, with the choices of those that have some.
func OptionFields() map[string][]string {
	all := map[string][]string{}
	for _, o := range optionTexts {
		all[o.field] = nil
		for _, c := range o.choices {
			all[o.field] = append(all[o.field], c.value)
		}
	}
	return all
}

// OptionLabel names an option by its field.
func OptionLabel(field string) string {
	for _, o := range optionTexts {
		if o.field == field {
			return o.label
		}
	}
	return field
}
