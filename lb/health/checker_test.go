package health

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// reports keeps what a checker told, by "owner addr".
type reports struct {
	mu  sync.Mutex
	all map[string][]Result
}

func (r *reports) report(owner, addr string, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string][]Result{}
	}
	r.all[owner+" "+addr] = append(r.all[owner+" "+addr], result)
}

func (r *reports) of(owner, addr string) []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Result(nil), r.all[owner+" "+addr]...)
}

// set gives a checker targets whose results are kept.
func (r *reports) set(c *Checker, owner string, targets []Target) {
	targets = slices.Clone(targets)
	for i := range targets {
		addr, next := targets[i].Addr, targets[i].Report
		targets[i].Report = func(result Result) {
			r.report(owner, addr, result)
			if next != nil {
				next(result)
			}
		}
	}
	c.Set(owner, targets)
}

func (c *Checker) countTargets() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, targets := range c.owners {
		n += len(targets)
	}
	return n
}

// late is how long the check that has waited longest has been due.
func (c *Checker) late() (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.groups {
		for _, l := range g.lanes() {
			if l.due.Len() > 0 && !l.due.Top().due.IsZero() {
				longest = max(longest, time.Since(l.due.Top().due))
			}
		}
	}
	return longest
}

// runChecker runs c until the function it returns is called.
func runChecker(t testing.TB, c *Checker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// scripted returns a checker in fake time that probes with probe.
func scripted(t testing.TB, probe func(context.Context, Target) error) (*Checker, *reports) {
	r := &reports{}
	c := NewChecker(Config{})
	c.probe = probe
	return c, r
}

func passes(context.Context, Target) error { return nil }

var errDown = &Failure{Reason: ReasonRefused, Detail: "connection refused"}

// tcp is a check without jitter, so that a test knows its times.
var tcp = Check{Kind: TCP, Jitter: -1}

func manyTargets(n int, check Check) []Target {
	all := make([]Target, n)
	for i := range all {
		all[i] = Target{Addr: fmt.Sprint("t:", i), Check: check}
	}
	return all
}

// silentFor is a probe without an answer: it lasts, but not after its end.
func silentFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return &Failure{Reason: ReasonTimeout}
}

func TestChecksAreSpreadAndRegular(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c, r := scripted(t, passes)
		for i := range 250 { // small pools, as at a start
			r.set(c, fmt.Sprint("pool", i), manyTargets(4, Check{Kind: TCP}))
		}
		stop := runChecker(t, c)
		time.Sleep(time.Minute)
		stop()
		perTenth := [50]int{}
		for key, results := range r.all {
			perTenth[results[0].At.Sub(began)/(100*time.Millisecond)]++
			if n := len(results); n < 11 || n > 14 {
				t.Errorf("%s: %d checks in a minute", key, n)
			}
		}
		for tenth, n := range perTenth { // 1,000 in 50 tenths
			if n < 15 || n > 25 {
				t.Errorf("%d first checks in tenth %d", n, tenth)
			}
		}
		if len(r.all) != 1000 || c.countTargets() != 1000 {
			t.Errorf("%d checked of %d", len(r.all), c.countTargets())
		}
	})
}

func TestLongIntervalsStartWithinHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := scripted(t, passes)
		r.set(c, "pool", manyTargets(20, Check{Kind: TCP, Interval: time.Hour}))
		stop := runChecker(t, c)
		time.Sleep(longestSpread)
		stop()
		if len(r.all) != 20 {
			t.Errorf("%d checked, want 20", len(r.all))
		}
	})
}

// The first check decides, later ones have to agree.
func TestRiseAndFall(t *testing.T) {
	for _, c := range []struct {
		checks, verdicts string // + passes or up, - fails or down, ! the verdict changed to the one before it
	}{
		{"+----++", "+!++-!--+!"},
		{"---++-", "-!---+!+"},
		{"+--+--+---", "+!++++++++-!"},
		{"-+-+-++", "-!-----+!"},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := -1
			checker, r := scripted(t, func(context.Context, Target) error {
				if n++; c.checks[n] == '-' {
					return errDown
				}
				return nil
			})
			r.set(checker, "pool", []Target{{Addr: "a:1", Check: tcp}})
			stop := runChecker(t, checker)
			time.Sleep(time.Duration(len(c.checks))*defaultCheckInterval - time.Second)
			stop()
			var got strings.Builder
			var since time.Time
			for i, result := range r.of("pool", "a:1") {
				got.WriteString(map[bool]string{true: "+", false: "-"}[result.Up])
				if result.Changed {
					got.WriteString("!")
					since = result.At
				}
				if failed := c.checks[i] == '-'; failed != (result.Reason == ReasonRefused) || failed != (result.Detail != "") || !result.Since.Equal(since) {
					t.Errorf("%s, check %d: %+v", c.checks, i, result)
				}
			}
			if got.String() != c.verdicts {
				t.Errorf("%s: got %s, want %s", c.checks, got.String(), c.verdicts)
			}
		})
	}
}

// Some workers take no silent target, so these are late themselves and the others are not, even while an
// owner makes new ones all the time.
func TestSilentTargetsDoNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		c, r := scripted(t, func(ctx context.Context, target Target) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			if strings.HasPrefix(target.Addr, "silent") {
				return silentFor(ctx, 2*time.Second)
			}
			return nil
		})
		r.set(c, "good", manyTargets(50, tcp))
		silent := func(port int) (all []Target) {
			for i := range 100 {
				all = append(all, Target{Addr: fmt.Sprint("silent", i, ":", port), Check: tcp})
			}
			return all
		}
		r.set(c, "bad", silent(0))
		stop := runChecker(t, c)
		time.Sleep(time.Minute) // the first checks of all have passed
		from := time.Now()
		for port := range 6 {
			r.set(c, "restless", silent(port))
			time.Sleep(10 * time.Second)
		}
		if late := c.late(); late < 5*time.Second {
			t.Errorf("late %v", late)
		}
		stop()
		for i := range 50 {
			n := 0
			for _, result := range r.of("good", fmt.Sprint("t:", i)) {
				if result.At.After(from) {
					n++
				}
			}
			if n < 11 {
				t.Errorf("t:%d was checked %d times in a minute", i, n)
			}
		}
		if most.Load() > defaultCheckShare {
			t.Errorf("%d checks at once", most.Load())
		}
	})
}

// A group has its share, however many silent targets others have: the first verdict on a new target comes in its usual
// time, and one that goes silent is found out.
func TestGroupsHaveSharesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		var dead atomic.Bool
		c, r := scripted(t, func(ctx context.Context, target Target) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			if target.Group != "good" || dead.Load() {
				return silentFor(ctx, target.Check.Timeout)
			}
			return nil
		})
		stop := runChecker(t, c)
		defer stop()
		slow := Check{Kind: TCP, Interval: time.Minute, Timeout: time.Minute, Jitter: -1}
		for group := range 3 { // together they ask for all there is
			for owner := range 8 {
				targets := manyTargets(256, slow)
				for i := range targets {
					targets[i].Group = group
				}
				r.set(c, fmt.Sprint("bad", group, owner), targets)
			}
		}
		time.Sleep(5 * time.Minute)
		mine := manyTargets(8, tcp)
		for i := range mine {
			mine[i].Group = "good"
		}
		r.set(c, "good", mine)
		time.Sleep(tcp.withDefaults().Interval) // over which first checks are spread
		synctest.Wait()
		for _, target := range mine {
			if results := r.of("good", target.Addr); len(results) == 0 || !results[0].Up {
				t.Errorf("%s: %v", target.Addr, results)
			}
		}
		dead.Store(true)
		check := tcp.withDefaults()
		time.Sleep(time.Duration(check.Fall)*check.Interval + 2*check.Timeout)
		synctest.Wait()
		for _, target := range mine {
			if results := r.of("good", target.Addr); results[len(results)-1].Up {
				t.Errorf("%s is silent and still up after %v", target.Addr, time.Duration(check.Fall)*check.Interval)
			}
		}
		if most.Load() > defaultCheckWorkers {
			t.Errorf("%d checks at once", most.Load())
		}
	})
}

func TestSetKeepsWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := scripted(t, passes)
		r.set(c, "pool", []Target{{Addr: "kept:1", Check: tcp}, {Addr: "gone:1", Check: tcp}, {Addr: "none:1", Check: Check{}}, {Addr: "kept:1", Check: Check{Kind: TLS}}})
		r.set(c, "other", []Target{{Addr: "gone:1", Check: tcp}})
		stop := runChecker(t, c)
		defer stop()
		time.Sleep(12 * time.Second)
		kept, gone := len(r.of("pool", "kept:1")), len(r.of("pool", "gone:1"))
		r.set(c, "pool", []Target{{Addr: "kept:1", Check: tcp}, {Addr: "new:1", Check: tcp}})
		synctest.Wait()
		if n := len(r.of("pool", "kept:1")); n != kept {
			t.Errorf("Set moved its turn: %d checks, had %d", n, kept)
		}
		time.Sleep(10 * time.Second)
		results := r.of("pool", "kept:1")
		for i, result := range results {
			if result.Changed != (i == 0) {
				t.Errorf("check %d changed the verdict", i)
			}
		}
		if len(results) != kept+2 || len(r.of("pool", "gone:1")) != gone || len(r.of("pool", "new:1")) == 0 || len(r.of("pool", "none:1")) != 0 {
			t.Errorf("%d checks, had %d; all %v", len(results), kept, r.all)
		}
		others := len(r.of("other", "gone:1"))
		c.Remove("pool")
		c.Remove("nobody")
		time.Sleep(10 * time.Second)
		if len(r.of("pool", "kept:1")) != len(results) || len(r.of("other", "gone:1")) != others+2 || c.countTargets() != 1 {
			t.Errorf("after Remove: %v", r.all)
		}
	})
}

func TestNewSettingsApplyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		c, r := scripted(t, func(ctx context.Context, target Target) error {
			switch target.Check.Path {
			case "/bad":
				return errDown
			case "/hang":
				<-hang
				return errDown
			}
			return nil
		})
		check := Check{Kind: HTTP, Interval: time.Hour, Fall: 1}
		set := func(path string) {
			check.Path = path
			r.set(c, "pool", []Target{{Addr: "a:1", Check: check}})
			time.Sleep(time.Second)
		}
		stop := runChecker(t, c)
		defer stop()
		last := func() Result {
			all := r.of("pool", "a:1")
			return all[len(all)-1]
		}
		set("/good")
		if got := last(); !got.Up {
			t.Fatalf("%+v", got)
		}
		set("/bad")
		if got := last(); got.Up || !got.Changed {
			t.Errorf("the new settings wait: %+v", got)
		}
		set("/hang")
		n := len(r.of("pool", "a:1"))
		set("/good") // while the old check is under way
		close(hang)
		time.Sleep(time.Second)
		if got := last(); got.Reason != "" || len(r.of("pool", "a:1")) != n+1 {
			t.Errorf("the check of old settings counted: %+v", r.all)
		}
	})
}

func TestOwnFaultsSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var short atomic.Bool
		var tried atomic.Int64
		c, r := scripted(t, func(context.Context, Target) error {
			if short.Load() {
				tried.Add(1)
				return &Failure{Reason: ReasonInternal, Err: &net.OpError{Op: "dial", Err: syscall.EMFILE}}
			}
			return nil
		})
		r.set(c, "pool", []Target{{Addr: "a:1", Check: tcp}})
		stop := runChecker(t, c)
		time.Sleep(time.Second)
		short.Store(true)
		time.Sleep(20 * time.Second)
		stop()
		if all := r.of("pool", "a:1"); len(all) != 1 || tried.Load() != 4 {
			t.Errorf("%+v, %d tried", all, tried.Load())
		}
	})
}

func TestRemovedWhileUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := scripted(t, func(ctx context.Context, _ Target) error { return silentFor(ctx, time.Second) })
		r.set(c, "pool", []Target{{Addr: "a:1", Check: tcp}})
		stop := runChecker(t, c)
		time.Sleep(time.Second / 2)
		c.Remove("pool")
		time.Sleep(time.Minute)
		c.mu.Lock()
		groups := len(c.groups)
		c.mu.Unlock()
		if len(r.all) != 0 || groups != 0 {
			t.Errorf("it is still known: %v", r.all)
		}
		stop()
	})
}

// Failures with other settings do not add up with those before, and nobody knows how long the new ones take.
func TestNewSettingsCountAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Checker
		c, r := scripted(t, func(_ context.Context, target Target) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if one := c.owners["pool"]["a:1"]; one.lane != &one.lane.group.fresh {
				t.Errorf("%s: not taken for new", target.Check.Path)
			}
			if target.Check.Path == "/" {
				return nil
			}
			return errDown
		})
		stop := runChecker(t, c)
		for _, path := range []string{"/", "/a", "/b", "/c"} {
			r.set(c, "pool", []Target{{Addr: "a:1", Check: Check{Kind: HTTP, Path: path, Interval: time.Hour, Fall: 2}}})
			time.Sleep(time.Second)
		}
		stop()
		all := r.of("pool", "a:1")
		if len(all) != 4 || !all[3].Up || all[3].Reason == "" {
			t.Errorf("%+v", all)
		}
	})
}
