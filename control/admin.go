package control

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// ClientStatus is a client as its administrator sees it.
type ClientStatus struct {
	Client
	Holdings
	Limits    Limits         // in force
	OwnLimits map[string]int // those that were set for it, by name; 0: no bound
}

// IsNearLimit tells that a client uses nine tenths of what it may have.
func (s ClientStatus) IsNearLimit() bool {
	return live.IsNearLimit(s.Holdings.Frontends, s.Limits.Frontends) || live.IsNearLimit(s.Holdings.Certificates, s.Limits.Certificates) ||
		live.IsNearLimit(s.Holdings.Connections, s.Limits.Connections)
}

// ClientQuery selects clients. The zero value selects all.
type ClientQuery struct {
	// Text is a part of the name or of the id.
	Text string
	// Only is "", "near" (a limit), "disabled" or "administrators".
	Only string
	// Sort is "" (oldest first), "name", "frontends", "certificates" or "connections" (most first).
	Sort string
}

// clientSorts are the orders in which clients can be listed.
var clientSorts = map[string]func(a, b ClientStatus) int{
	"":             func(a, b ClientStatus) int { return cmp.Compare(a.ID, b.ID) }, // ids are in the order of time
	"name":         func(a, b ClientStatus) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) },
	"frontends":    func(a, b ClientStatus) int { return cmp.Compare(b.Holdings.Frontends, a.Holdings.Frontends) },
	"certificates": func(a, b ClientStatus) int { return cmp.Compare(b.Holdings.Certificates, a.Holdings.Certificates) },
	"connections":  func(a, b ClientStatus) int { return cmp.Compare(b.Holdings.Connections, a.Holdings.Connections) },
}

// Clients lists the clients that a query selects. For the administrator.
func (c *Control) Clients(ctx context.Context, q ClientQuery) ([]ClientStatus, error) {
	_, _, err := c.may(ctx, actAdminRead, "")
	if err != nil {
		return nil, err
	}
	order, known := clientSorts[q.Sort]
	if !known {
		return nil, invalid("sort", "Use name, frontends, certificates or connections.")
	}
	text := strings.ToLower(strings.TrimSpace(q.Text))
	all := []ClientStatus{}
	c.live.EachClient(func(id string, known *live.Client) {
		record := known.Record()
		if !strings.Contains(strings.ToLower(record.Name), text) && !strings.Contains(id, text) {
			return
		}
		if s := c.clientStatus(record); q.wants(s) {
			all = append(all, s)
		}
	})
	slices.SortFunc(all, func(a, b ClientStatus) int { return cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

func (q ClientQuery) wants(s ClientStatus) bool {
	switch q.Only {
	case "near":
		return s.IsNearLimit()
	case "disabled":
		return s.Disabled
	case "administrators":
		return s.Admin
	}
	return true
}

func (c *Control) clientStatus(r store.Client) ClientStatus {
	return ClientStatus{Client: clientOf(r), Holdings: c.holdingsOf(r.UUID), Limits: c.live.Limits(r.UUID), OwnLimits: r.Limits}
}

// ClientOf is one client. For the administrator.
func (c *Control) ClientOf(ctx context.Context, id string) (ClientStatus, error) {
	ctx, _, err := c.may(ctx, actAdminRead, id)
	if err != nil {
		return ClientStatus{}, err
	}
	record, err := c.store.Client(ctx, canonicalID(id))
	if err != nil {
		return ClientStatus{}, fromStore(err, "client")
	}
	return c.clientStatus(record), nil
}

// UsageOf lists the limits of a client with their use. For the administrator.
func (c *Control) UsageOf(ctx context.Context, id string) ([]Usage, error) {
	_, _, err := c.may(ctx, actAdminRead, id)
	if err != nil {
		return nil, err
	}
	return c.usageOf(canonicalID(id)), nil
}

// SetDisabled shuts a client out, or lets it in again. Its live connections are closed when it returns, and
// tokens and sessions from before stay ended when it is let in again.
// For the administrator, who cannot shut itself out.
func (c *Control) SetDisabled(ctx context.Context, id string, disabled bool) (_ Client, err error) {
	ctx, a, err := c.may(ctx, actAdminDisable, id)
	if err != nil {
		return Client{}, err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminDisable, id, canonicalID(id))
	if disabled && canonicalID(id) == a.ClientID {
		return Client{}, invalid("disabled", "The administrator cannot disable itself.")
	}
	if disabled {
		ctx = store.Urgent(ctx)
	}
	return c.changeClient(ctx, canonicalID(id), 0, func(r *store.Client) {
		r.Disabled = disabled
		if disabled {
			c.endTokens(r)
			c.endSessions(r, "")
		}
	})
}

// SetAdmin makes a client an administrator, or no longer one. For the administrator, who cannot do the latter to itself:
// so there is always one left.
func (c *Control) SetAdmin(ctx context.Context, id string, admin bool) (_ Client, err error) {
	ctx, a, err := c.may(ctx, actAdminMake, id)
	if err != nil {
		return Client{}, err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminMake, id, canonicalID(id))
	if !admin && canonicalID(id) == a.ClientID {
		return Client{}, invalid("admin", "An administrator cannot do that to itself. Let another one do it, or xlb admin.")
	}
	return c.changeClient(ctx, canonicalID(id), 0, func(r *store.Client) { r.Admin = admin })
}

// RemoveClient deletes a client with everything it has. For the administrator, who cannot delete itself here.
func (c *Control) RemoveClient(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actAdminDelete, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminDelete, id, canonicalID(id))
	if canonicalID(id) == a.ClientID {
		return &Error{Kind: KindForbidden, Message: "The administrator cannot delete itself here. Use DELETE /api/v1/client."}
	}
	return c.removeClient(ctx, canonicalID(id))
}

// ResetKey gives a client that has lost its key a new one, shown this once. The old one ends, and so do
// the tokens and sessions, but the one that acts. For the administrator.
func (c *Control) ResetKey(ctx context.Context, id string) (_ NewClient, err error) {
	ctx, a, err := c.may(ctx, actAdminReset, id)
	if err != nil {
		return NewClient{}, err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminReset, id, canonicalID(id))
	key := hex.EncodeToString(randomBytes(32))
	client, err := c.changeClient(ctx, canonicalID(id), 0, func(r *store.Client) {
		c.giveKey(r, key, 0)
		c.endTokens(r)
		c.endSessions(r, a.Session)
	})
	return NewClient{Client: client, Key: key}, err
}

// SessionsOf lists the sessions of a client, newest first. For the administrator.
func (c *Control) SessionsOf(ctx context.Context, id string) ([]Session, error) {
	ctx, a, err := c.may(ctx, actAdminRead, id)
	if err != nil {
		return nil, err
	}
	if _, err := c.store.Client(ctx, canonicalID(id)); err != nil {
		return nil, fromStore(err, "client")
	}
	return c.sessionsOf(ctx, canonicalID(id), a.Session)
}

// EndSessionsOf logs all browsers of a client out, but the one that acts. For the administrator.
func (c *Control) EndSessionsOf(ctx context.Context, id string) (err error) {
	ctx, a, err := c.may(ctx, actAdminEnd, id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	ctx = c.audited(ctx, a, actAdminEnd, id, canonicalID(id))
	_, err = c.changeClient(store.Urgent(ctx), canonicalID(id), 0, func(r *store.Client) { c.endSessions(r, a.Session) })
	return err
}

// ServerState is how the server itself does.
type ServerState struct {
	StartedAt       time.Time
	Authority       string // its common name
	AuthorityExpiry time.Time

	Clients, Disabled, Administrators, NearLimits int
	Invites                                       int // that can still be used

	Connections    int // admitted, open now
	MaxConnections int // 0: no bound
	Handshakes     int // in flight
	Shed           int64
	ChecksLate     time.Duration

	StoreError string // why nothing can be saved, empty while it can
	StoreFree  int64  // bytes; negative when nobody knows
}

// shedReasons are those of connections that were turned away because the server had enough to do.
var shedReasons = []lb.Reason{lb.ReasonHandshakeLimit, lb.ReasonServerLimit, lb.ReasonInternal}

// ServerState is how the server does. For the administrator.
func (c *Control) ServerState(ctx context.Context) (ServerState, error) {
	clients, err := c.Clients(ctx, ClientQuery{})
	if err != nil {
		return ServerState{}, err
	}
	invites, err := c.Invites(ctx)
	if err != nil {
		return ServerState{}, err
	}
	cert := c.issuer().Certificate()
	health := c.store.Health()
	s := ServerState{
		StartedAt: c.started, Authority: cert.Subject.CommonName, AuthorityExpiry: cert.NotAfter, Clients: len(clients), Invites: len(invites),
		MaxConnections: c.cfg.MaxConnections, ChecksLate: c.live.ChecksLate(), StoreFree: health.Free,
	}
	if health.Err != nil {
		s.StoreError = sentence(health.Err)
	}
	for _, one := range clients {
		count(&s.Disabled, one.Disabled)
		count(&s.Administrators, one.Admin)
		count(&s.NearLimits, one.IsNearLimit())
		s.Connections += one.Holdings.Connections
	}
	stats := c.live.Balancer().Stats()
	s.Handshakes = stats.Handshaking
	for _, reason := range shedReasons {
		s.Shed += stats.Refused[reason]
	}
	return s, nil
}

func count(n *int, is bool) {
	if is {
		*n++
	}
}
