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
	// Concurrency is how many look-ups run at once at most. 0 and negative are 16.
	Concurrency int
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
	defaultNamesConcurrency = 16
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
// An expanded backend has lost its name, so TLS to it needs BackendTLS.ServerName.
//
// Make one with NewNames. All methods are safe for concurrent use. Nothing is looked up unless Run runs.
type Names struct {
	cfg     NamesConfig
	wake    chan struct{} // there may be something due sooner
	telling sync.Mutex    // held while Changed is called

	mu    sync.Mutex
	hosts map[string]*hostName
}

// hostName is one name with its last answer.
type hostName struct {
	keys  map[string]struct{} // that use it; never empty
	state NameState
	due   time.Time
	busy  bool // being looked up
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
	return &Names{cfg: cfg.withDefaults(), wake: make(chan struct{}, 1), hosts: map[string]*hostName{}}
}

// Set says which backends a key uses, such as a pool's; it replaces what was said before, and no backends
// forget the key. Routes are host:port. Names that are new are looked up at once.
func (n *Names) Set(key string, backends []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wanted := map[string]bool{}
	for _, backend := range backends {
		if host, _, isName := splitName(backend); isName {
			wanted[host] = true
		}
	}
	for host, h := range n.hosts {
		if wanted[host] {
			continue
		}
		delete(h.keys, key)
		if len(h.keys) == 0 {
			delete(n.hosts, host)
		}
	}
	for host := range wanted {
		if n.hosts[host] == nil {
			n.hosts[host] = &hostName{keys: map[string]struct{}{}}
			addresses, at := n.cfg.Recall(host)
			n.hosts[host].state = NameState{Addresses: tidy(addresses, n.cfg.Network == ""), LastGood: at}
		}
		n.hosts[host].keys[key] = struct{}{}
	}
	n.poke()
}

// Expand returns the backends that stand for backend: one for each address of its name, sorted, or backend
// itself when it has no name, or one without an answer so far, which the dial looks up then.
func (n *Names) Expand(backend string) []string {
	host, port, isName := splitName(backend)
	addresses := n.State(host).Addresses
	if !isName || len(addresses) == 0 {
		return []string{backend}
	}
	backends := make([]string, len(addresses))
	for i, address := range addresses {
		backends[i] = net.JoinHostPort(address.String(), port)
	}
	return backends
}

// State tells what is known about a host; it is the zero value for one that no key uses or that has not
// been looked up yet.
func (n *Names) State(host string) NameState {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[strings.ToLower(host)]
	if h == nil {
		return NameState{}
	}
	state := h.state
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
	slots := make(chan struct{}, n.cfg.Concurrency)
	for {
		host, h, wait := n.next(time.Now())
		if h == nil {
			select {
			case <-n.wake:
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		select {
		case slots <- struct{}{}:
			running.Go(func() {
				defer func() { <-slots }()
				n.lookUp(ctx, host, h)
			})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next takes the name that has been due for longest, or tells how long none will be.
func (n *Names) next(now time.Time) (string, *hostName, time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var host string
	var first *hostName
	for name, h := range n.hosts {
		if !h.busy && (first == nil || h.due.Before(first.due)) {
			host = name
			first = h
		}
	}
	if first == nil {
		return "", nil, n.cfg.Interval // a look-up that ends, or Set, wakes before
	}
	if wait := first.due.Sub(now); wait > 0 {
		return "", nil, wait
	}
	first.busy = true
	return host, first, 0
}

// lookUp asks for a name and says who has to know.
func (n *Names) lookUp(ctx context.Context, host string, h *hostName) {
	asking, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	found, err := n.cfg.Resolver.LookupNetIP(asking, cmp.Or(n.cfg.Network, "ip"), host)
	if ctx.Err() != nil {
		return // says nothing about the name
	}
	keys := n.answer(h, found, err)
	if len(keys) == 0 {
		return
	}
	n.telling.Lock()
	defer n.telling.Unlock()
	n.cfg.Answered(host, n.State(host))
	for _, key := range keys {
		n.cfg.Changed(key)
	}
}

// answer keeps the result of a look-up and returns the keys for which it changes something. A name that was
// dropped meanwhile has none.
func (n *Names) answer(h *hostName, found []netip.Addr, err error) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.poke()
	now := time.Now()
	before := h.state
	h.busy = false
	h.due = now.Add(jitter(n.cfg.Interval))
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
		return nil
	}
	return slices.Sorted(maps.Keys(h.keys))
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
