package lb

import (
	"container/heap"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

// CheckerConfig is what a Checker works with. The zero value checks and tells nobody.
type CheckerConfig struct {
	// Dialer connects to targets. Nil is the zero Dialer.
	Dialer *Dialer
	// Report hears of every check that says something about its target: not of one that failed for a
	// fault of this machine. It is called from many goroutines, for one target in order. It holds up its
	// worker, and may call the Checker. A result that is on its way may still come just after Set or
	// Remove has dropped its target. Nil is nobody.
	Report func(owner, addr string, r Result)
	// Workers is how many checks there are at once. Half of them serve the targets that were slow to
	// answer, so that silent targets do not delay the others. 0 and negative are 16; at least 2.
	Workers int
}

// Target is an address to check.
type Target struct {
	Addr  string // host:port
	Check Check
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
	defaultCheckWorkers = 16
	slowCheck           = 250 * time.Millisecond // from here on a target is slow
	longestSpread       = 30 * time.Second       // of first checks, when the interval is longer
)

// Checker checks many targets from few goroutines, and tells whether they are up. Targets have owners, such
// as pools: the same address of two owners is two targets. The first check of a target decides at once
// whether it is up, later ones have to agree Rise or Fall times. Make one with NewChecker. All methods are
// safe for concurrent use; there is no goroutine but during Run.
type Checker struct {
	cfg   CheckerConfig
	probe func(ctx context.Context, t Target) error

	quick, slow lane

	mu      sync.Mutex // also of the lanes and targets
	owners  map[string]map[string]*target
	started float64 // where in its interval the next new target starts, from 0 to 1
	skipped int64
	ran     bool
}

// NewChecker returns a checker without targets. It does nothing until Run.
func NewChecker(cfg CheckerConfig) *Checker {
	if cfg.Workers <= 0 {
		cfg.Workers = defaultCheckWorkers
	}
	if cfg.Report == nil {
		cfg.Report = func(string, string, Result) {}
	}
	c := &Checker{cfg: cfg, owners: map[string]map[string]*target{}}
	c.probe = func(ctx context.Context, t Target) error { return t.Check.Probe(ctx, cfg.Dialer, t.Addr) }
	for _, l := range []*lane{&c.quick, &c.slow} {
		l.wake, l.jobs = make(chan struct{}, 1), make(chan *target)
	}
	return c
}

// target is one address of one owner. The checker's lock guards it.
type target struct {
	Target
	owner string

	lane  *lane
	index int       // in the lane's heap; -1 while it is being checked
	due   time.Time // the zero time is before all others
	again bool      // while being checked: the settings have changed or CheckNow was called
	stale bool      // while being checked: the settings have changed
	gone  bool

	known, up bool
	since     time.Time
	contrary  int // checks in a row that disagree with the verdict
}

// Set replaces the targets of an owner. Targets that stay, by their address, keep their verdict and their
// turn. A target whose check is set differently is checked with the new settings at once; a check of the old
// settings that is under way does not count. The first checks of new targets are spread over an interval, or
// 30 s if that is less. Of two targets with one address the first one counts; targets with CheckNone are
// left out.
func (c *Checker) Set(owner string, targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, now := c.owners[owner], time.Now()
	after := make(map[string]*target, len(targets))
	for _, wanted := range targets {
		if wanted.Check.Kind == CheckNone || after[wanted.Addr] != nil {
			continue
		}
		wanted.Check = wanted.Check.withDefaults()
		t := before[wanted.Addr]
		if t == nil {
			t = &target{Target: wanted, owner: owner, index: -1, lane: &c.quick}
			c.schedule(t, now.Add(c.nextStart(wanted.Check.Interval)))
		} else if !t.Check.equal(wanted.Check) {
			t.Check, t.contrary, t.stale = wanted.Check, 0, true
			c.hurry(t)
		}
		delete(before, wanted.Addr)
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

// Remove drops all targets of an owner.
func (c *Checker) Remove(owner string) { c.Set(owner, nil) }

func (c *Checker) drop(targets map[string]*target) {
	for _, t := range targets {
		t.gone = true
		if t.index >= 0 {
			heap.Remove(&t.lane.due, t.index)
		}
	}
}

// CheckNow checks a target before all others, and once more when it is being checked. It returns false when
// there is no such target.
func (c *Checker) CheckNow(owner, addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.owners[owner][addr]
	if t != nil {
		c.hurry(t)
	}
	return t != nil
}

func (c *Checker) hurry(t *target) {
	if t.index >= 0 {
		heap.Remove(&t.lane.due, t.index)
		c.schedule(t, time.Time{})
		return
	}
	t.again = true
}

// schedule puts a target that is not in a lane into its lane.
func (c *Checker) schedule(t *target, due time.Time) {
	t.due = due
	heap.Push(&t.lane.due, t)
	if t.index == 0 {
		t.lane.nudge()
	}
}

// CheckerStats is how a checker is doing.
type CheckerStats struct {
	Targets int
	Late    time.Duration // how long a check has been due and not begun: when it grows, there are too few workers
	Skipped int64         // checks that failed for a fault of this machine, ever
}

// Stats returns the numbers of this moment.
func (c *Checker) Stats() CheckerStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	stats := CheckerStats{Late: max(c.quick.late(now), c.slow.late(now)), Skipped: c.skipped}
	for _, targets := range c.owners {
		stats.Targets += len(targets)
	}
	return stats
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
	slow := max(c.cfg.Workers/2, 1)
	for l, workers := range map[*lane]int{&c.slow: slow, &c.quick: max(c.cfg.Workers-slow, 1)} {
		running.Go(func() { c.dispatch(ctx, l) })
		for range workers {
			running.Go(func() {
				for t := range l.jobs {
					c.check(ctx, t)
				}
			})
		}
	}
	running.Wait()
	return nil
}

// dispatch hands the targets of a lane to its workers when they are due, until ctx ends.
func (c *Checker) dispatch(ctx context.Context, l *lane) {
	defer close(l.jobs)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t, wait := c.next(l)
		if t != nil {
			select {
			case l.jobs <- t:
				continue
			case <-ctx.Done():
				return
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

// next takes out the target that is due, or tells how long to wait for one.
func (c *Checker) next(l *lane) (*target, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.due) == 0 {
		return nil, time.Hour // or until somebody nudges
	}
	if wait := time.Until(l.due[0].due); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&l.due).(*target), 0
}

// check does one check of a target, reports it and puts the target back into a lane.
func (c *Checker) check(ctx context.Context, t *target) {
	began := time.Now()
	wanted, ok := c.begin(t)
	if !ok {
		return
	}
	err := c.probe(ctx, wanted)
	if ctx.Err() != nil {
		return
	}
	if r, ok := c.conclude(t, began, err); ok {
		c.cfg.Report(t.owner, t.Addr, r)
	}
	c.reschedule(t, began)
}

// begin returns what to check, and false when the target was dropped while it waited for a worker.
func (c *Checker) begin(t *target) (Target, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.again, t.stale = false, false
	return t.Target, !t.gone
}

// conclude counts a check. It returns false when the check says nothing about the target.
func (c *Checker) conclude(t *target, began time.Time, err error) (Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ours(err) {
		c.skipped++
		return Result{}, false
	}
	if t.gone || t.stale {
		return Result{}, false
	}
	r := Result{At: time.Now()}
	r.Took = r.At.Sub(began)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		r.Reason, r.Detail = refusal.Reason, refusal.Detail
	}
	r.Changed = t.judge(err == nil, r.At)
	r.Up, r.Since = t.up, t.since
	t.lane = &c.quick
	if r.Took >= slowCheck {
		t.lane = &c.slow
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
	t.known, t.up, t.since, t.contrary = true, passed, at, 0
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

// lane is a queue of targets with workers of its own.
type lane struct {
	due  dueHeap
	wake chan struct{}
	jobs chan *target
}

// late is how long the first in the queue has waited beyond its time.
func (l *lane) late(now time.Time) time.Duration {
	if len(l.due) == 0 || l.due[0].due.IsZero() {
		return 0
	}
	return max(now.Sub(l.due[0].due), 0)
}

// nudge tells the dispatcher that something is due earlier than it knew.
func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// dueHeap is a heap of targets, the one that is due first on top.
type dueHeap []*target

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	t := x.(*target)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil // the array must not keep it
	*h = (*h)[:last]
	t.index = -1
	return t
}
