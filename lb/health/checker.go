package health

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/xdire/xlb/internal/heap"
)

// Config is what a Checker works with. The zero value is good.
type Config struct {
	// Dial connects to targets. Nil is that of net.Dialer.
	Dial Dial
	// Workers is how many checks there are at once. A quarter of them takes only targets of groups of which
	// nothing is being checked, so that a group never waits for what others hold. 0 and negative are 64; at
	// least 4.
	Workers int
	// Share is how many checks one group may have at once. Only half of them take targets that were slow to
	// answer, and a quarter takes none that is new, so that silent targets do not delay the others of the group.
	// A silent target holds its place for its Timeout: with 16, up to 4 of them each second are checked in
	// time. 0 and negative are 16; at least 3.
	Share int
}

// Target is an address to check.
type Target struct {
	Addr  string // host:port
	Check Check
	// Group is whose target it is, such as a tenant of the program: groups have even shares of the checker. It
	// may be anything that can be compared; nil is a group like any other.
	Group any
	// Report hears of every check that says something about the target: not of one that failed for a fault
	// of this machine. It is called from many goroutines, in order. It holds up its worker, and may call the
	// Checker. A result that is on its way may still come just after Set or Remove has dropped the target.
	// Nil is not called.
	Report func(Result)
}

// Result is what a check found out.
type Result struct {
	Up      bool          // the verdict by now; one check does not change it unless it is the first, or Rise or Fall is 1
	Changed bool          // the verdict is another than before, or the first
	Since   time.Time     // when the verdict last changed
	Reason  Reason        // why this check failed; empty when it passed
	Detail  string        // for people; empty when it passed
	Took    time.Duration // of this check
	At      time.Time     // when this check ended
}

const (
	defaultCheckWorkers = 64
	defaultCheckShare   = 16
	slowCheck           = 250 * time.Millisecond // from here on a target is slow
	longestSpread       = 30 * time.Second       // of first checks, when the interval is longer
)

// Checker checks many targets from few goroutines, and tells whether they are up. Targets have owners, such
// as pools: the same address of two owners is two targets. The first check of a target decides at once
// whether it is up, later ones have to agree Rise or Fall times. Make one with NewChecker. All methods are
// safe for concurrent use; there is no goroutine but during Run.
type Checker struct {
	cfg   Config
	probe func(ctx context.Context, t Target) error

	mu      sync.Mutex // also of the groups, lanes and targets
	owners  map[any]map[string]*target
	groups  map[any]*group
	agenda  *heap.Heap[*lane] // the lanes that may begin something later, by when that is due
	waiting []*lane           // those that may begin something now
	running int               // checks
	started float64           // where in its interval the next new target starts, from 0 to 1
	ran     bool
	wake    chan struct{}
}

// NewChecker returns a checker without targets. It does nothing until Run.
func NewChecker(cfg Config) *Checker {
	if cfg.Workers <= 0 {
		cfg.Workers = defaultCheckWorkers
	}
	cfg.Workers = max(cfg.Workers, 4)
	if cfg.Share <= 0 {
		cfg.Share = defaultCheckShare
	}
	cfg.Share = max(cfg.Share, 3)
	c := &Checker{cfg: cfg, owners: map[any]map[string]*target{}, groups: map[any]*group{}, agenda: heap.New(soonest, func(l *lane) *int { return &l.index }), wake: make(chan struct{}, 1)}
	c.probe = func(ctx context.Context, t Target) error { return t.Check.Probe(ctx, cfg.Dial, t.Addr) }
	return c
}

// target is one address of one owner. The checker's lock guards it.
type target struct {
	Target

	lane  *lane
	index int       // in the lane's heap; -1 while it is being checked
	due   time.Time // the zero time is before all others
	again bool      // while being checked: the settings have changed, so once more after that
	stale bool      // while being checked: the settings have changed
	gone  bool

	known, up bool
	since     time.Time
	contrary  int // checks in a row that disagree with the verdict
}

// Set replaces the targets of an owner, which may be anything that can be compared. Targets that stay, by their address, keep their verdict and their
// turn. A target whose check is set differently is checked with the new settings at once; a check of the old
// settings that is under way does not count. The first checks of new targets are spread over an interval, or
// 30 s if that is less. Of two targets with one address the first one counts; targets with None are
// left out.
func (c *Checker) Set(owner any, targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.owners[owner]
	now := time.Now()
	after := make(map[string]*target, len(targets))
	for _, wanted := range targets {
		if wanted.Check.Kind == None || after[wanted.Addr] != nil {
			continue
		}
		wanted.Check = wanted.Check.withDefaults()
		t := before[wanted.Addr]
		if t == nil || t.Group != wanted.Group {
			t = &target{Target: wanted, index: -1}
			t.lane = &c.groupOf(wanted.Group).fresh
			t.lane.group.targets++
			c.schedule(t, now.Add(c.nextStart(wanted.Check.Interval)))
		} else if !t.Check.equal(wanted.Check) {
			t.Check = wanted.Check
			t.contrary = 0
			t.stale = true
			c.hurry(t)
		}
		t.Report = wanted.Report
		if before[wanted.Addr] == t {
			delete(before, wanted.Addr)
		}
		after[wanted.Addr] = t
	}
	c.drop(before)
	c.owners[owner] = after
	if len(after) == 0 {
		delete(c.owners, owner)
	}
}

// nextStart spreads first checks evenly however many there are and whoever owns them: steps of the golden
// ratio always fall into the widest gaps.
func (c *Checker) nextStart(interval time.Duration) time.Duration {
	share := c.started
	_, c.started = math.Modf(c.started + math.Phi)
	return time.Duration(share * float64(min(interval, longestSpread)))
}

// Late is how late the target is that waits longest for a check that is due; zero when nothing waits. Targets whose settings
// have just changed, and those that are being checked, do not count.
func (c *Checker) Late() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	late := time.Duration(0)
	for _, g := range c.groups {
		for _, l := range g.lanes() {
			if l.due.Len() > 0 && !l.due.Top().due.IsZero() {
				late = max(late, now.Sub(l.due.Top().due))
			}
		}
	}
	return late
}

// Remove drops all targets of an owner.
func (c *Checker) Remove(owner any) { c.Set(owner, nil) }

func (c *Checker) drop(targets map[string]*target) {
	for _, t := range targets {
		t.gone = true
		l := t.lane
		l.group.targets--
		if t.index >= 0 {
			l.due.Remove(t)
			c.settle(l.group)
		}
	}
}

// hurry makes a target the next one of those that are new.
func (c *Checker) hurry(t *target) {
	busy := t.index < 0
	if !busy {
		t.lane.due.Remove(t)
		c.settle(t.lane.group)
	}
	t.lane = &t.lane.group.fresh
	t.again = busy
	if !busy {
		c.schedule(t, time.Time{})
	}
}

// schedule puts a target that is not in a lane into its lane.
func (c *Checker) schedule(t *target, due time.Time) {
	t.due = due
	t.lane.due.Push(t)
	c.settle(t.lane.group)
}

// Run checks until ctx ends, and returns nil then. Checks that are under way are given up. All goroutines
// have ended when it returns. It can be called once; the error says that it was called again.
func (c *Checker) Run(ctx context.Context) error {
	c.mu.Lock()
	ran := c.ran
	c.ran = true
	c.mu.Unlock()
	if ran {
		return errors.New("lb: the checker ran already")
	}
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, from, wait := c.next(time.Now())
		if t != nil {
			running.Go(func() { c.check(ctx, t, from) })
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// check does one check of a target from a lane, reports it and puts the target back into one.
func (c *Checker) check(ctx context.Context, t *target, from *lane) {
	defer c.leave(from)
	began := time.Now()
	wanted, ok := c.begin(t)
	if !ok {
		return
	}
	err := c.probe(ctx, wanted)
	if ctx.Err() != nil {
		return
	}
	if r, ok := c.conclude(t, began, err); ok && wanted.Report != nil {
		wanted.Report(r)
	}
	c.reschedule(t, began)
}

// begin returns what to check, and false when the target was dropped while it waited for a worker.
func (c *Checker) begin(t *target) (Target, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.again = false
	t.stale = false
	return t.Target, !t.gone
}

// conclude counts a check. It returns false when the check says nothing about the target.
func (c *Checker) conclude(t *target, began time.Time, err error) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ours(err) || t.gone || t.stale {
		return Result{}, false
	}
	r := Result{At: time.Now()}
	r.Took = r.At.Sub(began)
	var failure *Failure
	if errors.As(err, &failure) {
		r.Reason = failure.Reason
		r.Detail = failure.Detail
	}
	r.Changed = t.judge(err == nil, r.At)
	r.Up = t.up
	r.Since = t.since
	t.lane = &t.lane.group.quick
	if r.Took >= slowCheck {
		t.lane = &t.lane.group.slow
	}
	return r, true
}

// judge tells whether the verdict changed.
func (t *target) judge(passed bool, at time.Time) bool {
	if t.known && t.up == passed {
		t.contrary = 0
		return false
	}
	t.contrary++
	needed := t.Check.Fall
	if passed {
		needed = t.Check.Rise
	}
	if t.known && t.contrary < needed {
		return false
	}
	t.known = true
	t.up = passed
	t.since = at
	t.contrary = 0
	return true
}

// reschedule puts a target back that was checked.
func (c *Checker) reschedule(t *target, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case t.gone:
	case t.again:
		c.schedule(t, time.Time{})
	default:
		jitter := 1 + t.Check.Jitter*(2*rand.Float64()-1)
		c.schedule(t, began.Add(time.Duration(float64(t.Check.Interval)*jitter)))
	}
}
