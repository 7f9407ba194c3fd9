package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// index is the store as the data plane needs it: in memory, one map read for each question. It is where
// frontends become pools. Only load and follow change it.
type index struct {
	c *Control

	clients      table[string, *clientState]
	frontends    table[string, *frontendState] // by uuid
	byAccessKey  table[string, *frontendState]
	certificates table[certificateKey, *certificateState]
	byKey        table[string, []certificateKey] // by the hash of the public key

	ownedMu sync.Mutex
	owned   map[string]map[certificateKey]*certificateState // certificates by client

	watcher *store.RecordWatcher // set by load, read by follow

	frontendMu sync.Mutex // held while a frontend changes: follow does that, and names that have new addresses

	revocations atomic.Uint64 // seen so far

	mu      sync.Mutex
	applied uint64
	moved   chan struct{} // closed and replaced when applied grows
}

type certificateKey struct{ authority, serial string }

type clientState struct {
	admin, disabled bool
	tokensFrom      time.Time
	sessionsFrom    time.Time
	sessionKept     string
	limits          *clientLimits
}

type frontendState struct {
	record Frontend
	pool   *lb.Pool
	limit  *lb.Limit
	seen   *sightings
	tls    *routeTLS

	addresses addresses
	failing   map[string]lb.NameState // of routes whose name does not resolve, by destination
}

type certificateState struct {
	clientID, frontendID, name string
	spki                       string
	notAfter                   time.Time
	revoked                    bool
	revokedAt                  time.Time
	reason                     string
	keys                       []string // under which the balancer knows its connections
	closed                     int      // connections that its revocation has closed here, or given a time to end
}

func newIndex(c *Control) *index {
	return &index{c: c, moved: make(chan struct{})}
}

// load reads everything there is and starts watching from that revision on.
func (x *index) load(ctx context.Context) error {
	snapshot, err := x.c.store.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	x.replace(snapshot)
	x.watcher = x.c.store.WatchRecords(snapshot.Revision)
	x.advance(snapshot.Revision)
	return nil
}

// replace makes the index equal to the snapshot: what is not in it any more is removed.
func (x *index) replace(s store.Snapshot) {
	clients, frontends, certificates := map[string]bool{}, map[string]bool{}, map[certificateKey]bool{}
	for _, r := range s.Clients {
		clients[r.UUID] = true
		x.putClient(r)
	}
	for _, r := range s.Frontends {
		frontends[r.UUID] = true
		x.putFrontend(r)
	}
	for _, r := range s.Certificates {
		certificates[certificateKey{r.Authority, r.Serial}] = true
		x.putCertificate(r)
	}
	for id := range x.frontends.all() {
		if !frontends[id] {
			x.removeFrontend(id)
		}
	}
	for id := range x.clients.all() {
		if !clients[id] {
			x.removeClient(id)
		}
	}
	for key := range x.certificates.all() {
		if !certificates[key] {
			x.removeCertificate(key)
		}
	}
}

// follow applies every change of the store as it arrives, until ctx ends.
func (x *index) follow(ctx context.Context) error {
	defer x.watcher.Stop()
	for {
		change, err := x.watcher.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the store: %w", err)
		}
		if change.Resync {
			if err := x.resync(ctx); err != nil {
				return err
			}
			continue
		}
		x.apply(change)
		x.advance(change.Revision)
	}
}

// resync reads everything again, after following fell behind.
func (x *index) resync(ctx context.Context) error {
	snapshot, err := x.c.store.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("read the store again: %w", err)
	}
	x.replace(snapshot)
	x.advance(snapshot.Revision)
	return nil
}

func (x *index) apply(change store.Record) {
	switch {
	case change.Client != nil:
		x.putClient(*change.Client)
	case change.Frontend != nil:
		x.putFrontend(*change.Frontend)
	case change.Certificate != nil:
		x.putCertificate(*change.Certificate)
	case change.Deleted.Client != "" && change.Deleted.Kind == store.KindClient:
		x.removeClient(change.Deleted.Client)
	case change.Deleted.Kind == store.KindFrontend:
		x.removeFrontend(change.Deleted.Frontend)
	case change.Deleted.Kind == store.KindCertificate:
		x.removeCertificate(certificateKey{change.Deleted.Authority, change.Deleted.Serial})
	}
}

func (x *index) putClient(r store.Client) {
	state := &clientState{admin: r.Admin, disabled: r.Disabled, tokensFrom: r.TokensFrom, sessionsFrom: r.SessionsFrom, sessionKept: r.SessionKept}
	var before *clientLimits
	if old, known := x.clients.get(r.UUID); known {
		before = old.limits
	}
	state.limits = newClientLimits(x.c.cfg.Limits.with(r.Limits), before)
	x.clients.set(r.UUID, state)
	if state.disabled {
		x.c.drop(clientKey(r.UUID), reasonDisabled)
	}
	x.c.bus.mark(r.UUID)
}

func (x *index) removeClient(id string) {
	x.clients.remove(id)
	x.c.drop(clientKey(id), reasonGone)
	x.c.journal.forget(id)
	x.c.bus.mark(id)
}

func (x *index) putFrontend(r store.Frontend) {
	x.frontendMu.Lock()
	defer x.frontendMu.Unlock()
	record := frontendOf(r)
	state := &frontendState{record: record}
	state.addresses, state.failing = x.c.expand(record)
	if old, known := x.frontends.get(record.ID); known {
		state.pool, state.limit, state.seen = old.pool, old.limit, old.seen
		state.tls = x.c.routeTLSOf(record.Options.RouteTLS, old.tls)
		state.pool.Update(x.c.poolOf(state))
		if old.record.AccessKey != record.AccessKey {
			x.byAccessKey.remove(old.record.AccessKey)
		}
	} else {
		state.tls = x.c.routeTLSOf(record.Options.RouteTLS, nil)
		state.pool, state.limit, state.seen = lb.NewPool(x.c.poolOf(state)), &lb.Limit{}, &sightings{}
	}
	applyLimits(state.limit, &record.Options)
	x.setFrontend(state)
	if !record.Active {
		x.c.dropBy(frontendKey(record.ID), &r.DrainUntil, reasonOff)
	}
}

func (x *index) setFrontend(state *frontendState) {
	x.frontends.set(state.record.ID, state)
	x.byAccessKey.set(state.record.AccessKey, state)
	x.c.bus.mark(state.record.ClientID)
}

func (x *index) removeFrontend(id string) {
	x.frontendMu.Lock()
	defer x.frontendMu.Unlock()
	old, known := x.frontends.get(id)
	if !known {
		return
	}
	x.frontends.remove(id)
	x.byAccessKey.remove(old.record.AccessKey)
	x.c.names.Set(id, nil)
	old.pool.Update(lb.PoolConfig{}) // nobody checks it any more
	x.c.drop(frontendKey(id), reasonGone)
	x.c.bus.mark(old.record.ClientID)
}

func (x *index) putCertificate(r store.Certificate) {
	state := &certificateState{clientID: r.ClientID, frontendID: r.FrontendID, name: r.Name, spki: r.SPKI, notAfter: r.NotAfter, revoked: r.RevokedAt != nil, reason: r.RevokedReason}
	state.keys = []string{clientKey(r.ClientID), frontendKey(r.FrontendID), serialKey(r.Authority, r.Serial)}
	if state.revoked {
		state.revokedAt = *r.RevokedAt
		x.revocations.Add(1)
	}
	key := certificateKey{r.Authority, r.Serial}
	if old, known := x.certificates.get(key); known {
		state.closed = old.closed
	} else if all, _ := x.byKey.get(r.SPKI); r.SPKI != "" {
		x.byKey.set(r.SPKI, append(slices.Clip(all), key))
	}
	x.setCertificate(key, state)
	if state.revoked {
		closed := *state // what others have got already is not changed
		closed.closed += x.c.dropBy(serialKey(r.Authority, r.Serial), r.DrainUntil, reasonRevoked)
		x.setCertificate(key, &closed)
	}
	x.c.bus.mark(r.ClientID)
}

func (x *index) setCertificate(key certificateKey, state *certificateState) {
	x.certificates.set(key, state)
	x.ownedMu.Lock()
	defer x.ownedMu.Unlock()
	if x.owned == nil {
		x.owned = map[string]map[certificateKey]*certificateState{}
	}
	if x.owned[state.clientID] == nil {
		x.owned[state.clientID] = map[certificateKey]*certificateState{}
	}
	x.owned[state.clientID][key] = state
}

// certificatesOf lists the certificates of a client.
func (x *index) certificatesOf(clientID string) []*certificateState {
	x.ownedMu.Lock()
	defer x.ownedMu.Unlock()
	return slices.Collect(maps.Values(x.owned[clientID]))
}

func (x *index) disown(clientID string, key certificateKey) {
	x.ownedMu.Lock()
	defer x.ownedMu.Unlock()
	delete(x.owned[clientID], key)
	if len(x.owned[clientID]) == 0 {
		delete(x.owned, clientID)
	}
}

func (x *index) removeCertificate(key certificateKey) {
	if old, known := x.certificates.get(key); known {
		x.certificates.remove(key)
		x.disown(old.clientID, key)
		x.forgetKey(old.spki, key)
		x.c.bus.mark(old.clientID)
	}
}

func (x *index) forgetKey(spki string, key certificateKey) {
	all, _ := x.byKey.get(spki)
	left := slices.DeleteFunc(slices.Clone(all), func(k certificateKey) bool { return k == key })
	if len(left) == 0 {
		x.byKey.remove(spki)
		return
	}
	x.byKey.set(spki, left)
}

// withKey lists the certificates of any client with a public key that are not revoked.
func (x *index) withKey(spki string) (good []certificateKey) {
	all, _ := x.byKey.get(spki)
	for _, key := range all {
		if state, known := x.certificates.get(key); known && !state.revoked {
			good = append(good, key)
		}
	}
	return good
}

// advance says that everything up to rev has been applied.
func (x *index) advance(rev uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if rev > x.applied {
		x.applied = rev
		close(x.moved)
		x.moved = make(chan struct{})
	}
}

// liveTimeout bounds how long an operation waits for its own change to be applied.
const liveTimeout = 10 * time.Second

// waitFor returns when everything up to rev has been applied here: that is what "live" means.
func (x *index) waitFor(ctx context.Context, rev uint64) error {
	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()
	for {
		x.mu.Lock()
		applied, moved := x.applied, x.moved
		x.mu.Unlock()
		if applied >= rev {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return &Error{Kind: KindUnavailable, Message: "The change is saved, but is not live yet.", Err: ctx.Err()}
		}
	}
}

// client returns whether a client is the administrator, and whether it exists and may act.
func (x *index) client(id string) (admin, known bool) {
	state, known := x.clients.get(id)
	if !known || state.disabled {
		return false, false
	}
	return state.admin, true
}

// tokensFrom is the moment before which tokens of a client are refused.
func (x *index) tokensFrom(id string) time.Time {
	if state, known := x.clients.get(id); known {
		return state.tokensFrom
	}
	return time.Time{}
}

// hasSession tells whether a session of a client was not ended by anything that ended them all.
func (x *index) hasSession(s store.Session) bool {
	state, known := x.clients.get(s.ClientID)
	return known && !state.disabled && (!s.CreatedAt.Before(state.sessionsFrom) || s.IDHash == state.sessionKept)
}

func (x *index) isDisabled(id string) bool {
	state, known := x.clients.get(id)
	return known && state.disabled
}

// clientOff tells whether a client is gone or disabled.
func (x *index) clientOff(id string) bool {
	_, known := x.client(id)
	return !known
}

// table is a map with a lock: many readers, one writer. The zero value is empty.
type table[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

func (t *table[K, V]) get(key K) (V, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.m[key]
	return v, ok
}

func (t *table[K, V]) set(key K, value V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[K]V{}
	}
	t.m[key] = value
}

func (t *table[K, V]) remove(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, key)
}

func (t *table[K, V]) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.m)
}

// each calls fn for every entry under the lock, so fn must be quick and must not use the table.
func (t *table[K, V]) each(fn func(K, V)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for k, v := range t.m {
		fn(k, v)
	}
}

// all is a copy of the map, for walking it without the lock.
func (t *table[K, V]) all() map[K]V {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[K]V, len(t.m))
	for k, v := range t.m {
		all[k] = v
	}
	return all
}

// applyLimits brings a frontend's limit up to date.
func applyLimits(l *lb.Limit, o *Options) {
	l.SetMax(o.MaxConnections)
	l.SetRate(o.ConnectionsPerSec)
	l.SetBandwidth(o.BytesPerSec)
}
