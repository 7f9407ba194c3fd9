package lb

import (
	"errors"
	"slices"

	"github.com/xdire/xlb/lb/health"
)

// Reason says why a connection was refused or ended, in a word that is fit for logs and metrics. The balancer's own
// list is closed; a program adds its own with a [Refusal] of Admit and with Drop.
type Reason string

// Why a handshake or an admission failed.
const (
	ReasonNoProxy        Reason = "no-proxy"        // a connection from Config.ProxyFrom did not begin with a PROXY header
	ReasonNotTLS         Reason = "not-tls"         // the first bytes are no TLS record
	ReasonOldTLS         Reason = "old-tls"         // the client does not offer a version we speak
	ReasonNoCert         Reason = "no-cert"         // no client certificate
	ReasonKeyMismatch    Reason = "key-mismatch"    // the client could not prove that it holds the key
	ReasonUntrusted      Reason = "untrusted"       // the client does not trust the server's certificate
	ReasonSilent         Reason = "silent"          // nothing, or not all, came before the deadline
	ReasonHungUp         Reason = "hung-up"         // the client left during the handshake
	ReasonExpired        Reason = "expired"         // the certificate has expired, before or while connected
	ReasonConnLimit      Reason = "conn-limit"      // too many connections at once
	ReasonRateLimit      Reason = "rate-limit"      // too many connections in one second
	ReasonServerLimit    Reason = "server-limit"    // the server has all connections that it may, of this group or at all
	ReasonHandshakeLimit Reason = "handshake-limit" // too many handshakes at once, most of them from the same source
)

// Why an admitted connection got no backend, or none that spoke.
const (
	ReasonBackendRefused Reason = "route-refused" // nothing listens there
	ReasonBackendTimeout Reason = "route-timeout" // no answer in time, or no way there
	ReasonBackendDNS     Reason = "route-dns"     // the name has no address
	ReasonBackendPolicy  Reason = "route-policy"  // Dialer.Allow refused every address
	ReasonBackendTLS     Reason = "route-tls"     // TLS to the backend failed
	ReasonBackendClosed  Reason = "route-closed"  // the backend closed without sending a byte
	ReasonBackendAnswer  Reason = "route-answer"  // of a check: the backend answered something else than was wanted
	ReasonNoBackend      Reason = "no-route"      // the pool has no backend to try
	ReasonAllFull        Reason = "all-full"      // every backend stayed full, or the queue was
)

// Why a stream ended.
const (
	ReasonDone         Reason = "done"         // both sides closed in order
	ReasonClientEOF    Reason = "client-eof"   // the client's TCP stream ended without close_notify
	ReasonClientReset  Reason = "client-reset" // the client reset the connection
	ReasonBackendReset Reason = "route-reset"  // the backend reset the connection
	ReasonIdle         Reason = "idle"         // nothing moved for the idle or close timeout
	ReasonLifetime     Reason = "lifetime"     // it has lived as long as it may
	ReasonKilled       Reason = "killed"       // closed by an operator, or its backend was removed
	ReasonShutdown     Reason = "shutdown"     // the server stops
	ReasonInternal     Reason = "internal"     // this machine's fault: out of file descriptors or ports
)

var reasons = []Reason{
	ReasonNoProxy, ReasonNotTLS, ReasonOldTLS, ReasonNoCert, ReasonKeyMismatch, ReasonUntrusted, ReasonSilent,
	ReasonHungUp, ReasonExpired, ReasonConnLimit, ReasonRateLimit, ReasonServerLimit, ReasonHandshakeLimit, ReasonBackendRefused, ReasonBackendTimeout,
	ReasonBackendDNS, ReasonBackendPolicy, ReasonBackendTLS, ReasonBackendClosed, ReasonBackendAnswer, ReasonNoBackend,
	ReasonAllFull, ReasonDone, ReasonClientEOF, ReasonClientReset, ReasonBackendReset, ReasonIdle, ReasonLifetime,
	ReasonKilled, ReasonShutdown, ReasonInternal,
}

// Reasons returns the closed list of the balancer itself, in no order that means anything. The caller owns it.
func Reasons() []Reason { return slices.Clone(reasons) }

// Refusal is an error with a reason. Admit returns one to say why a connection may not enter.
type Refusal struct {
	Reason Reason
	Detail string // for people, optional
	Err    error  // the cause, optional
}

// Error implements error.
func (r *Refusal) Error() string {
	text := string(r.Reason)
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// ReasonOf tells what an error of this package stands for, ReasonInternal when it stands for nothing else.
func ReasonOf(err error) Reason {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return dialReason(err)
}

// dialReason reads an error of a connect or a look-up.
func dialReason(err error) Reason { return Reason(health.ReasonOf(err)) }

// HealthReason is what a check says that was refused so: its words are the same.
func (r *Refusal) HealthReason() health.Reason { return health.Reason(r.Reason) }
