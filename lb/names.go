package lb

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xdire/xlb/internal/heap"
)

// NamesConfig says how names are looked up.
type NamesConfig struct {
	// Resolver looks names up. Nil is net.DefaultResolver.
	Resolver *net.Resolver
	// Network is ip4 or ip6 to take addresses of that family only, or ip to take both. Empty takes those of
	// IPv4 where a name has any, and those of IPv6 otherwise: mostly they are the same machines.
	Network string
	// Interval is the time between two look-ups of a name, give or take a tenth. 0 and negative are 30 s.
	Interval time.Duration
	// Timeout bounds one look-up. 0 and negative are 5 s.
	Timeout time.Duration
	// Concurrency is how many look-ups run at once at most. A quarter of them is for groups of which nothing is
	// being looked up, so that a group never waits for what others hold. 0 and negative are 32; at least 4.
	Concurrency int
	// Share is how many of them one group may have. 0 and negative are 8.
	Share int
	// Recall returns what a name stood for when it was looked up last, by an earlier process, and when that
	// was; it holds until a look-up succeeds. It is asked by Set for a name that is new, must not block and
	// not call back. Nil knows nothing.
	Recall func(host string) ([]netip.Addr, time.Time)
	// Answered hears of each look-up that changes what is known about a name: other addresses, or the first
	// one that fails or succeeds. It is called before Changed, as that one is. Nil is not called.
	Answered func(host string, state NameState)
	// Changed hears of every key one of whose names has other addresses than before, the first ones
	// included, or begins or ceases to fail. It is called by one goroutine at a time, and may still come for a key that Set has just
	// dropped. It may call every method but Run, and should not block: look-ups wait for it. Nil is not called.
	Changed func(key string)
}

const (
	defaultNamesInterval    = 30 * time.Second
	defaultNamesTimeout     = 5 * time.Second
	defaultNamesConcurrency = 32
	defaultNamesShare       = 8
)

func (c NamesConfig) withDefaults() NamesConfig {
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Interval <= 0 {
		c.Interval = defaultNamesInterval
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultNamesTimeout
	}
	if c.Concurrency <= 0 {
		c.Concurrency = defaultNamesConcurrency
	}
	c.Concurrency = max(c.Concurrency, 4)
	if c.Share <= 0 {
		c.Share = defaultNamesShare
	}
	if c.Recall == nil {
		c.Recall = func(string) ([]netip.Addr, time.Time) { return nil, time.Time{} }
	}
	if c.Answered == nil {
		c.Answered = func(string, NameState) {}
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	return c
}

// maxNameAddresses bounds the backends that one name turns into: whoever runs its zone chooses the answer.
const maxNameAddresses = 64

// Names turns backends with a name into a backend for each of its addresses, and keeps up with the zone. When
// a look-up fails, the last good answer stays, however old it is. Whether an address may be dialled is
// asked at the dial, by Dialer.Allow: a look-up is no permission.
//
// Groups, such as the tenants of a program, have even shares of the look-ups. A group's names are its own: one that
// two groups use is looked up for each of them, so that neither waits for the other. A group may be anything that
// can be compared; nil is one like any other.
//
// An expanded backend has lost its name, so TLS to it needs BackendTLS.ServerName.
//
// Make one with NewNames. All methods are safe for concurrent use. Nothing is looked up unless Run runs.
type Names struct {
	cfg     NamesConfig
	wake    chan struct{} // there may be something due sooner
	telling sync.Mutex    // held while Changed is called

	mu      sync.Mutex
	groups  map[any]*nameGroup
	keys    map[string]keyUse
	running int // look-ups
}

// keyUse is what a key was last set to.
type keyUse struct {
	group any
	hosts []string
}

// nameGroup is the names of a group.
type nameGroup struct {
	of      any
	hosts   map[string]*hostName
	due     *heap.Heap[*hostName] // those that are not being looked up
	running int
}

// hostName is one name of a group with its last answer.
type hostName struct {
	group *nameGroup
	host  string
	index int // in the group's heap, -1 while it is being looked up
	gone  bool

	keys  map[string]struct{} // that use it; never empty
	state NameState
	due   time.Time
}

// NameState is what is known about a name.
type NameState struct {
	Addresses []netip.Addr // sorted; of the last look-up that succeeded
	LastGood  time.Time    // when that was; the zero value is never
	Err       error        // of the last look-up, nil when it succeeded
	FailsFrom time.Time    // the first look-up that failed since one succeeded; the zero value when Err is nil
}

// NewNames returns Names without any name.
func NewNames(cfg NamesConfig) *Names {
	return &Names{cfg: cfg.withDefaults(), wake: make(chan struct{}, 1), groups: map[any]*nameGroup{}, keys: map[string]keyUse{}}
}

// Set says which backends a key of a group uses, such as a pool's; it replaces what was said before, and no backends
// forget the key. Backends are host:port. Names that are new to the group are looked up at once.
func (n *Names) Set(group any, key string, backends []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wanted := map[string]bool{}
	for _, backend := range backends {
		if host, _, isName := splitName(backend); isName {
			wanted[host] = true
		}
	}
	before := n.keys[key]
	for _, host := range before.hosts {
		if before.group != group || !wanted[host] {
			n.release(before.group, host, key)
		}
	}
	for host := range wanted {
		n.use(group, host, key)
	}
	delete(n.keys, key)
	if len(wanted) > 0 {
		n.keys[key] = keyUse{group, slices.Collect(maps.Keys(wanted))}
	}
	n.poke()
}

// use notes that a key of a group uses a name. The caller holds the lock.
func (n *Names) use(group any, host, key string) {
	g := n.groups[group]
	if g == nil {
		g = &nameGroup{of: group, hosts: map[string]*hostName{}}
		g.due = heap.New(func(a, b *hostName) bool { return a.due.Before(b.due) }, func(h *hostName) *int { return &h.index })
		n.groups[group] = g
	}
	h := g.hosts[host]
	if h == nil {
		h = &hostName{group: g, host: host, index: -1, keys: map[string]struct{}{}}
		addresses, at := n.cfg.Recall(host)
		h.state = NameState{Addresses: tidy(addresses, n.cfg.Network == ""), LastGood: at}
		g.hosts[host] = h
		g.due.Push(h)
	}
	h.keys[key] = struct{}{}
}

// release notes that a key does not use a name any more. The caller holds the lock.
func (n *Names) release(group any, host, key string) {
	g := n.groups[group]
	h := g.hosts[host]
	delete(h.keys, key)
	if len(h.keys) > 0 {
		return
	}
	h.gone = true
	delete(g.hosts, host)
	if h.index >= 0 {
		g.due.Remove(h)
	}
	n.forget(g)
}

// forget drops a group that has nothing: one with look-ups under way stays, or its share would begin anew.
func (n *Names) forget(g *nameGroup) {
	if len(g.hosts) == 0 && g.running == 0 {
		delete(n.groups, g.of)
	}
}

// Expand returns the backends that stand for a backend of a group: one for each address of its name, sorted, or the
// backend itself when it has no name, or one without an answer so far, which the dial looks up then.
func (n *Names) Expand(group any, backend string) []string {
	host, port, isName := splitName(backend)
	addresses := n.State(group, host).Addresses
	if !isName || len(addresses) == 0 {
		return []string{backend}
	}
	backends := make([]string, len(addresses))
	for i, address := range addresses {
		backends[i] = net.JoinHostPort(address.String(), port)
	}
	return backends
}

// State tells what is known about a host of a group; it is the zero value for one that no key uses or that has not
// been looked up yet.
func (n *Names) State(group any, host string) NameState {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.groups[group]
	if g == nil || g.hosts[strings.ToLower(host)] == nil {
		return NameState{}
	}
	state := g.hosts[strings.ToLower(host)].state
	state.Addresses = slices.Clone(state.Addresses)
	return state
}

// splitName tells whether a backend has a name rather than an address, and which.
func splitName(backend string) (host, port string, isName bool) {
	host, port, err := net.SplitHostPort(backend)
	if err != nil || host == "" {
		return "", "", false
	}
	_, err = netip.ParseAddr(host)
	return strings.ToLower(host), port, err != nil
}

// Run looks names up until ctx ends, and returns its error once all look-ups have returned. It is called
// once. net.Resolver itself may keep a question that was given up open for some seconds more.
func (n *Names) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		h, wait := n.next(time.Now())
		if h != nil {
			running.Go(func() { n.lookUp(ctx, h) })
			continue
		}
		select {
		case <-n.wake:
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next takes a name that is due, of the group with the fewest look-ups under way, or tells how long none will be.
func (n *Names) next(now time.Time) (*hostName, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wait := n.cfg.Interval // a look-up that ends, or Set, wakes before
	free := n.cfg.Concurrency - n.running
	if free <= 0 {
		return nil, wait
	}
	var best *nameGroup
	for _, g := range n.groups {
		if g.due.Len() == 0 || g.running >= n.cfg.Share {
			continue
		}
		if left := g.due.Top().due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if best == nil || g.running < best.running || g.running == best.running && g.due.Top().due.Before(best.due.Top().due) {
			best = g
		}
	}
	if best == nil || free <= n.cfg.Concurrency/4 && best.running > 0 {
		return nil, wait
	}
	best.running++
	n.running++
	return best.due.Pop(), 0
}

// lookUp asks for a name and says who has to know.
func (n *Names) lookUp(ctx context.Context, h *hostName) {
	asking, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	found, err := n.cfg.Resolver.LookupNetIP(asking, cmp.Or(n.cfg.Network, "ip"), h.host)
	if ctx.Err() != nil {
		return // says nothing about the name
	}
	keys, state := n.answer(h, found, err)
	if len(keys) == 0 {
		return
	}
	n.telling.Lock()
	defer n.telling.Unlock()
	n.cfg.Answered(h.host, state)
	for _, key := range keys {
		n.cfg.Changed(key)
	}
}

// answer keeps the result of a look-up and returns the keys for which it changes something, with what is known now. A
// name that was dropped meanwhile has none.
func (n *Names) answer(h *hostName, found []netip.Addr, err error) ([]string, NameState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.poke()
	now := time.Now()
	before := h.state
	n.running--
	h.group.running--
	n.forget(h.group)
	h.due = now.Add(jitter(n.cfg.Interval))
	if !h.gone {
		h.group.due.Push(h)
	}
	h.state.Err = err
	switch {
	case err == nil:
		h.state.Addresses = tidy(found, n.cfg.Network == "")
		h.state.LastGood = now
		h.state.FailsFrom = time.Time{}
	case before.Err == nil:
		h.state.FailsFrom = now
	}
	if slices.Equal(before.Addresses, h.state.Addresses) && (before.Err == nil) == (err == nil) {
		return nil, NameState{}
	}
	state := h.state
	state.Addresses = slices.Clone(state.Addresses)
	return slices.Sorted(maps.Keys(h.keys)), state
}

func (n *Names) poke() {
	select {
	case n.wake <- struct{}{}:
	default: // it is awake already
	}
}

// tidy sorts, so that an answer in another order is no change. IPv4 comes first.
func tidy(found []netip.Addr, oneFamily bool) []netip.Addr {
	addresses := make([]netip.Addr, len(found))
	for i, a := range found {
		addresses[i] = a.Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)
	if oneFamily && len(addresses) > 0 && addresses[0].Is4() {
		addresses = slices.DeleteFunc(addresses, netip.Addr.Is6)
	}
	return addresses[:min(len(addresses), maxNameAddresses)]
}

// jitter keeps names that were set together from being looked up together for ever.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
