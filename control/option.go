package control

import (
	"crypto/x509"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/xdire/xlb/store"
)

// Options are the settings of a frontend beyond its routes, Check and RouteTLS are parts of them. They
// are kept as they are given, so the record's types serve.
type (
	Options  = store.Options
	Check    = store.Check
	RouteTLS = store.RouteTLS
)

const (
	maxRate        = 1_000_000
	maxBytesPerSec = 1 << 40
	day            = 24 * 3600
	maxCheckText   = 1024
	maxCA          = 64 << 10
)

// Option is a row of [OptionTable]: all that is known about one option of a frontend.
type Option struct {
	Field string // in the API; what stands before a dot is an object
	Doc   string // what it does, for programs and documents
	// Default is an int, a bool or a text, as the API has it. Nil is the zero value.
	Default any
	// Low and High are the bounds of a number. High alone bounds the bytes of a text.
	Low, High int64
	Zero      string // what 0 stands for, empty where it is nothing special
	Unit      string // of a number, for people
	Choices   []string
	Nothing   string // the choice that is stored as the empty text
	// ReadOnly options are told, WriteOnly ones are taken and never told again.
	ReadOnly, WriteOnly bool
	For                 string // the kind of check that the bounds and choices are about, empty: always

	at   func(*FrontendSpec) any // a pointer to an int, an int64, a bool or a string
	rule func(*Options) string   // what is wrong with it; empty: the bounds and choices decide
}

// OptionTable has a row for each option, in the order of the API. Whatever shows, takes or checks options walks
// it: JSON, its schema, the form of the settings and the tables of the documents.
var OptionTable = []Option{
	{
		Field: "maxConnections", Doc: "Most connections at once", High: MaxCapacity, Zero: "no bound", Unit: "connections",
		at: func(s *FrontendSpec) any { return &s.Options.MaxConnections },
	},
	{
		Field: "connectionsPerSec", Doc: "Most new connections in a second", High: maxRate, Zero: "no bound", Unit: "per second",
		at: func(s *FrontendSpec) any { return &s.Options.ConnectionsPerSec },
	},
	{
		Field: "bytesPerSec", Doc: "Most bytes in a second, both directions together", High: maxBytesPerSec, Zero: "no bound", Unit: "bytes/s",
		at: func(s *FrontendSpec) any { return &s.Options.BytesPerSec },
	},
	{
		Field: "idleTimeoutSec", Doc: "A connection without a byte for so long is closed", Default: 3600, Low: 1, High: 7 * day, Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.IdleTimeoutSec },
	},
	{
		Field: "halfCloseTimeoutSec", Doc: "The same once one side has ended its direction", Default: 60, Low: 1, High: day, Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.HalfCloseTimeoutSec },
	},
	{
		Field: "maxLifetimeSec", Doc: "A connection lives for so long at most", High: 365 * day, Zero: "for ever", Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.MaxLifetimeSec },
	},
	{
		Field: "keepAliveSec", Doc: "TCP keep-alive to both sides after so long", Default: 60, High: 7200, Zero: "off", Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.KeepAliveSec },
	},
	{
		Field: "tcpUserTimeoutSec", Doc: "A side that has not acknowledged what was sent to it for so long is given up (RFC 5482)", High: day, Zero: "the system's", Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.TCPUserTimeoutSec },
	},
	{
		Field: "queueLimit", Doc: "Most connections that wait while all routes are full", Default: 1024, High: 100_000, Zero: "no queue", Unit: "connections",
		at: func(s *FrontendSpec) any { return &s.Options.QueueLimit },
	},
	{
		Field: "drainTimeoutSec", Doc: "Connections to a route that is removed or drained have so long to end", Default: 300, High: day, Zero: "at once", Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.DrainTimeoutSec },
	},
	{
		Field: "ejectAfter", Doc: "Failures in a row after which a route rests for a while", Default: 5, High: 1000, Zero: "never", Unit: "failures",
		at: func(s *FrontendSpec) any { return &s.Options.EjectAfter },
	},
	{
		Field: "ejectOn", Doc: "What counts as a failure: connect, or early-close: failed connects, and connections that the route ended within a second without a byte",
		Default: "connect", Choices: []string{"connect", store.EjectEarlyClose}, Nothing: "connect",
		at: func(s *FrontendSpec) any { return &s.Options.EjectOn },
	},
	{
		Field: "panicPercent", Doc: "With fewer healthy routes than that, health is ignored", Default: 50, High: 100, Zero: "never", Unit: "percent",
		at: func(s *FrontendSpec) any { return &s.Options.PanicPercent },
	},
	{
		Field: "slowStartSec", Doc: "A route that comes back gets its full share after so long", High: 3600, Zero: "off", Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.SlowStartSec },
	},
	{
		Field: "closeOnDown", Doc: "Close the connections of a route that a check finds down", Default: false,
		at: func(s *FrontendSpec) any { return &s.Options.CloseOnDown },
	},
	{
		Field: "proxyProtocol", Doc: "Version of the PROXY header that routes get, 1 or 2", High: 2, Zero: "off",
		at: func(s *FrontendSpec) any { return &s.Options.Proxy },
	},
	{
		Field: "routeTls.mode", Doc: "off, verify or insecure", Default: "off", Choices: []string{"off", store.RouteTLSVerify, store.RouteTLSInsecure}, Nothing: "off",
		at: func(s *FrontendSpec) any { return &s.Options.RouteTLS.Mode },
	},
	{
		Field: "routeTls.serverName", Doc: "The name in the routes' certificates. Default: the host of the route",
		at: func(s *FrontendSpec) any { return &s.Options.RouteTLS.ServerName }, rule: ruleServerName,
	},
	{
		Field: "routeTls.ca", Doc: "Whom to trust, PEM. Default: what the system trusts", High: maxCA,
		at: func(s *FrontendSpec) any { return &s.Options.RouteTLS.CA }, rule: ruleRouteCA,
	},
	{
		Field: "routeTls.certificate", Doc: "Shown to routes that ask for one, PEM. Default: none", High: maxCA,
		at: func(s *FrontendSpec) any { return &s.Options.RouteTLS.Certificate },
	},
	{
		Field: "routeTls.key", Doc: "Its private key, PEM. It is stored sealed and never returned; absent keeps the one that is there", High: maxCA, WriteOnly: true,
		at: func(s *FrontendSpec) any { return &s.RouteKey },
	},
	{
		Field: "routeTls.hasKey", Doc: "Whether there is a private key for the certificate", Default: false, ReadOnly: true,
		at: func(s *FrontendSpec) any { has := s.Options.RouteTLS.Key != nil; return &has },
	},
	{
		Field: "check.kind", Doc: "none, tcp, tls, send or http", Default: "none", Choices: []string{"none", store.CheckTCP, store.CheckTLS, store.CheckSend, store.CheckHTTP}, Nothing: "none",
		at: func(s *FrontendSpec) any { return &s.Options.Check.Kind },
	},
	{
		Field: "check.intervalSec", Doc: "From one check of a route to the next", Default: 5, Low: 1, High: 3600, Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.Check.IntervalSec },
	},
	{
		Field: "check.timeoutSec", Doc: "Of one check, at most the interval", Default: 2, Low: 1, High: 60, Unit: "seconds",
		at: func(s *FrontendSpec) any { return &s.Options.Check.TimeoutSec }, rule: ruleCheckTimeout,
	},
	{
		Field: "check.rise", Doc: "Checks in a row that must pass until a route is up again", Default: 2, Low: 1, High: 100, Unit: "checks",
		at: func(s *FrontendSpec) any { return &s.Options.Check.Rise },
	},
	{
		Field: "check.fall", Doc: "Checks in a row that must fail until a route is down", Default: 3, Low: 1, High: 100, Unit: "checks",
		at: func(s *FrontendSpec) any { return &s.Options.Check.Fall },
	},
	{
		Field: "check.send", Doc: "send: what goes out first", High: maxCheckText,
		at: func(s *FrontendSpec) any { return &s.Options.Check.Send },
	},
	{
		Field: "check.expect", Doc: "send: what has to be in the answer", High: maxCheckText,
		at: func(s *FrontendSpec) any { return &s.Options.Check.Expect },
	},
	{
		Field: "check.method", Doc: "http: GET, HEAD or OPTIONS", Default: "GET", Choices: []string{"GET", "HEAD", "OPTIONS"}, For: store.CheckHTTP,
		at: func(s *FrontendSpec) any { return &s.Options.Check.Method },
	},
	{
		Field: "check.path", Doc: "http: the path that is asked for", Default: "/", High: maxCheckText, For: store.CheckHTTP,
		at: func(s *FrontendSpec) any { return &s.Options.Check.Path }, rule: ruleCheckPath,
	},
	{
		Field: "check.host", Doc: "http: the Host header. Default: the route", High: 255, For: store.CheckHTTP,
		at: func(s *FrontendSpec) any { return &s.Options.Check.Host }, rule: ruleCheckHost,
	},
	{
		Field: "check.statusLow", Doc: "http: lowest good status", Default: 200, Low: 100, High: 599, For: store.CheckHTTP,
		at: func(s *FrontendSpec) any { return &s.Options.Check.StatusLow }, rule: ruleCheckStatus,
	},
	{
		Field: "check.statusHigh", Doc: "http: highest good status", Default: 399, Low: 100, High: 599, For: store.CheckHTTP,
		at: func(s *FrontendSpec) any { return &s.Options.Check.StatusHigh },
	},
}

// Value is the option as the API has it: an int64, a bool or a text.
func (o Option) Value(s *FrontendSpec) any {
	switch p := o.at(s).(type) {
	case *int:
		return int64(*p)
	case *int64:
		return *p
	case *string:
		return ToldChoice(*p, o.Nothing)
	default:
		return *p.(*bool)
	}
}

// Set changes the option to an int, an int64, a bool or a text, whichever its value is; nil is the default. It
// takes values that are not valid: the rules refuse them when the frontend is saved.
func (o Option) Set(s *FrontendSpec, value any) {
	if value == nil {
		value = o.Default
	}
	switch p := o.at(s).(type) {
	case *int:
		*p = int(min(max(whole(value), math.MinInt), math.MaxInt))
	case *int64:
		*p = whole(value)
	case *bool:
		*p, _ = value.(bool)
	case *string:
		*p, _ = value.(string)
		if o.Nothing != "" {
			*p = StoredChoice(*p, o.Nothing)
		}
	}
}

func whole(value any) int64 {
	switch n := value.(type) {
	case int64:
		return n
	case int:
		return int64(n)
	}
	return 0
}

// notAChoice stands for the empty text where it is none of the choices, because it is how one of them is stored.
const notAChoice = "?"

// StoredChoice is a choice of the API as it is stored, where nothing is the one that is stored as the empty text.
func StoredChoice(text, nothing string) string {
	switch text {
	case nothing:
		return ""
	case "":
		return notAChoice
	}
	return text
}

// ToldChoice is a stored choice as the API has it.
func ToldChoice(stored, nothing string) string {
	if stored == "" {
		return nothing
	}
	return stored
}

// DefaultOptions are right for most frontends.
func DefaultOptions() Options { return defaultSpec.Options }

var defaultSpec = func() (s FrontendSpec) {
	for _, o := range OptionTable {
		o.Set(&s, nil)
	}
	return s
}()

// checkOptions returns all that is wrong with the options.
func checkOptions(s *FrontendSpec) (problems []error) {
	for _, o := range OptionTable {
		if o.For != "" && o.For != s.Options.Check.Kind {
			continue
		}
		if message := o.wrong(s); message != "" {
			problems = append(problems, &Error{Kind: KindInvalid, Field: o.Field, Message: message})
		}
	}
	return problems
}

// wrong is what is wrong with the option, empty for nothing.
func (o Option) wrong(s *FrontendSpec) string {
	if o.rule != nil {
		if message := o.rule(&s.Options); message != "" {
			return message
		}
	}
	switch value := o.Value(s).(type) {
	case int64:
		if value >= o.Low && value <= o.High {
			return ""
		}
		if o.Zero != "" {
			return fmt.Sprintf("Use %d to %d; 0 is %s.", o.Low, o.High, o.Zero)
		}
		return fmt.Sprintf("Use %d to %d.", o.Low, o.High)
	case string:
		if len(o.Choices) > 0 && !slices.Contains(o.Choices, value) {
			last := len(o.Choices) - 1
			return "Use " + strings.Join(o.Choices[:last], ", ") + " or " + o.Choices[last] + "."
		}
		if o.High > 0 && int64(len(value)) > o.High {
			return fmt.Sprintf("Use at most %d bytes.", o.High)
		}
	}
	return ""
}

func ruleServerName(o *Options) string {
	if o.RouteTLS.ServerName != "" && !isHostname(o.RouteTLS.ServerName) {
		return "Use a host name, for example db.internal."
	}
	return ""
}

func ruleRouteCA(o *Options) string {
	ca := o.RouteTLS.CA
	if ca != "" && (len(ca) > maxCA || !x509.NewCertPool().AppendCertsFromPEM([]byte(ca))) {
		return "Use certificates in PEM, at most 64 KB."
	}
	return ""
}

func ruleCheckTimeout(o *Options) string {
	if o.Check.TimeoutSec > o.Check.IntervalSec {
		return "Use at most the interval."
	}
	return ""
}

func ruleCheckPath(o *Options) string {
	path := o.Check.Path
	if !strings.HasPrefix(path, "/") || len(path) > maxCheckText || strings.ContainsFunc(path, notInPath) {
		return "Begin with / and use no spaces, for example /healthz."
	}
	return ""
}

func ruleCheckHost(o *Options) string {
	if len(o.Check.Host) > 255 || strings.ContainsFunc(o.Check.Host, notInPath) {
		return "Use a host name."
	}
	return ""
}

func ruleCheckStatus(o *Options) string {
	if o.Check.StatusLow < 100 || o.Check.StatusHigh > 599 || o.Check.StatusLow > o.Check.StatusHigh {
		return "Use a range within 100 to 599, for example 200 to 399."
	}
	return ""
}

func notInPath(r rune) bool { return r <= ' ' || r >= 0x7f }
