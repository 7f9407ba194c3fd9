package live

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/internal/lines"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/lb/health"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// Config is what [New] needs. Fields without a remark must be set.
type Config struct {
	Store *store.Store
	// Verifier tells which authority has issued a certificate.
	Verifier *pki.Verifier
	// Authorities makes the Verifier go by what the store says of the authorities, and returns them. Nil when nobody can read
	// that, at a start excepted: then what was before goes on.
	Authorities func(store.Authorities) pki.Set
	// GetCertificate presents the data plane's own certificate.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// RouteCertificate is what the settings of a frontend say that routes are shown; nil for nothing.
	RouteCertificate func(store.RouteTLS) *tls.Certificate
	// Options are those of a frontend whose record has none.
	Options store.Options
	// Limits are those of a client for which none were set. All fields must be set.
	Limits Limits
	// ProxyFrom are the networks from which connections begin with a PROXY header. Nil is nowhere.
	ProxyFrom []netip.Prefix
	// MaxHandshakes is how many may be in flight. Zero: 1,024.
	MaxHandshakes int
	// MaxConnections is how many may be admitted, of all clients together. Zero: no bound.
	MaxConnections int
	// Dialer connects to routes.
	Dialer *lb.Dialer
	// Resolver looks up the names in routes.
	Resolver *net.Resolver
	// NamesInterval is the time between two look-ups of a name. Zero: 30 s.
	NamesInterval time.Duration
	// Log receives one line for each connection, and for each change of a route or name.
	Log *slog.Logger
	// ExpirySoon is how long before the end of a certificate its client is told.
	ExpirySoon time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Live is the store as the data plane needs it, and the data plane. All methods are safe for concurrent use.
type Live struct {
	cfg      Config
	log      *slog.Logger
	store    *store.Store
	verifier *pki.Verifier
	balancer *lb.Server
	checker  *health.Checker
	names    *names
	bus      *bus
	events   eventLogs
	apiKeys  table[string, apiKeyHolder] // by id
	journal  *journal
	endings  *endings
	probes   table[string, *Probe] // by serial
	probing  atomic.Int32
	lines    lines.Bound[refusalKind] // of the log
	meter    serverMeter
	firsts   chan string // frontends whose first byte has just arrived

	clients      table[string, *Client]
	frontends    table[string, *frontend] // by uuid
	byAccessKey  table[string, *frontend]
	authorities  atomic.Pointer[map[string]bool] // whether one is trusted, by id
	certificates table[CertificateKey, *Certificate]
	byKey        table[string, []CertificateKey] // by the hash of the public key

	holdings     *holdings // by client
	destinations destinations

	watcher *store.RecordWatcher // set by load, read by Follow

	frontendMu sync.Mutex // held while a frontend changes: Follow does that, and names that have new addresses

	revocations atomic.Uint64 // seen so far
	unreadable  unreadable

	mu      sync.Mutex
	applied uint64
	moved   chan struct{} // closed and replaced when applied grows
}

// New reads the store into memory and builds the balancer. The caller runs Follow and the other tasks, serves and
// shuts the balancer down, and closes the store after all have ended.
func New(ctx context.Context, cfg Config) (*Live, error) {
	l := &Live{
		cfg: cfg, log: cfg.Log, store: cfg.Store, verifier: cfg.Verifier, bus: newBus(), journal: newJournal(), endings: newEndings(),
		// A few hundred frontends may see their first byte at once; one that finds no room is told with its next connection.
		firsts: make(chan string, 256), holdings: newHoldings(), moved: make(chan struct{}),
		checker: health.NewChecker(health.Config{Dial: cfg.Dialer.DialContext}),
	}
	l.balancer = lb.NewServer(lb.Config{
		TLS: &tls.Config{
			// No authorities are named: GnuTLS shows no RSA certificate where names come together with
			// the algorithms of TLS 1.3 alone, and no program needs them.
			MinVersion: tls.VersionTLS13, GetCertificate: cfg.GetCertificate, ClientAuth: tls.RequireAnyClientCert,
		},
		Admit: l.admit, Dialer: cfg.Dialer, Trace: l.trace, PlainText: lb.AnswerPostgres | lb.AnswerHTTP, MaxHandshakes: cfg.MaxHandshakes, MaxConnections: cfg.MaxConnections, Shared: func() bool { return l.clients.len() > 1 }, ProxyFrom: cfg.ProxyFrom,
	})
	names, err := l.newNames(ctx)
	if err != nil {
		return nil, err
	}
	l.names = names
	return l, l.load(ctx)
}

// Balancer is the data plane. The caller serves and shuts it down.
func (l *Live) Balancer() *lb.Server { return l.balancer }

// CheckRoutes does the health checks until ctx ends.
func (l *Live) CheckRoutes(ctx context.Context) error { return l.checker.Run(ctx) }

// LookUpNames keeps up with the names in routes until ctx ends.
func (l *Live) LookUpNames(ctx context.Context) error {
	l.names.Run(ctx)
	return nil
}

// SaveNames writes down what names stand for until ctx ends. It begins with forgetting those that no route has.
func (l *Live) SaveNames(ctx context.Context) error {
	used := map[string]bool{}
	for _, f := range l.frontends.values(nil) {
		for _, r := range f.record.Routes {
			used[strings.ToLower(nameOf(r.Dest))] = true
		}
	}
	return l.names.save(ctx, used)
}

// Subscribe returns a channel that is marked when something of a client has changed, and a func that ends it.
func (l *Live) Subscribe(clientID string) (<-chan struct{}, func()) { return l.bus.subscribe(clientID) }

// SubscribeFrom is Subscribe, marked also when a connection of nobody from an address was turned away: the page that waits
// for a client's first connection shows those of its reader's own machine.
func (l *Live) SubscribeFrom(clientID string, from netip.Addr) (<-chan struct{}, func()) {
	return l.bus.subscribe(clientID, sourceMark(from))
}

// sourceMark is what connections of nobody from an address mark.
func sourceMark(from netip.Addr) string { return "from " + from.Unmap().WithZone("").String() }

// Mark tells the subscribers of a client that something has changed.
func (l *Live) Mark(clientID string) { l.bus.mark(clientID) }

// Client is what is known of a client.
func (l *Live) Client(id string) (*Client, bool) { return l.clients.get(id) }

// EachClient calls fn for every client there is.
func (l *Live) EachClient(fn func(id string, c *Client)) {
	for id, c := range l.clients.all() {
		fn(id, c)
	}
}

// ChecksLate is how late the check is that waits longest for its turn.
func (l *Live) ChecksLate() time.Duration { return l.checker.Late() }

// Clients is how many there are.
func (l *Live) Clients() int { return l.clients.len() }

// Frontend is the record of a frontend in force. It is not to be changed.
func (l *Live) Frontend(id string) (store.Frontend, bool) {
	f, known := l.frontends.get(id)
	if !known {
		return store.Frontend{}, false
	}
	return f.record, true
}

// FrontendsOf lists the records in force of a client's frontends, oldest first. They are not to be changed.
func (l *Live) FrontendsOf(clientID string) (all []store.Frontend) {
	for _, f := range l.holdings.frontendsOf(clientID) {
		all = append(all, f.record)
	}
	return all
}

// Count is how many frontends and certificates a client has, whatever their state.
func (l *Live) Count(clientID string) (frontends, certificates int) {
	return l.holdings.count(clientID)
}

// GoodCertificates is how many certificates of a client are neither revoked nor expired.
func (l *Live) GoodCertificates(clientID string) int {
	return l.holdings.goodCertificates(clientID, l.cfg.Now())
}

// Certificate is what is known of a certificate.
func (l *Live) Certificate(key CertificateKey) (*Certificate, bool) { return l.certificates.get(key) }

// EachCertificate calls fn for every certificate there is, under a lock: fn must be quick and must not call back.
func (l *Live) EachCertificate(fn func(CertificateKey, *Certificate)) { l.certificates.each(fn) }

// Revocations grows with each that is seen.
func (l *Live) Revocations() uint64 { return l.revocations.Load() }

// Revision is up to where the store's changes have been applied.
func (l *Live) Revision() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied
}

// FirstBytes is where frontends are named whose first byte has just arrived. It may name one again.
func (l *Live) FirstBytes() <-chan string { return l.firsts }

// Every calls fn each interval until ctx ends.
func Every(ctx context.Context, interval time.Duration, fn func()) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			fn()
		}
	}
}
