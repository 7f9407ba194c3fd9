package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/lb/health"
	"github.com/xdire/xlb/store"
)

// CertificateKey names a certificate: serials are unique to their authority.
type CertificateKey struct{ Authority, Serial string }

// Client is what is known of a client. It is not changed.
type Client struct {
	Admin, Disabled bool
	TokensFrom      time.Time // tokens from before are refused
	EndedTokens     []store.EndedToken
	SessionsFrom    time.Time // so are sessions, but SessionKept
	SessionKept     string
	APIKeys         []store.APIKey

	limits *clientLimits
	record store.Client // not to be changed
}

// NewClient is one that is not in the index.
func NewClient(r store.Client) *Client { return &Client{record: r} }

// Record is the client as it is stored.
func (c *Client) Record() store.Client { return c.record }

// apiKeyHolder is an API key with whose it is.
type apiKeyHolder struct {
	clientID string
	key      store.APIKey
}

// APIKey is an API key by its id, and whose it is.
func (l *Live) APIKey(id string) (clientID string, key store.APIKey, known bool) {
	holder, known := l.apiKeys.get(id)
	return holder.clientID, holder.key, known
}

// setAPIKeys makes the index of keys agree with a client's.
func (l *Live) setAPIKeys(clientID string, before, after []store.APIKey) {
	for _, key := range after {
		l.apiKeys.set(key.ID, apiKeyHolder{clientID, key})
	}
	for _, key := range before {
		if !slices.ContainsFunc(after, func(k store.APIKey) bool { return k.ID == key.ID }) {
			l.apiKeys.remove(key.ID)
		}
	}
}

// HasSession tells whether a session of the client was not ended by anything that ended them all.
func (c *Client) HasSession(s store.Session) bool {
	return !c.Disabled && (!s.CreatedAt.Before(c.SessionsFrom) || s.IDHash == c.SessionKept)
}

type frontend struct {
	record store.Frontend // with options
	pool   *lb.Pool
	limit  *lb.Limit
	seen   *sightings
	tls    *routeTLS

	addresses addresses
	failing   map[string]lb.NameState // of routes whose name does not resolve, by destination
}

// Certificate is what is known of a certificate. It is not changed.
type Certificate struct {
	ClientID, FrontendID, Name string
	SPKI                       string // the hash of its public key
	NotAfter                   time.Time
	Revoked                    bool
	RevokedAt                  time.Time
	Reason                     string
	Retired                    bool // its authority is trusted no more
	Closed                     int  // connections that its revocation has closed here, or given a time to end

	keys []string // under which the balancer knows its connections
}

// load reads everything there is and starts watching from that revision on.
func (l *Live) load(ctx context.Context) error {
	snapshot, err := l.store.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	l.replace(snapshot)
	l.setUnreadable(ctx, snapshot.Unreadable)
	l.watcher = l.store.WatchRecords(snapshot.Revision)
	l.advance(snapshot.Revision)
	return nil
}

// replace makes the index equal to the snapshot: what is not in it any more is removed. What is new comes first, because
// a certificate whose frontend is not there yet opens nothing, while one that is removed too late is found out when it is
// used.
func (l *Live) replace(s store.Snapshot) {
	clients := map[string]bool{}
	frontends := map[string]bool{}
	certificates := map[CertificateKey]bool{}
	l.setAuthorities(s.Authorities)
	for _, r := range s.Clients {
		clients[r.UUID] = true
		l.putClient(r)
	}
	for _, r := range s.Frontends {
		frontends[r.UUID] = true
		l.putFrontend(r)
	}
	for _, r := range s.Certificates {
		certificates[CertificateKey{r.Authority, r.Serial}] = true
		l.putCertificate(r)
	}
	for id := range l.frontends.all() {
		if !frontends[id] {
			l.removeFrontend(id)
		}
	}
	for id := range l.clients.all() {
		if !clients[id] {
			l.removeClient(id)
		}
	}
	for key := range l.certificates.all() {
		if !certificates[key] {
			l.removeCertificate(key)
		}
	}
}

// Follow applies every change of the store as it arrives, until ctx ends. One goroutine does, in the order of the
// revisions: that is what makes an operation of another server count here as one of our own does.
func (l *Live) Follow(ctx context.Context) error {
	defer l.watcher.Stop()
	for {
		change, err := l.watcher.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the store: %w", err)
		}
		if change.Resync { // the store could not keep all changes for us: we were too slow, or away
			if err := l.resync(ctx); err != nil {
				return err
			}
			continue
		}
		l.apply(ctx, change)
		l.advance(change.Revision)
	}
}

// resyncPause is how long it rests at first when the store cannot be read; each time after it twice as long, up to
// resyncPauseMost.
const (
	resyncPause     = 50 * time.Millisecond
	resyncPauseMost = 5 * time.Second
)

// resync reads everything again, after following fell behind. While the store cannot be read it tries again for ever:
// connections are served from memory meanwhile, and /readyz says how old that is. A store that was closed is the end.
func (l *Live) resync(ctx context.Context) error {
	var snapshot store.Snapshot
	for pause := resyncPause; ; pause = min(2*pause, resyncPauseMost) {
		var err error
		if snapshot, err = l.store.Snapshot(ctx); err == nil {
			break
		}
		if errors.Is(err, store.ErrClosed) {
			return fmt.Errorf("read the store again: %w", err)
		}
		l.log.LogAttrs(ctx, slog.LevelWarn, "the store cannot be read again yet", slog.Any("error", err), slog.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	l.replace(snapshot)
	l.setUnreadable(ctx, snapshot.Unreadable)
	l.advance(snapshot.Revision)
	return nil
}

// Apply goes by a change that Follow does not bring, as it has ended, and returns up to where changes are in force.
func (l *Live) Apply(ctx context.Context, change store.Record) uint64 {
	l.apply(ctx, change)
	l.advance(change.Revision)
	return l.Revision()
}

func (l *Live) apply(ctx context.Context, change store.Record) {
	l.noteUnreadable(ctx, change)
	switch {
	case change.Client != nil:
		l.putClient(*change.Client)
	case change.Frontend != nil:
		l.putFrontend(*change.Frontend)
	case change.Certificate != nil:
		l.putCertificate(*change.Certificate)
	case change.Authorities != nil:
		l.setAuthorities(*change.Authorities)
	case change.Deleted.Client != "" && change.Deleted.Kind == store.KindClient:
		l.removeClient(change.Deleted.Client)
	case change.Deleted.Kind == store.KindFrontend:
		l.removeFrontend(change.Deleted.Frontend)
	case change.Deleted.Kind == store.KindCertificate:
		l.removeCertificate(CertificateKey{change.Deleted.Authority, change.Deleted.Serial})
	}
}

func (l *Live) putClient(r store.Client) {
	state := &Client{Admin: r.Admin, Disabled: r.Disabled, TokensFrom: r.TokensFrom, EndedTokens: r.EndedTokens, SessionsFrom: r.SessionsFrom, SessionKept: r.SessionKept, APIKeys: r.APIKeys}
	state.record = r
	var before *clientLimits
	var keys []store.APIKey
	isNews := false
	if old, known := l.clients.get(r.UUID); known {
		before = old.limits
		keys = old.APIKeys
		isNews = !reflect.DeepEqual(ownedOf(old.record), ownedOf(r))
	}
	l.setAPIKeys(r.UUID, keys, r.APIKeys)
	state.limits = newClientLimits(l.cfg.Limits.with(r.Limits), before)
	l.clients.set(r.UUID, state)
	// After it is in the index, so that a connection which is just being admitted is either refused or found here.
	if state.Disabled {
		l.drop(clientKey(r.UUID), ReasonDisabled)
	}
	if l.bus.mark(r.UUID); isNews {
		l.tell(r.UUID, Event{Kind: EventClientChanged})
	}
}

func (l *Live) removeClient(id string) {
	if old, known := l.clients.get(id); known {
		l.setAPIKeys(id, old.APIKeys, nil)
	}
	l.clients.remove(id)
	l.drop(clientKey(id), ReasonGone)
	l.journal.forget(id)
	l.endings.forget(id)
	l.bus.mark(id)
}

func (l *Live) putFrontend(r store.Frontend) {
	l.frontendMu.Lock()
	defer l.frontendMu.Unlock()
	if r.Options == nil {
		r.Options = &l.cfg.Options
	}
	state := &frontend{record: r}
	state.addresses, state.failing = l.expand(r)
	// The pool stays, and with it its connections, health and counts: only what has changed of it is changed.
	old, known := l.frontends.get(r.UUID)
	if known {
		state.pool = old.pool
		state.limit = old.limit
		state.seen = old.seen
		state.seen.checks.keep(state.checkedAddresses())
		state.tls = l.routeTLSOf(r.Options.RouteTLS, old.tls)
		state.pool.Update(l.poolOf(state))
		if old.record.AccessKey != r.AccessKey {
			l.byAccessKey.remove(old.record.AccessKey)
		}
	} else {
		state.tls = l.routeTLSOf(r.Options.RouteTLS, nil)
		state.seen = &sightings{}
		state.pool = lb.NewPool(l.poolOf(state))
		state.limit = &lb.Limit{}
	}
	applyLimits(state.limit, r.Options)
	l.setFrontend(state)
	l.tellFrontend(r, old)
	if !r.Active {
		l.dropBy(frontendKey(r.UUID), &r.DrainUntil, ReasonOff)
	}
}

// checkedAddresses are the addresses that are checked.
func (f *frontend) checkedAddresses() map[string]bool {
	all := map[string]bool{}
	if !f.record.Active || checkKinds[f.record.Options.Check.Kind] == health.None {
		return all
	}
	for _, found := range f.addresses {
		for _, addr := range found {
			all[addr] = true
		}
	}
	return all
}

func (l *Live) setFrontend(state *frontend) {
	before, _ := l.frontends.get(state.record.UUID)
	l.destinations.replace(before, state)
	l.frontends.set(state.record.UUID, state)
	l.byAccessKey.set(state.record.AccessKey, state)
	l.holdings.setFrontend(state)
	l.bus.mark(state.record.ClientID)
}

func (l *Live) removeFrontend(id string) {
	l.frontendMu.Lock()
	defer l.frontendMu.Unlock()
	old, known := l.frontends.get(id)
	if !known {
		return
	}
	l.frontends.remove(id)
	l.destinations.replace(old, nil)
	l.holdings.removeFrontend(old)
	l.byAccessKey.remove(old.record.AccessKey)
	l.names.Set(old.record.ClientID, id, nil)
	old.pool.Update(lb.PoolConfig{}) // nobody checks it any more
	l.drop(frontendKey(id), ReasonGone)
	l.tell(old.record.ClientID, Event{Kind: EventFrontendDeleted, Frontend: id, Name: old.record.Name})
}

func (l *Live) putCertificate(r store.Certificate) {
	state := &Certificate{
		ClientID: r.ClientID, FrontendID: r.FrontendID, Name: r.Name, SPKI: r.SPKI, NotAfter: r.NotAfter, Revoked: r.RevokedAt != nil, Reason: r.RevokedReason,
		Retired: !l.trusts(r.Authority),
	}
	state.keys = []string{clientKey(r.ClientID), frontendKey(r.FrontendID), serialKey(r.Authority, r.Serial)}
	if state.Revoked {
		state.RevokedAt = *r.RevokedAt
		l.revocations.Add(1) // again when it is read again: that costs one signature of a list too many
	}
	key := CertificateKey{r.Authority, r.Serial}
	old, known := l.certificates.get(key)
	if known {
		state.Closed = old.Closed
	} else if all, _ := l.byKey.get(r.SPKI); r.SPKI != "" {
		l.byKey.set(r.SPKI, append(slices.Clip(all), key))
	}
	l.setCertificate(key, state)
	if state.Revoked {
		closed := *state // what others have got already is not changed
		closed.Closed += l.dropBy(serialKey(r.Authority, r.Serial), r.DrainUntil, ReasonRevoked)
		l.setCertificate(key, &closed)
	}
	l.bus.mark(r.ClientID)
	l.tellCertificate(r, old)
}

func (l *Live) setCertificate(key CertificateKey, state *Certificate) {
	l.certificates.set(key, state)
	l.holdings.setCertificate(key, state)
}

func (l *Live) removeCertificate(key CertificateKey) {
	if old, known := l.certificates.get(key); known {
		l.certificates.remove(key)
		l.holdings.removeCertificate(key, old)
		l.forgetKey(old.SPKI, key)
		l.bus.mark(old.ClientID)
	}
}

func (l *Live) forgetKey(spki string, key CertificateKey) {
	all, _ := l.byKey.get(spki)
	left := slices.DeleteFunc(slices.Clone(all), func(k CertificateKey) bool { return k == key })
	if len(left) == 0 {
		l.byKey.remove(spki)
		return
	}
	l.byKey.set(spki, left)
}

// WithKey lists the certificates of any client with a public key that are not revoked.
func (l *Live) WithKey(spki string) (good []CertificateKey) {
	all, _ := l.byKey.get(spki)
	for _, key := range all {
		if state, known := l.certificates.get(key); known && !state.Revoked {
			good = append(good, key)
		}
	}
	return good
}

// advance says that everything up to rev has been applied.
func (l *Live) advance(rev uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rev > l.applied {
		l.applied = rev
		close(l.moved)
		l.moved = make(chan struct{})
	}
}

// liveTimeout bounds how long an operation waits for its own change to be applied.
const liveTimeout = 10 * time.Second

// ErrNotYet is the error of WaitFor when a change takes too long to be applied, or the caller has gone.
var ErrNotYet = errors.New("the change is not applied yet")

// WaitFor returns when everything up to rev has been applied here: that is what "live" means. It waits ten seconds
// at most.
func (l *Live) WaitFor(ctx context.Context, rev uint64) error {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	for {
		l.mu.Lock()
		applied := l.applied
		moved := l.moved
		l.mu.Unlock()
		if applied >= rev {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotYet, ctx.Err())
		}
	}
}

// applyLimits brings a frontend's limit up to date.
func applyLimits(l *lb.Limit, o *store.Options) {
	l.SetMax(o.MaxConnections)
	l.SetRate(o.ConnectionsPerSec)
	l.SetBandwidth(o.BytesPerSec)
}
