package control

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// Options are the settings of a frontend beyond its routes, Check and RouteTLS are parts of them. They
// are kept as they are given, so the record's types serve.
type (
	Options  = store.Options
	Check    = store.Check
	RouteTLS = store.RouteTLS
)

// Values of Check.Kind and RouteTLS.Mode, each with none for the empty text.
const (
	CheckTCP, CheckTLS, CheckSend, CheckHTTP = "tcp", "tls", "send", "http"
	RouteTLSVerify, RouteTLSInsecure         = "verify", "insecure"
)

// EjectEarlyClose is the value of Options.EjectOn by which a route also fails that takes a connection and
// ends it within a second without a byte. With the empty text only connects count.
const EjectEarlyClose = "early-close"

// CheckKinds, RouteTLSModes, EjectOns and RouteStates list what may be chosen.
var (
	CheckKinds    = []string{"", CheckTCP, CheckTLS, CheckSend, CheckHTTP}
	RouteTLSModes = []string{"", RouteTLSVerify, RouteTLSInsecure}
	EjectOns      = []string{"", EjectEarlyClose}
	RouteStates   = []string{"", "drain", "maintenance"}
)

// DefaultOptions are right for most frontends.
func DefaultOptions() Options {
	return Options{
		IdleTimeoutSec: 3600, HalfCloseTimeoutSec: 60, KeepAliveSec: 60, QueueLimit: 1024, DrainTimeoutSec: 300,
		EjectAfter: 5, PanicPercent: 50, Check: DefaultCheck(),
	}
}

// DefaultCheck is what a check has beside its kind.
func DefaultCheck() Check {
	return Check{IntervalSec: 5, TimeoutSec: 2, Rise: 2, Fall: 3, Method: "GET", Path: "/", StatusLow: 200, StatusHigh: 399}
}

const (
	maxRate        = 1_000_000
	maxBytesPerSec = 1 << 40
	day            = 24 * 3600
	maxCheckText   = 1024
	maxCA          = 64 << 10
)

// ranges are the numbers of options with their bounds.
func ranges(o *Options) []struct {
	field     string
	value     int64
	low, high int64
	zero      string
} {
	type r = struct {
		field     string
		value     int64
		low, high int64
		zero      string
	}
	return []r{
		{"maxConnections", int64(o.MaxConnections), 0, maxCapacity, "no bound"},
		{"connectionsPerSec", int64(o.ConnectionsPerSec), 0, maxRate, "no bound"},
		{"bytesPerSec", o.BytesPerSec, 0, maxBytesPerSec, "no bound"},
		{"idleTimeoutSec", int64(o.IdleTimeoutSec), 1, 7 * day, ""},
		{"halfCloseTimeoutSec", int64(o.HalfCloseTimeoutSec), 1, day, ""},
		{"maxLifetimeSec", int64(o.MaxLifetimeSec), 0, 365 * day, "none"},
		{"keepAliveSec", int64(o.KeepAliveSec), 0, 7200, "off"},
		{"queueLimit", int64(o.QueueLimit), 0, 100_000, "no queue"},
		{"drainTimeoutSec", int64(o.DrainTimeoutSec), 0, day, "at once"},
		{"ejectAfter", int64(o.EjectAfter), 0, 1000, "never"},
		{"panicPercent", int64(o.PanicPercent), 0, 100, "never"},
		{"slowStartSec", int64(o.SlowStartSec), 0, 3600, "off"},
		{"proxyProtocol", int64(o.Proxy), 0, 2, "off"},
		{"check.intervalSec", int64(o.Check.IntervalSec), 1, 3600, ""},
		{"check.timeoutSec", int64(o.Check.TimeoutSec), 1, 60, ""},
		{"check.rise", int64(o.Check.Rise), 1, 100, ""},
		{"check.fall", int64(o.Check.Fall), 1, 100, ""},
	}
}

// Bound is the least and the most of an option that is a number.
type Bound struct{ Low, High int64 }

// OptionBounds are the bounds of options, by their fields in the API.
func OptionBounds() map[string]Bound {
	all := map[string]Bound{"check.statusLow": {100, 599}, "check.statusHigh": {100, 599}}
	for _, r := range ranges(&Options{}) {
		all[r.field] = Bound{r.low, r.high}
	}
	return all
}

// checkOptions returns all that is wrong with the options.
func checkOptions(o *Options) (problems []error) {
	for _, r := range ranges(o) {
		if r.value < r.low || r.value > r.high {
			hint := ""
			if r.zero != "" {
				hint = "; 0 is " + r.zero
			}
			problems = append(problems, invalid(r.field, "Use %d to %d%s.", r.low, r.high, hint))
		}
	}
	if !oneOf(EjectOns, o.EjectOn) {
		problems = append(problems, invalid("ejectOn", "Use connect or early-close."))
	}
	return append(append(problems, checkCheck(o.Check)...), checkRouteTLS(&o.RouteTLS)...)
}

func checkCheck(c Check) (problems []error) {
	if !oneOf(CheckKinds, c.Kind) {
		return []error{invalid("check.kind", "Use none, tcp, tls, send or http.")}
	}
	if c.TimeoutSec > c.IntervalSec {
		problems = append(problems, invalid("check.timeoutSec", "Use at most the interval."))
	}
	if len(c.Send) > maxCheckText {
		problems = append(problems, invalid("check.send", "Use at most %d bytes.", maxCheckText))
	}
	if len(c.Expect) > maxCheckText {
		problems = append(problems, invalid("check.expect", "Use at most %d bytes.", maxCheckText))
	}
	if c.Kind == CheckHTTP {
		problems = append(problems, checkHTTP(c)...)
	}
	return problems
}

func checkHTTP(c Check) (problems []error) {
	if !oneOf([]string{"GET", "HEAD", "OPTIONS"}, c.Method) {
		problems = append(problems, invalid("check.method", "Use GET, HEAD or OPTIONS."))
	}
	if !strings.HasPrefix(c.Path, "/") || len(c.Path) > maxCheckText || strings.ContainsFunc(c.Path, notInPath) {
		problems = append(problems, invalid("check.path", "Begin with / and use no spaces, for example /healthz."))
	}
	if len(c.Host) > 255 || strings.ContainsFunc(c.Host, notInPath) {
		problems = append(problems, invalid("check.host", "Use a host name."))
	}
	if c.StatusLow < 100 || c.StatusHigh > 599 || c.StatusLow > c.StatusHigh {
		problems = append(problems, invalid("check.statusLow", "Use a range within 100 to 599, for example 200 to 399."))
	}
	return problems
}

func notInPath(r rune) bool { return r <= ' ' || r >= 0x7f }

func checkRouteTLS(t *RouteTLS) (problems []error) {
	if !oneOf(RouteTLSModes, t.Mode) {
		problems = append(problems, invalid("routeTls.mode", "Use off, verify or insecure."))
	}
	if t.ServerName != "" && !isHostname(t.ServerName) {
		problems = append(problems, invalid("routeTls.serverName", "Use a host name, for example db.internal."))
	}
	if t.CA != "" && (len(t.CA) > maxCA || !x509.NewCertPool().AppendCertsFromPEM([]byte(t.CA))) {
		problems = append(problems, invalid("routeTls.ca", "Use certificates in PEM, at most 64 KB."))
	}
	return problems
}

func oneOf(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// orOff turns 0 = off into the library's negative = off.
func orOff(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// sealedRouteKey is the name under which keys for routes are sealed.
const sealedRouteKey = "route-key"

// checkRouteKey seals a new key, and checks that key and certificate belong together.
func (c *Control) checkRouteKey(spec *FrontendSpec) error {
	t := &spec.Options.RouteTLS
	if t.Certificate == "" {
		if spec.RouteKey != "" {
			return invalid("routeTls.certificate", "Send the certificate of the key too.")
		}
		t.Key = nil
		return nil
	}
	if spec.RouteKey != "" {
		t.Key = c.sealer.seal(sealedRouteKey, []byte(spec.RouteKey))
		spec.RouteKey = ""
	}
	if t.Key == nil {
		return invalid("routeTls.key", "Send the private key of the certificate too, PEM.")
	}
	if len(t.Certificate) > maxCA || len(t.Key) > maxCA || c.routeCertificate(*t) == nil {
		t.Key = nil
		return invalid("routeTls.key", "Certificate and key must be PEM, at most 64 KB, and belong together.")
	}
	return nil
}

// routeCertificate is what XLB shows to routes, nil for nothing.
func (c *Control) routeCertificate(t RouteTLS) *tls.Certificate {
	if t.Certificate == "" {
		return nil
	}
	key, err := c.sealer.open(sealedRouteKey, t.Key)
	if err != nil {
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(t.Certificate), key)
	if err != nil {
		return nil
	}
	return &pair
}

// backendTLS is how the balancer speaks TLS to the routes, nil for not at all.
func (c *Control) backendTLS(t RouteTLS) *lb.BackendTLS {
	if t.Mode == "" {
		return nil
	}
	over := &lb.BackendTLS{ServerName: t.ServerName, InsecureSkipVerify: t.Mode == RouteTLSInsecure, Certificate: c.routeCertificate(t)}
	if t.CA != "" {
		over.RootCAs = x509.NewCertPool()
		over.RootCAs.AppendCertsFromPEM([]byte(t.CA)) // checked when it was saved
	}
	return over
}

// Types of our own fields in a PROXY header of version 2.
const (
	proxyClient   = 0xE5
	proxyFrontend = 0xE6
)

// proxyFields name the owner of a connection to a route that wants to know.
func proxyFields(b *bearer) []lb.TLV {
	if b.frontend.record.Options.Proxy != 2 {
		return nil
	}
	return []lb.TLV{{Type: proxyClient, Value: []byte(b.clientID)}, {Type: proxyFrontend, Value: []byte(b.frontendID)}}
}

// applyTimes writes the times of a frontend's connections into an admission.
func applyTimes(a *lb.Admission, o *Options) {
	a.IdleTimeout, a.CloseTimeout = seconds(o.IdleTimeoutSec), seconds(o.HalfCloseTimeoutSec)
	a.MaxLifetime, a.KeepAlive = seconds(o.MaxLifetimeSec), seconds(orOff(o.KeepAliveSec))
}

// applyLimits brings a frontend's limit up to date.
func applyLimits(l *lb.Limit, o *Options) {
	l.SetMax(o.MaxConnections)
	l.SetRate(o.ConnectionsPerSec)
	l.SetBandwidth(o.BytesPerSec)
}
