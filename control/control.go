package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/internal/demo"
	"github.com/xdire/xlb/internal/egress"
	"github.com/xdire/xlb/internal/lines"
	"github.com/xdire/xlb/internal/relay"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Config is what [New] needs. Fields without a remark must be set.
type Config struct {
	Store *store.Store
	// Authority issues the certificates of a store that has no authority yet. Nil: the store has one.
	Authority *pki.Authority
	// Outside is an authority of which the store does not keep the key. It issues in a store that has no authority yet, and
	// is the next one in others. Nil: none.
	Outside *pki.Authority
	// KeepAuthorities is called at the start, which fails with it, and when the authorities change. Nil: nothing.
	KeepAuthorities func(pki.Set) error
	// MasterKey seals the secrets that the store keeps: 32 bytes.
	MasterKey []byte
	// Log receives one line for each operation and each connection. Nil discards.
	Log *slog.Logger

	// Local is true while the control plane listens on loopback only: sign-up is open by default and
	// routes may name loopback addresses.
	Local bool
	// Signup is who may sign up: "open", "invite" or "closed". Empty: open in local mode, closed otherwise.
	Signup string
	// SetupCode lets the first client in and makes it the administrator, once. Empty: no code.
	SetupCode string
	// SetupDone is called after the set-up code was used. Nil: nothing.
	SetupDone func()
	// Hostnames are the names and addresses clients may connect to; the first one is shown. Empty: localhost.
	Hostnames []string
	// DataPort is the port of the data plane, as shown to clients.
	DataPort int
	// Resolver looks up the names in routes. Nil: net.DefaultResolver.
	Resolver *net.Resolver
	// NamesInterval is the time between two look-ups of a name. Zero: 30 s.
	NamesInterval time.Duration
	// DataAddr is the address of the data plane's listener, for tests of a frontend. Nil: there are none.
	DataAddr func() netip.AddrPort
	// Own lists the addresses XLB listens on; routes to their ports on this machine are refused.
	Own func() []netip.AddrPort
	// Egress are the operator's rules about what routes may reach, beside those that always hold.
	Egress egress.Lists
	// EgressFile has more of them, and is read again when it changes. Empty: none.
	EgressFile string

	// SignupRate and AuthRate are sign-ups and failed log-ins per minute and source (package source). Negative: unbounded.
	// Zero: 30 and 60.
	SignupRate, AuthRate int
	// SignupTotalRate is sign-ups without an invite per minute, of all sources together. Negative: unbounded. Zero: 120.
	SignupTotalRate int
	// MaxClients is how many clients there may be, the last tenth of them with an invite. Negative: unbounded.
	// Zero: 10,000.
	MaxClients int
	Limits     Limits
	// ProxyFrom are the networks from which connections to the data plane begin with a PROXY header. Nil is nowhere.
	ProxyFrom []netip.Prefix
	// MaxHandshakes is how many may be in flight on the data plane. Zero: 1,024.
	MaxHandshakes int
	// MaxConnections is how many may be admitted there, of all clients together; the last quarter is kept for clients
	// that have less than a sixteenth. Zero: no bound.
	MaxConnections int
	// AuditDays is how long audit records are kept. Negative: for ever. Zero: 400.
	AuditDays int
	// Busy tells the key pool that the machine has no time to make keys ahead. Nil: never busy.
	Busy func() bool
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Control is the set of rules over one store and one balancer. All methods are safe for concurrent use.
type Control struct {
	cfg         Config
	log         *slog.Logger
	store       *store.Store
	live        *live.Live
	verifier    *pki.Verifier
	authorities atomic.Pointer[pki.Set]
	keys        *pki.KeyPool
	identity    *pki.ServerIdentity
	egress      *egress.Policy
	dialer      *lb.Dialer
	strict      *lb.Dialer // for those who are not on this machine
	tokens      tokenKeys
	cookies     [][]byte
	ticketKeys  atomic.Uint64 // revision of those in force
	readAt      atomic.Int64  // when the store was last seen to answer, in nanoseconds since 1970
	sealer      *sealer
	crls        revocationLists
	started     time.Time
	relay       *relay.Hub // of processes that had the store before
	inHand      inHand
	keyUses     chan keyUse
	sessionUses chan sessionUse
	lines       lines.Bound[lineKind]
	refusals    lines.Bound[lineKind] // that are written to audit chains

	signups, signupsInAll, failures, checks, issues, tests *rates
	newcomers                                              newcomers
	dummyHash                                              []byte       // of a key that nobody has
	dummy                                                  *live.Client // stands for clients that there are not
}

// New reads the store into memory and builds the balancer. The caller runs [Control.Tasks] before it serves,
// and closes the store after they have ended.
func New(ctx context.Context, cfg Config) (*Control, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Limits = cfg.Limits.WithDefaults()
	c := &Control{
		cfg: cfg, log: cfg.Log, store: cfg.Store, started: cfg.Now(), relay: relay.NewHub(),
		verifier:     pki.NewVerifier(),
		keys:         pki.NewKeyPool(pki.KeyPoolConfig{Type: pki.RSA3072, Busy: cfg.Busy}),
		signups:      newPerMinute(orDefault(cfg.SignupRate, 30)),
		signupsInAll: newPerMinute(orDefault(cfg.SignupTotalRate, 120)),
		newcomers:    newcomers{most: orDefault(cfg.MaxClients, 10_000)},
		failures:     newPerMinute(orDefault(cfg.AuthRate, 60)),
		checks:       newPerMinute(120),
		issues:       newPerMinute(60),
		tests:        newRates(60, 1),
		dummyHash:    randomBytes(32),
		keyUses:      make(chan keyUse, 256),
		sessionUses:  make(chan sessionUse, 256),
	}
	c.dummy = live.NewClient(store.Client{KeyHash: randomBytes(32), CreatedAt: cfg.Now()})
	policy, err := egress.New(egress.Config{Local: cfg.Local, Lists: cfg.Egress, File: cfg.EgressFile, Own: cfg.Own})
	if err != nil {
		return nil, err
	}
	c.egress = policy
	c.dialer = &lb.Dialer{Allow: policy.Check, Resolver: cfg.Resolver}
	if cfg.Local {
		c.dialer.Inside = demo.Dial
	}
	c.strict = &lb.Dialer{Allow: policy.CheckForOthers, Resolver: cfg.Resolver}
	if err := c.loadSecrets(ctx); err != nil {
		return nil, err
	}
	if err := c.loadAuthorities(ctx); err != nil {
		return nil, err
	}
	if err := c.newIdentity(ctx); err != nil {
		return nil, err
	}
	observed, err := live.New(ctx, live.Config{
		Store: cfg.Store, Verifier: c.verifier, Authorities: c.followAuthorities, GetCertificate: c.identity.GetCertificate,
		RouteCertificate: c.routeCertificate, Options: DefaultOptions(), Limits: cfg.Limits, Dialer: c.dialer,
		Resolver: cfg.Resolver, NamesInterval: cfg.NamesInterval, ExpirySoon: ExpirySoon, Log: cfg.Log, Now: cfg.Now, MaxHandshakes: cfg.MaxHandshakes, MaxConnections: cfg.MaxConnections, ProxyFrom: cfg.ProxyFrom,
	})
	if err != nil {
		return nil, err
	}
	c.live = observed
	c.readAt.Store(cfg.Now().UnixNano())
	if err := c.loadTicketKeys(ctx); err != nil {
		return nil, err
	}
	return c, c.rememberCompromised(ctx)
}

func orDefault(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}

// newIdentity makes the certificates that both listeners present, or goes on with those of the last start.
func (c *Control) newIdentity(ctx context.Context) error {
	cfg := pki.ServerConfig{
		Issuer: func(now time.Time) pki.Issuer { return c.set().Server(now) }, Names: c.serverNames(), Now: c.cfg.Now(),
		Save: c.saveIdentity,
	}
	switch found, err := c.store.Secret(ctx, secretServer); {
	case err == nil:
		if cfg.Saved, err = c.sealer.open(secretServer, found.Value); err != nil {
			return err
		}
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	identity, err := pki.NewServerIdentity(cfg)
	c.identity = identity
	return err
}

// serverNames are the names and addresses that the listeners' certificates are for.
func (c *Control) serverNames() []string {
	return append([]string{"localhost", "127.0.0.1", "::1"}, c.cfg.Hostnames...)
}

// saveTime bounds the write of new certificates: a handshake may wait for it.
const saveTime = 2 * time.Second

// saveIdentity keeps the servers' certificates over a restart. Without them the next start makes new ones.
func (c *Control) saveIdentity(saved []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	_, err := c.store.PutSecret(ctx, store.Secret{Name: secretServer, Value: c.sealer.seal(secretServer, saved), CreatedAt: c.cfg.Now()})
	if err != nil {
		c.log.Warn("the server's certificates are not saved: the next start makes new ones", "error", err)
	}
}

// Balancer is the data plane. The caller serves and shuts it down.
func (c *Control) Balancer() *lb.Server { return c.live.Balancer() }

// ServerCertificate presents the server's own certificate, for the control plane's listener.
func (c *Control) ServerCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.identity.GetCertificate(hello)
}

// ClientAuthorities are those whose certificates are taken, as a hint for programs. They may change.
func (c *Control) ClientAuthorities() *x509.CertPool { return c.verifier.Pool() }

// Tasks lists what has to run while the server does.
func (c *Control) Tasks() []Task {
	all := []Task{
		{"follow the store", Released, c.live.Follow},
		{"make keys ahead", Asked, c.keys.Run},
		{"renew the server's certificates", Asked, c.identity.Run},
		{"sweep what has expired", Asked, c.sweep},
		{"rotate the keys that sign tokens", Asked, c.rotateTokenKeys},
		{"rotate the keys of session tickets", Asked, c.rotateTicketKeys},
		{"note first bytes", Asked, c.noteFirstBytes},
		{"count lines of the log", Drained, c.countLines},
		{"note the use of API keys", Asked, c.writeKeyUses},
		{"note the use of sessions", Asked, c.writeSessionUses},
		{"sample traffic", Drained, c.live.SampleTraffic},
		{"look names up", Drained, c.live.LookUpNames},
		{"save what names stand for", Asked, c.live.SaveNames},
		{"check routes", Drained, c.live.CheckRoutes},
		{"hand memory back", Drained, c.live.HandBack},
		{"follow the egress file", Drained, c.followEgress},
	}
	for i := range all {
		all[i].Run = c.recovering(all[i])
	}
	return all
}

// Endpoint is where programs connect, host:port.
func (c *Control) Endpoint() string {
	host := "localhost"
	if len(c.cfg.Hostnames) > 0 {
		host = c.cfg.Hostnames[0]
	}
	return joinHostPort(host, c.cfg.DataPort)
}

// followEgress keeps up with the file of egress rules.
func (c *Control) followEgress(ctx context.Context) error {
	return c.egress.Follow(ctx, func(err error) {
		if err != nil {
			c.log.Error("the egress file is not in force; the rules from before it are", "error", err)
			return
		}
		c.log.Info("the egress file was read", "file", c.cfg.EgressFile)
	})
}

// HasDemo tells whether the actor may use the demo upstream as a route, see [DemoDest].
func (c *Control) HasDemo(ctx context.Context) bool { return c.IsLocal(ctx) }

// Local tells whether the server is in local mode.
func (c *Control) Local() bool { return c.cfg.Local }

// IsLocal tells whether local mode's privileges are the actor's: sign-up without a code, and routes to this machine.
func (c *Control) IsLocal(ctx context.Context) bool { return c.cfg.Local && ActorFrom(ctx).Local }

// IsOwnName tells whether a host is one by which somebody on this machine asks for it.
func (c *Control) IsOwnName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(c.cfg.Hostnames, host)
}

const (
	// sweepEvery is how often is removed what has expired.
	sweepEvery = time.Minute
	// sweepMost is how many records each time: more than strangers can make in the meantime.
	sweepMost = 1000
)

// sweep removes expired sessions and certificates, clients that were never used, and the remains of what was deleted.
func (c *Control) sweep(ctx context.Context) error {
	return live.Every(ctx, sweepEvery, func() {
		if _, err := c.store.SweepExpired(ctx, c.cfg.Now(), sweepMost); err != nil && ctx.Err() == nil {
			c.log.Warn("sweep failed", "error", err)
		}
		c.sweepAudits(ctx)
		c.live.ForgetEvents()
	})
}

// Ready tells what the server cannot do meanwhile: nil for nothing. Connections are served all the while, from memory: when
// the store cannot be read, as things were so long ago.
func (c *Control) Ready(ctx context.Context) (stale time.Duration, degraded error) {
	now := c.cfg.Now()
	if _, err := c.store.Clients(ctx, "", 1); err != nil {
		return now.Sub(time.Unix(0, c.readAt.Load())), err
	}
	c.readAt.Store(now.UnixNano())
	return 0, c.store.Health().Err
}

// Settle waits until every name in a route has been looked up once, but not for long. Without it the first
// connections after a start would be to a route without addresses.
func (c *Control) Settle(ctx context.Context) { c.live.Settle(ctx) }

// waitFor returns when everything up to a revision is in force here.
func (c *Control) waitFor(ctx context.Context, rev uint64) error {
	if err := c.live.WaitFor(ctx, rev); err != nil {
		return &Error{Kind: KindUnavailable, Message: "The change is saved, but is not live yet.", Err: err}
	}
	c.relay.Wait(ctx, rev)
	return nil
}

// clientNow returns whether a client is the administrator, and whether it exists and may act.
func (c *Control) clientNow(id string) (admin, known bool) {
	state, known := c.live.Client(id)
	if !known || state.Disabled {
		return false, false
	}
	return state.Admin, true
}
