package control

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"time"

	"github.com/xdire/xlb/control/live"
)

// Actor is who asks. The zero value is nobody: it may sign up and authenticate.
type Actor struct {
	// ClientID is the client that is logged in, empty for nobody.
	ClientID string
	// Admin is set for the administrator.
	Admin bool
	// Operator is set for who asks through the socket in the data directory: somebody who runs the server. It administers,
	// and has no client.
	Operator bool
	// Via says how: "api", "page", "certificate" or "command".
	Via string
	// Local is set for a request that somebody on this machine sent, as far as one can tell.
	Local bool
	// Address is where the request comes from.
	Address netip.Addr
	// Certificate is what the connection was made with. The handshake has shown that the other side has its
	// key, and nothing else is checked yet. Nil for most.
	Certificate *x509.Certificate
	// Session is the hash of the id of the session that it came with, empty when it came with none.
	Session string
	// Token is the id of the token that it came with, empty when it came with none.
	Token string
	// APIKey is the id of the API key that it came with, empty when it came with none. Scope and Frontends are what that
	// key is good for.
	APIKey, Scope string
	Frontends     []string
	// RequestID joins this request's log lines.
	RequestID string

	token token // that it came with, as far as it has to be looked at again
}

// IsKnown tells that somebody is logged in, or administers through the socket.
func (a Actor) IsKnown() bool { return a.ClientID != "" || a.Operator }

// OperatorID stands for who administers through the socket, in audit records.
const OperatorID = "operator"

// chain is the audit chain that an actor's acts are written to, empty for strangers.
func (a Actor) chain() string {
	if a.Operator {
		return OperatorID
	}
	return a.ClientID
}

// As is who asks once it is known: what came with the request stays, and who it is comes from the credential.
func (a Actor) As(who Actor) Actor {
	who.Via = a.Via
	who.Local = a.Local
	who.Address = a.Address
	who.Certificate = a.Certificate
	who.RequestID = a.RequestID
	return who
}

type actorKey struct{}

// WithActor returns a context that carries who asks.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom is who asks; nobody when the context carries no actor.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// action names an operation, in the log and in the table of who may.
type action string

const (
	actClientCreate       action = "client.create"
	actClientAuth         action = "client.authenticate"
	actClientRead         action = "client.read"
	actClientUpdate       action = "client.update"
	actClientDelete       action = "client.delete"
	actClientRotate       action = "client.rotate-key"
	actTokenRevoke        action = "token.revoke"
	actKeyCreate          action = "api-key.create"
	actKeyRead            action = "api-key.read"
	actKeyRevoke          action = "api-key.revoke"
	actSessionCreate      action = "session.create"
	actSessionEnd         action = "session.end"
	actSessionRead        action = "session.read"
	actEventRead          action = "event.read"
	actImport             action = "frontend.import"
	actFrontendCreate     action = "frontend.create"
	actFrontendRead       action = "frontend.read"
	actFrontendUpdate     action = "frontend.update"
	actFrontendRestore    action = "frontend.restore"
	actFrontendDelete     action = "frontend.delete"
	actFrontendTest       action = "frontend.test"
	actRouteCheck         action = "route.check"
	actCertificateIssue   action = "certificate.issue"
	actCertificateRenew   action = "certificate.renew"
	actCertificateRead    action = "certificate.read"
	actCertificateRevoke  action = "certificate.revoke"
	actConnectionActivity action = "connection.read"
	actConnectionList     action = "connection.list"
	actConnectionClose    action = "connection.close"

	actAuditRead action = "audit.read"

	actAdminRead    action = "admin.read"
	actAdminDisable action = "admin.disable-client"
	actAdminDelete  action = "admin.delete-client"
	actAdminReset   action = "admin.reset-key"
	actAdminInvite  action = "admin.invite"
	actAdminLimits  action = "admin.set-limits"
	actAdminMake    action = "admin.set-administrator"
	actAdminEnd     action = "admin.end-sessions"
	actBackup       action = "admin.backup"

	actAuthorityAdd    action = "admin.add-authority"
	actAuthorityUse    action = "admin.use-authority"
	actAuthorityRetire action = "admin.retire-authority"
	actAuthorityTrust  action = "admin.trust-authority"
	actAuthorityRemove action = "admin.remove-authority"
)

// administers lists what only the administrator may do.
var administers = map[action]bool{actAdminRead: true, actAdminDisable: true, actAdminDelete: true, actAdminReset: true, actAdminInvite: true, actAdminLimits: true, actAdminMake: true, actAdminEnd: true, actBackup: true,
	actAuthorityAdd: true, actAuthorityUse: true, actAuthorityRetire: true, actAuthorityTrust: true, actAuthorityRemove: true}

// operates lists what no log-in may do, an administrator's neither: only who runs the server, through its socket.
var operates = map[action]bool{actBackup: true}

// openToStrangers lists what nobody in particular may do; everything else needs a client.
var openToStrangers = map[action]bool{actClientCreate: true, actClientAuth: true, actSessionCreate: true}

// readsOnly lists what changes nothing and is therefore not logged. A log-in has lines of its own.
var readsOnly = map[action]bool{
	actClientRead: true, actClientAuth: true, actAdminRead: true, actFrontendRead: true, actCertificateRead: true,
	actRouteCheck: true, actFrontendTest: true, actConnectionActivity: true, actConnectionList: true, actAuditRead: true, actKeyRead: true, actSessionRead: true, actEventRead: true, actImport: true, // whose steps are operations
}

// may decides whether the actor in ctx may do act to object, and says so in the log. Every operation
// asks it before anything else. Objects of others are not its business: they are looked up under the
// actor's own client, so another client's object is simply not there.
//
// The context that it returns carries what the changes of the operation write to the audit chain, and is the one to go
// on with.
func (c *Control) may(ctx context.Context, act action, object string) (context.Context, Actor, error) {
	a := ActorFrom(ctx)
	if err := c.permitted(a, act, object); err != nil {
		c.logAct(ctx, "refused", a, act, object)
		c.noteRefused(ctx, a, act, object, err)
		return ctx, a, err
	}
	if readsOnly[act] {
		return ctx, a, nil
	}
	c.logAct(ctx, "operation", a, act, object)
	if a.chain() != "" {
		ctx = c.audited(ctx, a, act, object)
	}
	return ctx, a, nil
}

// lineKind is what lines of the log are counted by, so that one client, or all strangers, can write only so many.
type lineKind struct {
	message string
	act     action
	client  string // empty for strangers
}

// logAct writes a line about an act, unless there are too many of its kind in this second.
func (c *Control) logAct(ctx context.Context, message string, a Actor, act action, object string) {
	if c.lines.Allow(lineKind{message, act, a.ClientID}, c.cfg.Now()) {
		c.log.LogAttrs(ctx, slog.LevelInfo, message, c.auditAttrs(a, act, object)...)
	}
}

// countLines writes how many lines were left out.
func (c *Control) countLines(ctx context.Context) error {
	return live.Every(ctx, time.Second, func() {
		for kind, n := range c.lines.Skipped() {
			c.log.LogAttrs(ctx, slog.LevelInfo, "lines left out", slog.String("of", kind.message), slog.String("action", string(kind.act)),
				slog.String("client", kind.client), slog.Int("count", n))
		}
		c.live.CountLines(ctx)
		c.refusals.Skipped() // their lines in the log are counted already
	})
}

var errDisabled = &Error{Kind: KindForbidden, Message: "This client is disabled. Ask the administrator."}

func (c *Control) permitted(a Actor, act action, object string) error {
	if openToStrangers[act] {
		return nil
	}
	if a.Operator {
		if !administers[act] {
			return &Error{Kind: KindForbidden, Message: "Through the socket one administers, and nothing else."}
		}
		return nil
	}
	if a.ClientID == "" {
		return &Error{Kind: KindUnauthenticated, Message: "Log in first."}
	}
	admin, known := c.clientNow(a.ClientID)
	if !known {
		return errDisabled
	}
	if operates[act] {
		return &Error{Kind: KindForbidden, Message: "Only who runs the server may do that, with xlb on its machine."}
	}
	if administers[act] && !admin {
		return &Error{Kind: KindForbidden, Message: "Only the administrator may do that."}
	}
	return inScope(a, act, object)
}

func (c *Control) auditAttrs(a Actor, act action, object string) []slog.Attr {
	attrs := []slog.Attr{slog.String("action", string(act))}
	for _, pair := range [][2]string{{"client", a.ClientID}, {"object", object}, {"via", a.Via}, {"request", a.RequestID}} {
		if pair[1] != "" {
			attrs = append(attrs, slog.String(pair[0], pair[1]))
		}
	}
	if a.Address.IsValid() {
		attrs = append(attrs, slog.String("address", a.Address.String()))
	}
	return attrs
}
