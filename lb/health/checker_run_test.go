package health

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRunEndsChecksUnderWay(t *testing.T) {
	r := &reports{}
	c := NewChecker(Config{})
	check := Check{Kind: Send, Interval: time.Hour, Timeout: time.Hour}
	r.set(c, "pool", []Target{{Addr: upstream(t, hangs), Check: check}})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	started := time.Now()
	if err := c.Run(ctx); err != nil || time.Since(started) > patience/2 {
		t.Errorf("%v after %v", err, time.Since(started))
	}
	if len(r.all) != 0 {
		t.Errorf("reported %v", r.all)
	}
	if c.Run(ctx) == nil {
		t.Error("it ran twice")
	}
}

// A backend that goes and comes back, over real sockets.
func TestCheckerFollowsABackend(t *testing.T) {
	r := &reports{}
	c := NewChecker(Config{})
	l := listen(t)
	addr := l.Addr().String()
	r.set(c, "pool", []Target{{Addr: addr, Check: Check{Kind: TCP, Interval: 10 * time.Millisecond, Timeout: patience}}})
	defer runChecker(t, c)()
	changes := func() (got []string) {
		for _, result := range r.of("pool", addr) {
			if result.Changed {
				got = append(got, fmt.Sprint(result.Up, " ", result.Detail))
			}
		}
		return got
	}
	eventually(t, "up", func() bool { return len(changes()) == 1 })
	l.Close()
	eventually(t, "down", func() bool { return len(changes()) == 2 })
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	eventually(t, "up again", func() bool { return len(changes()) == 3 })
	if got := strings.Join(changes(), ","); got != "true ,false connection refused,true " {
		t.Errorf("got %s, want true ,false connection refused,true ", got)
	}
}

// The race detector looks at everything at once, and no target is lost meanwhile.
func TestCheckerUnderChange(t *testing.T) {
	var c *Checker
	var r reports
	c = NewChecker(Config{})
	c.probe = passes
	stop := runChecker(t, c)
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			owner := fmt.Sprint("pool", i)
			for n := range 100 {
				targets := manyTargets(1+n%20, Check{Kind: TCP, Interval: time.Duration(1+n%2) * 10 * time.Millisecond})
				for i := range targets {
					targets[i].Report = func(Result) { c.countTargets() } // a report may ask the checker
				}
				r.set(c, owner, targets)
				c.countTargets()
				if n%10 == 0 {
					c.Remove(owner)
				}
			}
		})
	}
	running.Wait()
	defer stop()
	r.mu.Lock()
	clear(r.all)
	r.mu.Unlock()
	for i := range 4 {
		for _, target := range manyTargets(20, Check{}) {
			eventually(t, target.Addr+" is still checked", func() bool { return len(r.of(fmt.Sprint("pool", i), target.Addr)) > 0 })
		}
	}
	if n := c.countTargets(); n != 80 {
		t.Errorf("%d targets, want 80", n)
	}
}
