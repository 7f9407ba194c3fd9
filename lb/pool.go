package lb

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/lb/health"
)

// Backend is one destination of a pool.
type Backend struct {
	Addr     string // host:port; a name is looked up at every dial
	Capacity int    // most connections at once; 0 and negative are no bound
	// TLS is spoken to the backend. Nil is plain TCP.
	TLS *BackendTLS
	// ProxyProtocol is the version of the PROXY header that the backend gets, 1 or 2. 0 is none.
	ProxyProtocol int
	// Weight is its share among the others, 1 to 256: twice the weight, twice the connections. 0 and
	// negative are 1, more is 256.
	Weight int
	// Backup backends get connections only while no primary, which is one that is no backup, is usable:
	// Ready, and healthy or in a panic, or after no primary has answered. Primaries that are full are
	// usable: connections wait for them.
	Backup bool
	// State is what the operator wants of it.
	State State
	// Check is how PoolConfig.Checker looks at it, with the PROXY header that it expects in front. The zero
	// value is no check.
	Check health.Check
}

const maxWeight = 256

// PoolConfig is what a pool balances over.
type PoolConfig struct {
	Strategy Strategy
	// Backends have distinct addresses; a second one of the same address is ignored.
	Backends []Backend
	// Budget is the time one connection has for waiting and for all its dials. 0 is 30 s, negative is none.
	Budget time.Duration
	// QueueLimit is how many connections may wait while all backends are full. 0 is 1024, negative is none.
	QueueLimit int
	// DrainTimeout is how long connections to a backend that is removed or put into Drain may go on.
	// 0 is 5 minutes, negative is for ever.
	DrainTimeout time.Duration
	// PanicPercent is how many of the primaries that are Ready have to be healthy. When fewer are, the few
	// could not bear it, or the checks are wrong: health is ignored then, and all that are Ready get
	// connections. There is no panic while a backup is Ready and healthy. Where no primary is Ready, the
	// backups are used though none is healthy. 0 is 50, negative is never: connections are refused when
	// nobody is healthy.
	PanicPercent int
	// SlowStart is how long the weight of a backend that is Up again takes to grow evenly from a tenth to
	// the full one, with any strategy. It does not apply to backends that were never seen to fail. 0 and
	// negative are off.
	SlowStart time.Duration
	// Checker does the checks of the backends, and probes those that are ejected. One checker serves many
	// pools; whoever calls its Run owns its goroutines. Nil checks and probes nothing. A pool without
	// backends has no part in it: update it to that when it is not used any more.
	Checker *health.Checker
	// Group is whose pool it is, for the checker: see health.Target.
	Group any
	// Eject lets backends rest to which connections fail. The zero value does not.
	Eject EjectConfig
	// CloseOnDown closes, within a second, the connections of a backend that a check finds down.
	CloseOnDown bool
	// Changed hears when a backend's health comes to be another than it was, or is known for the first time. It
	// is called with the pool locked: it must not block, nor call the pool. Nil is not called.
	Changed func(addr string, h Health)
	// Checked hears of every check of a backend that the Checker does. It is called as Changed is. Nil is not called.
	Checked func(addr string, r health.Result)
}

const (
	defaultBudget       = 30 * time.Second
	defaultQueueLimit   = 1024
	defaultDrainTimeout = 5 * time.Minute
	defaultPanicPercent = 50
)

func (c PoolConfig) withDefaults() PoolConfig {
	if c.Budget == 0 {
		c.Budget = defaultBudget
	}
	if c.QueueLimit == 0 {
		c.QueueLimit = defaultQueueLimit
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	if c.PanicPercent == 0 {
		c.PanicPercent = defaultPanicPercent
	}
	c.PanicPercent = min(c.PanicPercent, 100)
	c.SlowStart = max(c.SlowStart, 0)
	c.Backends = append([]Backend(nil), c.Backends...)
	return c
}

// Pool balances connections over backends. It can be changed at any time, and used by several servers.
// It starts no goroutine and needs no closing.
type Pool struct {
	mu       sync.Mutex
	cfg      PoolConfig
	eject    ejector
	probing  int // ejected backends that the checker probes
	backends []*backend
	removed  map[string]*backend // with connections that may still finish
	queue    queue
	total    int64   // connections that got a backend
	retired  traffic // of removed backends whose last connection has ended

	policy     policy
	candidates []*backend // whom the policy may pick
	spares     []*backend // for a connection that has tried all of them in vain
	free       int        // candidates that are not full
	panics     bool       // health is ignored
	picks      uint64     // ever
	warming    bool       // some backend starts slowly
	nextWeigh  time.Time  // while warming
}

// NewPool returns a pool.
func NewPool(cfg PoolConfig) *Pool {
	p := &Pool{removed: map[string]*backend{}}
	p.Update(cfg)
	return p
}

// backend is one destination with its state. The pool's lock guards what is not atomic.
type backend struct {
	addr     string
	capacity int
	tls      *BackendTLS
	proxy    int
	weight   int
	backup   bool
	state    State
	health   Health    // of the two below
	checked  Health    // what checks found
	passive  Health    // Ejected because connects failed, or Up because a probe reached it afterwards
	warmFrom time.Time // since when it starts slowly; zero when it does not
	active   int

	at       int     // its place among the candidates, -1 when it is none
	share    float64 // its weight of this moment, smaller while it starts slowly
	warmth   float64 // the share for a weight of 1: 1, or less while it starts slowly
	credit   float64 // for roundRobin: parts of a turn that it has saved up
	turn     uint64  // the pick that took it last, 0 is none
	rank     int     // for ranking: its place in the heap
	lastTurn float64 // for weightedRoundRobin: the time of its last turn, in rounds

	total, failed int64
	lastReason    Reason // of the last dial, empty when it succeeded
	lastFailure   time.Time
	connectTime   time.Duration
	traffic       liveTraffic
	closeBy       atomic.Int64 // Unix nanoseconds; set when removed, draining or in maintenance, 0 otherwise
	cutOff        atomic.Int64 // Unix nanoseconds; connections from before are closed, 0 for none

	check      health.Check
	watched    bool    // the checker has it as a target
	gone       bool    // not in the pool any more
	account    suspect // of its failures
	rest       *time.Timer
	byteCounts atomic.Bool // a connect proves nothing, see EjectConfig.EarlyClose
}

func (b *backend) full() bool { return b.capacity > 0 && b.active >= b.capacity }

// open tells whether a connection that has tried others can have the backend.
func (b *backend) open(tried attempts) bool { return !b.full() && !tried.has(b) }

// closeAfter gives the connections the time d, once; negative is for ever.
func (b *backend) closeAfter(d time.Duration) {
	if d > 0 && b.closeBy.Load() == 0 {
		b.closeBy.Store(time.Now().Add(d).UnixNano())
	}
}

// closesAt is when what is left is closed, zero for never.
func (b *backend) closesAt() time.Time {
	if by := b.closeBy.Load(); by != 0 {
		return time.Unix(0, by)
	}
	return time.Time{}
}

type traffic struct{ in, out int64 }

type liveTraffic struct{ in, out atomic.Int64 }

func (t *liveTraffic) load() traffic { return traffic{t.in.Load(), t.out.Load()} }

func (t *traffic) add(o traffic) { t.in, t.out = t.in+o.in, t.out+o.out }

// Update replaces the configuration, for the next connection. Backends that stay, by their address, keep
// their connections, numbers and health, and whose turn it is stays as it was unless the strategy changes.
// Connections to removed backends may go on for DrainTimeout.
func (p *Pool) Update(cfg PoolConfig) {
	cfg = cfg.withDefaults()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.policy == nil || cfg.Strategy != p.cfg.Strategy {
		p.policy = newPolicy(cfg.Strategy)
	}
	gone := map[string]*backend{}
	for _, b := range p.backends {
		gone[b.addr] = b
	}
	taken := make(map[string]bool, len(cfg.Backends))
	if p.cfg.Checker != nil && p.cfg.Checker != cfg.Checker {
		p.unwatch(p.cfg.Checker)
	}
	p.cfg = cfg
	p.backends = nil
	for _, wanted := range cfg.Backends {
		if taken[wanted.Addr] {
			continue
		}
		taken[wanted.Addr] = true
		b := gone[wanted.Addr]
		if b == nil {
			b = p.revive(wanted.Addr)
		}
		delete(gone, wanted.Addr)
		b.configure(wanted, cfg)
		p.backends = append(p.backends, b)
	}
	for _, b := range gone {
		p.retire(b, cfg.DrainTimeout)
	}
	p.recount()
	p.watch()
	for _, b := range p.backends {
		b.health = b.verdict()
	}
	p.arrange()
}

// configure gives the backend what is wanted of it.
func (b *backend) configure(wanted Backend, cfg PoolConfig) {
	b.capacity = wanted.Capacity
	b.backup = wanted.Backup
	b.state = wanted.State
	b.weight = min(max(wanted.Weight, 1), maxWeight)
	b.tls = wanted.TLS
	b.proxy = wanted.ProxyProtocol
	b.check = wanted.Check
	b.byteCounts.Store(cfg.Eject.Failures > 0 && cfg.Eject.EarlyClose)
	if b.watched && b.check.Kind == health.None {
		b.checked = Health{} // nobody looks any more
	}
	switch b.state {
	case Ready:
		b.closeBy.Store(0)
	case Drain:
		b.closeAfter(cfg.DrainTimeout)
	case Maintenance:
		if by, now := b.closeBy.Load(), time.Now().UnixNano(); by == 0 || by > now {
			b.closeBy.Store(now)
		}
	}
}

// opening tells how connections to b begin.
func (p *Pool) opening(b *backend) (over *BackendTLS, proxy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.tls, b.proxy
}

// revive returns the backend of that address that is still draining, or a new one.
func (p *Pool) revive(addr string) *backend {
	b := p.removed[addr]
	if b == nil {
		return &backend{addr: addr}
	}
	delete(p.removed, addr)
	// Nobody has looked while it was gone.
	b.gone = false
	b.checked = Health{}
	b.passive = Health{}
	b.health = Health{}
	b.warmFrom = time.Time{}
	b.account = suspect{}
	return b
}

func (p *Pool) retire(b *backend, drain time.Duration) {
	b.at = -1
	b.gone = true
	b.watched = false
	if b.rest != nil {
		b.rest.Stop()
	}
	if b.active == 0 {
		p.retired.add(b.traffic.load())
		return
	}
	b.closeAfter(drain)
	p.removed[b.addr] = b
}

// occupy takes n slots of a backend, or gives them back when n is negative. The caller holds the lock.
func (p *Pool) occupy(b *backend, n int) {
	wasFull := b.full()
	b.active += n
	if b.at < 0 {
		return
	}
	switch isFull := b.full(); {
	case isFull && !wasFull:
		p.free--
	case wasFull && !isFull:
		p.free++
	}
	p.policy.moved(b)
}

// release gives a backend's slot back, to the first in the queue who can use it.
func (p *Pool) release(b *backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.occupy(b, -1)
	if b.active == 0 && p.removed[b.addr] == b {
		delete(p.removed, b.addr)
		p.retired.add(b.traffic.load())
	}
	p.serveQueue()
}

// dialled notes how a dial went. This machine's own shortages say nothing about the backend.
func (p *Pool) dialled(b *backend, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		b.total++
		p.total++
		b.connectTime = took
		b.lastReason = ""
		if !b.byteCounts.Load() {
			p.succeeded(b)
		}
		return
	}
	reason := ReasonOf(err)
	if reason == ReasonInternal {
		return
	}
	b.failed++
	b.lastReason = reason
	b.lastFailure = time.Now()
	if reason != ReasonBackendPolicy { // that is this side's rule
		p.failed(b, reason)
	}
}

// PoolStats is what a pool is doing. Byte counts grow while connections are open.
type PoolStats struct {
	Active     int           // connections that have a backend
	Waiting    int           // connections in the queue
	QueueLimit int           // most of them, 0 when nobody may wait
	OldestWait time.Duration // how long the first in the queue has waited, 0 when it is empty
	Panic      bool          // health is ignored, see PoolConfig.PanicPercent
	Total      int64         // connections that a backend took, ever
	BytesIn    int64         // from clients, ever
	BytesOut   int64         // to clients, ever
	Backends   []BackendStats
	Removed    []BackendStats // that still have connections
}

// BackendStats is what one backend is doing.
type BackendStats struct {
	Addr            string
	Weight          int // as configured, whatever slow start makes of it
	Backup          bool
	State           State
	Health          Health
	Active          int
	Total           int64 // connections that it took
	Failed          int64 // dials that failed
	BytesIn         int64 // from clients
	BytesOut        int64 // to clients
	ConnectTime     time.Duration
	LastErrorReason Reason // empty when the last dial succeeded
	LastErrorAt     time.Time
	ClosesAt        time.Time // when connections that are left are closed; zero for never
}

// Stats returns the numbers of this moment.
func (p *Pool) Stats() PoolStats {
	var stats PoolStats
	p.ReadStats(&stats)
	return stats
}

// ReadStats is Stats into memory that the caller has: the lists of stats are used again, what was in them is gone.
func (p *Pool) ReadStats(stats *PoolStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*stats = PoolStats{
		Waiting: p.queue.len, QueueLimit: max(p.cfg.QueueLimit, 0), OldestWait: p.queue.oldest(), Panic: p.panics,
		Total: p.total, Backends: stats.Backends[:0], Removed: stats.Removed[:0],
	}
	sum := p.retired
	for _, b := range p.backends {
		stats.Backends = append(stats.Backends, b.stats())
	}
	for _, b := range p.removed {
		stats.Removed = append(stats.Removed, b.stats())
	}
	for _, all := range [...][]BackendStats{stats.Backends, stats.Removed} {
		for _, b := range all {
			stats.Active += b.Active
			sum.add(traffic{b.BytesIn, b.BytesOut})
		}
	}
	slices.SortFunc(stats.Removed, func(a, b BackendStats) int { return strings.Compare(a.Addr, b.Addr) })
	stats.BytesIn = sum.in
	stats.BytesOut = sum.out
}

// stats is what the backend is doing. The caller holds the pool's lock.
func (b *backend) stats() BackendStats {
	t := b.traffic.load()
	return BackendStats{
		Addr: b.addr, Weight: b.weight, Backup: b.backup, State: b.state, Health: b.health,
		Active: b.active, Total: b.total, Failed: b.failed, BytesIn: t.in, BytesOut: t.out,
		ConnectTime: b.connectTime, LastErrorReason: b.lastReason, LastErrorAt: b.lastFailure, ClosesAt: b.closesAt(),
	}
}

// budget is the time one connection has for waiting and dialling; 0 and negative are none.
func (p *Pool) budget() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg.Budget
}
