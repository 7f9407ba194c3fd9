package control

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/store"
)

// Audit is one record of who did what to a client's things, or tried to.
type Audit struct {
	Seq        uint64
	At         time.Time
	Actor      string // the client that did it: the own one, or an administrator; OperatorID through the socket
	Credential string // with what, such as "session 1f0c9a3e77b2"
	Via        string // api, page or certificate
	Address    string
	RequestID  string
	Action     string
	Object     string
	Outcome    string // done or refused
	Reason     string // of a refusal
	Changes    []AuditChange
	Revision   uint64 // of the store
	Hash       string
}

// AuditChange is what became of one thing: the fields that are different, as the API names them. Secrets are only said
// to have changed.
type AuditChange struct {
	Kind, ID      string
	Before, After map[string]json.RawMessage
}

// AuditQuery selects records. The zero value selects the newest.
type AuditQuery struct {
	// Before is the number of the record to go on before. Zero: from the newest.
	Before uint64
	// Limit is 1 to MaxAudits. Zero: 100.
	Limit int
	// Action, Outcome and Object are what the record has to say. An action may be a part up to a dot, such as
	// "frontend", or several with commas between. Empty: anything.
	Action, Outcome, Object string
	// Text is a part of anything that people look for: action, object, address, credential, request or reason.
	Text string
	// From and Until bound the time, until the moment itself. Zero: not.
	From, Until time.Time
}

// MaxAudits is the longest list of records.
const MaxAudits = 1000

const (
	// maxReason bounds the words of a refusal in a record: a body may be wrong in a thousand places.
	maxReason = 500
	// maxObject bounds the name of an object, which may be anything that somebody typed into a path.
	maxObject = 200
)

// auditScan bounds how many records one question looks at: a filter that fits nothing would read years.
const auditScan = 20_000

// AuditList is a part of a chain, newest first.
type AuditList struct {
	Items []Audit
	Next  uint64 // for Before; zero: this is the end
}

// AuditCheck is what came of following a chain.
type AuditCheck struct {
	Records     int
	First, Last uint64 // zero without any
	Broken      uint64 // the first record that does not fit; zero: all do
}

// audited makes the changes of an operation write a record, in the same transaction, to the actor's chain and to those
// of others whom it concerns.
func (c *Control) audited(ctx context.Context, a Actor, act action, object string, others ...string) context.Context {
	entry := c.auditEntry(a, act, object, store.AuditDone)
	entries := []store.Audit{entry}
	for _, other := range others {
		if other != "" && other != a.chain() {
			entry.ClientID = other
			entries = append(entries, entry)
		}
	}
	return store.WithAudit(ctx, entries...)
}

func (c *Control) auditEntry(a Actor, act action, object, outcome string) store.Audit {
	address := ""
	if a.Address.IsValid() {
		address = a.Address.String()
	}
	return store.Audit{
		At: c.cfg.Now().UTC(), ClientID: a.chain(), ActorID: a.chain(), Credential: a.credential(), Via: a.Via, Address: address,
		RequestID: a.RequestID, Action: string(act), Object: clip(object, maxObject), Outcome: outcome,
	}
}

// credential is what an actor has shown, as far as a record may tell it.
func (a Actor) credential() string {
	switch {
	case a.Session != "":
		return "session " + a.Session[:min(12, len(a.Session))]
	case a.APIKey != "":
		return "key " + a.APIKey
	case a.Token != "":
		return "token " + a.Token
	case a.Via == "certificate":
		return "certificate"
	}
	return ""
}

// noteClosed writes a record of connections that were closed, which changes nothing in the store. They are closed by
// then, so a failure is logged only.
func (c *Control) noteClosed(ctx context.Context, a Actor, object string, closed int) {
	entry := c.auditEntry(a, actConnectionClose, object, store.AuditDone)
	entry.Reason = strconv.Itoa(closed) + " closed"
	c.putAudit(ctx, entry)
}

// noteRefused writes a record of what a known client was refused. It is bounded like lines of the log, because it costs a
// write, and a failure is logged only: it stopped nothing.
func (c *Control) noteRefused(ctx context.Context, a Actor, act action, object string, refusal error) {
	if a.chain() == "" || !c.refusals.Allow(lineKind{"refused", act, a.chain()}, c.cfg.Now()) {
		return
	}
	entry := c.auditEntry(a, act, object, store.AuditRefused)
	var why *Error
	if errors.As(refusal, &why) {
		entry.Reason = why.Message
	}
	c.putAudit(ctx, entry)
}

// noteFailed writes a record of an operation that a known client may do, and that was refused nevertheless: a wrong value, a
// limit, somebody else's object, a state that has changed. Each operation that changes something defers it, with the
// context of [Control.may]. Failures of ours are no refusals, and have lines in the log.
func (c *Control) noteFailed(ctx context.Context, failed *error) {
	entry, known := store.AuditOf(ctx)
	if *failed == nil || !known {
		return
	}
	var reasons []string
	for _, one := range Problems(*failed) {
		if one.Kind == KindInternal || one.Kind == KindUnavailable {
			return
		}
		reason := one.Message
		if one.Field != "" {
			reason = one.Field + ": " + reason
		}
		reasons = append(reasons, reason)
	}
	if len(reasons) == 0 || !c.refusals.Allow(lineKind{"refused", action(entry.Action), entry.ClientID}, c.cfg.Now()) {
		return
	}
	entry.Outcome = store.AuditRefused
	entry.Reason = clip(strings.Join(reasons, " "), maxReason)
	c.putAudit(ctx, entry)
}

func (c *Control) putAudit(ctx context.Context, entry store.Audit) {
	if err := c.store.PutAudit(store.Urgent(ctx), entry); err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "an audit record is missing", slog.String("client", entry.ClientID),
			slog.String("action", entry.Action), slog.String("outcome", entry.Outcome), slog.Any("error", err))
	}
}

// Audits lists records of the actor's client, newest first.
func (c *Control) Audits(ctx context.Context, q AuditQuery) (AuditList, error) {
	ctx, a, err := c.may(ctx, actAuditRead, "")
	if err != nil {
		return AuditList{}, err
	}
	return c.auditsOf(ctx, a.ClientID, q)
}

// OperatorAudits lists records of what was done through the socket, newest first. For the administrator.
func (c *Control) OperatorAudits(ctx context.Context, q AuditQuery) (AuditList, error) {
	ctx, _, err := c.may(ctx, actAdminRead, "")
	if err != nil {
		return AuditList{}, err
	}
	return c.auditsOf(ctx, OperatorID, q)
}

func (c *Control) auditsOf(ctx context.Context, chain string, q AuditQuery) (AuditList, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > MaxAudits {
		return AuditList{}, invalid("limit", "Use 1 to %d.", MaxAudits)
	}
	if q.Outcome != "" && q.Outcome != store.AuditDone && q.Outcome != store.AuditRefused {
		return AuditList{}, invalid("outcome", "Use %s or %s.", store.AuditDone, store.AuditRefused)
	}
	records, last, err := c.store.Audits(ctx, chain, q.Before, q.Limit, auditScan, q.wants)
	if err != nil {
		return AuditList{}, fromStore(err, "client")
	}
	list := AuditList{Items: make([]Audit, 0, len(records)), Next: last}
	for _, r := range records {
		list.Items = append(list.Items, auditOf(r))
	}
	return list, nil
}

func (q AuditQuery) wants(r store.Audit) bool {
	return (q.Action == "" || q.hasAction(r.Action)) && (q.Text == "" || q.hasText(r)) &&
		(q.Outcome == "" || r.Outcome == q.Outcome) &&
		(q.Object == "" || strings.Contains(r.Object, q.Object) || changesObject(r, q.Object)) &&
		(q.From.IsZero() || !r.At.Before(q.From)) && (q.Until.IsZero() || r.At.Before(q.Until))
}

func (q AuditQuery) hasAction(action string) bool {
	for one := range strings.SplitSeq(q.Action, ",") {
		if action == one || strings.HasPrefix(action, one+".") {
			return true
		}
	}
	return false
}

func (q AuditQuery) hasText(r store.Audit) bool {
	text := strings.ToLower(q.Text)
	for _, part := range []string{r.Action, r.Object, r.Address, r.Credential, r.RequestID, r.Reason} {
		if strings.Contains(strings.ToLower(part), text) {
			return true
		}
	}
	for _, change := range r.Changes {
		for _, fields := range []map[string]json.RawMessage{change.Before, change.After} {
			if strings.Contains(strings.ToLower(string(fields["name"])), text) {
				return true
			}
		}
	}
	return changesObject(r, q.Text)
}

func changesObject(r store.Audit, id string) bool {
	for _, change := range r.Changes {
		if strings.Contains(change.ID, id) {
			return true
		}
	}
	return false
}

func auditOf(r store.Audit) Audit {
	a := Audit{
		Seq: r.Seq, At: r.At, Actor: r.ActorID, Credential: r.Credential, Via: r.Via, Address: r.Address, RequestID: r.RequestID,
		Action: r.Action, Object: r.Object, Outcome: r.Outcome, Reason: r.Reason, Revision: r.Revision, Hash: r.Hash,
	}
	for _, change := range r.Changes {
		a.Changes = append(a.Changes, AuditChange{
			Kind: change.Kind, ID: change.ID, Before: inAPINames(change.Before), After: inAPINames(change.After),
		})
	}
	return a
}

// apiNames are the names of fields in the API, by those in the store, which are the same in lower case.
var apiNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"uuid", "name", "active", "strategy", "routeTimeoutSec", "routes", "clientId", "accessKey", "createdAt", "firstByteAt", "drainUntil",
		"serial", "frontendId", "fingerprint", "keyType", "notBefore", "notAfter", "issuedAt", "revokedAt", "deletedAt", "expiresAt",
		"disabled", "admin", "limits", "unusedUntil", "oldKeyUntil", "tokensFrom", "sessionsFrom", "renews", "endedTokens", "keyAt",
	} {
		names[strings.ToLower(name)] = name
	}
	for _, o := range OptionTable {
		names["options."+strings.ToLower(o.Field)] = o.Field
	}
	names["options.proxy"] = "proxyProtocol"
	names["options.routetls.key"] = "routeTls.key"
	names["keyhash"] = "key"
	names["number"] = "revision"
	names["oldkeyhash"] = "oldKey"
	names["revokedreason"] = "reason"
	return names
}()

func inAPINames(fields map[string]json.RawMessage) map[string]json.RawMessage {
	named := make(map[string]json.RawMessage, len(fields))
	for name, value := range fields {
		if known := apiNames[name]; known != "" {
			name = known
		}
		named[name] = value
	}
	return named
}

// CheckAudit follows the chain of the actor's client and names the first record that does not fit.
func (c *Control) CheckAudit(ctx context.Context) (AuditCheck, error) {
	ctx, a, err := c.may(ctx, actAuditRead, "")
	if err != nil {
		return AuditCheck{}, err
	}
	check, err := c.store.CheckAudit(ctx, a.ClientID)
	return AuditCheck(check), fromStore(err, "client")
}

// AuditDays is how long records are kept, 0 for ever.
func (c *Control) AuditDays() int { return max(0, orDefault(c.cfg.AuditDays, 400)) }

// sweepAudits removes records that are kept no longer.
func (c *Control) sweepAudits(ctx context.Context) {
	if c.cfg.AuditDays < 0 {
		return
	}
	before := c.cfg.Now().Add(-time.Duration(c.AuditDays()) * 24 * time.Hour)
	if _, err := c.store.SweepAudit(ctx, before, sweepMost); err != nil && ctx.Err() == nil {
		c.log.Warn("audit records that are too old are still there", "error", err)
	}
}
