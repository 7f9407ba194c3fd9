package lb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// names starts n upstreams that greet with a letter and returns their addresses.
func names(t testing.TB, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = upstream(t, greeter(string(rune('a'+i))))
	}
	return addrs
}

// ask connects and returns what the upstream says; "" when it was not served.
func ask(t testing.TB, r *rig) string {
	t.Helper()
	conn := r.dialPlain(t)
	defer conn.Close()
	return readAll(t, conn)
}

func TestRoundRobinIsExact(t *testing.T) {
	r := newRig(t, Config{Admit: to(poolOf(names(t, 3)...))})
	counts := map[string]int{}
	for range 300 {
		counts[ask(t, r)]++
	}
	if counts["a"] != 100 || counts["b"] != 100 || counts["c"] != 100 {
		t.Errorf("counts %v", counts)
	}
}

func TestRoundRobinUnderConcurrencyDiffersByOneAtMost(t *testing.T) {
	pool := poolOf(names(t, 3)...)
	r := newRig(t, Config{Admit: to(pool)})
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for range 25 {
				conn, err := net.DialTimeout("tcp", r.addr, patience)
				if err != nil {
					t.Error(err)
					return
				}
				readAll(t, conn)
				conn.Close()
			}
		})
	}
	running.Wait()
	var totals []int64
	for _, b := range pool.Stats().Backends {
		totals = append(totals, b.Total)
	}
	if slices.Max(totals)-slices.Min(totals) > 1 || totals[0]+totals[1]+totals[2] != 400 {
		t.Errorf("totals %v", totals)
	}
}

func TestLeastConnectionsPicksTheIdlest(t *testing.T) {
	pool := NewPool(PoolConfig{Strategy: LeastConnections, Backends: []Backend{{Addr: "a:1"}, {Addr: "b:1"}, {Addr: "c:1"}}})
	take := func() *backend {
		b, err := pool.acquire(t.Context(), pickKey{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a, b, _ := take(), take(), take()
	pool.release(b)
	if again := take(); again != b {
		t.Errorf("picked %s, want the idle %s", again.addr, b.addr)
	}
	pool.release(a)
	pool.release(b)
	first, second := take(), take()
	if first == second {
		t.Errorf("among equals it picked %s twice", first.addr)
	}
}

func TestNextRouteWhenADialFails(t *testing.T) {
	pool := poolOf(closedPort(t), upstream(t, greeter("up")), closedPort(t))
	r := newRig(t, Config{Admit: to(pool)})
	for range 6 {
		if got := ask(t, r); got != "up" {
			t.Errorf("got %q, want %q", got, "up")
		}
	}
	s := pool.Stats()
	if s.Backends[0].Failed == 0 || s.Backends[0].LastErrorReason != ReasonBackendRefused || s.Backends[0].LastErrorAt.IsZero() || s.Backends[1].Total != 6 {
		t.Errorf("stats %+v", s)
	}
}

// A backup takes the connection that no primary has answered, before anybody knows that they are dead.
func TestBackupAnswersWhenADialFails(t *testing.T) {
	up := upstream(t, greeter("up"))
	for _, s := range allStrategies {
		pool := NewPool(PoolConfig{Strategy: s, Backends: []Backend{
			{Addr: closedPort(t)}, {Addr: closedPort(t), Backup: true}, {Addr: up, Backup: true}, {Addr: closedPort(t)},
		}})
		r := newRig(t, Config{Admit: to(pool)})
		for range 4 {
			if got := ask(t, r); got != "up" {
				t.Errorf("strategy %d: %q, want %q", s, got, "up")
			}
		}
	}
}

func TestSparesAreTakenLastAndWaitedFor(t *testing.T) {
	for _, s := range allStrategies {
		pool := staged(s, 0, "a", "b backup", "c backup down", "d backup full", "e")
		a, b, d, e := pool.backends[0], pool.backends[1], pool.backends[3], pool.backends[4]
		for range 10 {
			got := take(t, pool, pickKey{})
			if got != a && got != e {
				t.Fatalf("strategy %d: %s before the primaries", s, got.addr)
			}
		}
		if got := take(t, pool, pickKey{}, a, e); got != b {
			t.Errorf("strategy %d: %s after the primaries", s, got.addr)
		}
		refused(t, pool, ReasonAllFull, a, e, b) // d is full, c is down
		refused(t, pool, ReasonNoBackend, a, e, b, d)
	}
}

// Of a route that does not answer the next one still gets its time, and no blame for what it did not do.
func TestSilentRouteLeavesTimeForTheNext(t *testing.T) {
	silent := silentAddr(t)
	pool := NewPool(PoolConfig{Budget: time.Second, Backends: []Backend{{Addr: silent}, {Addr: upstream(t, greeter("up"))}}})
	r := newRig(t, Config{Admit: to(pool)})
	for i := range 4 {
		if got := ask(t, r); got != "up" {
			t.Errorf("got %q, want %q", got, "up")
		}
		if e := r.next(t, Closed, i); e.Duration > 900*time.Millisecond {
			t.Errorf("after %v", e.Duration)
		}
	}
	if good := pool.Stats().Backends[1]; good.Failed > 0 || good.LastErrorReason != "" {
		t.Errorf("the good one is blamed: %+v", good)
	}
}

func TestShareOfADial(t *testing.T) {
	for _, c := range []struct {
		left   time.Duration
		others bool
		want   time.Duration
	}{
		{30 * time.Second, true, 15 * time.Second}, {time.Second, true, 500 * time.Millisecond}, {400 * time.Millisecond, true, 250 * time.Millisecond},
		{100 * time.Millisecond, true, 250 * time.Millisecond}, {400 * time.Millisecond, false, 400 * time.Millisecond},
	} {
		if got := shareOf(c.left, c.others); got != c.want {
			t.Errorf("of %v, others %v: %v, want %v", c.left, c.others, got, c.want)
		}
	}
}

func TestConnectionThatNoRouteTakesIsClosedWithTheReason(t *testing.T) {
	denied := errors.New("denied")
	for _, c := range []struct {
		name   string
		addrs  []string
		dialer *Dialer
		want   Reason
	}{
		{"empty pool", nil, nil, ReasonNoBackend},
		{"all refuse", []string{closedPort(t), closedPort(t)}, nil, ReasonBackendRefused},
		{"policy", []string{upstream(t, echo)}, &Dialer{Allow: func(netip.AddrPort) error { return denied }}, ReasonBackendPolicy},
		{"no such name", []string{"no-such-host.invalid:1"}, nil, ReasonBackendDNS},
		{"broken address", []string{"nonsense"}, nil, ReasonInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{Admit: to(poolOf(c.addrs...)), Dialer: c.dialer})
			if got := ask(t, r); got != "" {
				t.Errorf("got %q, want %q", got, "")
			}
			if e := r.next(t, Closed, 0); e.Reason != c.want {
				t.Errorf("reason %s (%v), want %s", e.Reason, e.Err, c.want)
			}
		})
	}
}

// The policy is asked about what a name resolves to at the dial, for each address.
func TestPolicySeesResolvedAddresses(t *testing.T) {
	var mu sync.Mutex
	var asked []netip.AddrPort
	d := &Dialer{Allow: func(ap netip.AddrPort) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, ap)
		return errors.New("no")
	}}
	_, err := d.DialContext(t.Context(), "tcp", "localhost:7")
	if ReasonOf(err) != ReasonBackendPolicy || len(asked) == 0 {
		t.Fatalf("%v, asked %v", err, asked)
	}
	for _, ap := range asked {
		if !ap.Addr().IsLoopback() || ap.Port() != 7 {
			t.Errorf("asked for %v", ap)
		}
	}
}

// silentAddr is a route that takes no connections: its listener's backlog is full, so dials hang.
func silentAddr(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port)).String()
	for range 10 {
		conn, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this system's listeners have no bound")
	return ""
}

func TestDialTimeoutAndBudget(t *testing.T) {
	silent := silentAddr(t)
	d := &Dialer{Timeout: 100 * time.Millisecond}
	started := time.Now()
	_, err := d.DialContext(t.Context(), "tcp", silent)
	if reason := ReasonOf(err); reason != ReasonBackendTimeout {
		t.Errorf("reason %s: %v, want %v", reason, err, ReasonBackendTimeout)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	cfg := PoolConfig{Budget: 150 * time.Millisecond, Backends: []Backend{{Addr: silent}, {Addr: silentAddr(t)}, {Addr: silentAddr(t)}}}
	r := newRig(t, Config{Admit: to(NewPool(cfg)), Dialer: &Dialer{Timeout: 100 * time.Millisecond}})
	ask(t, r)
	if e := r.next(t, Closed, 0); e.Reason != ReasonBackendTimeout || e.Duration > time.Second {
		t.Errorf("reason %s after %v", e.Reason, e.Duration)
	}
}

func TestFullRoutesAreSkippedAndThenQueuedFor(t *testing.T) {
	pool := NewPool(PoolConfig{Backends: []Backend{{Addr: upstream(t, echo), Capacity: 1}, {Addr: upstream(t, echo), Capacity: 2}}})
	r := newRig(t, Config{Admit: to(pool)})
	held := make([]*net.TCPConn, 3)
	for i := range held {
		held[i] = r.dialPlain(t)
		mustWrite(t, held[i], "x")
		mustRead(t, held[i], "x")
	}
	waiting := make([]*net.TCPConn, 3)
	for i := range waiting {
		waiting[i] = r.dialPlain(t)
		mustWrite(t, waiting[i], "queued")
		eventually(t, "it waits", func() bool { return pool.Stats().Waiting == i+1 })
	}
	for i := range waiting { // first come, first served
		held[i].Close()
		mustRead(t, waiting[i], "queued")
		if s := pool.Stats(); s.Waiting != len(waiting)-1-i || s.Backends[0].Active > 1 || s.Backends[1].Active > 2 {
			t.Errorf("stats %+v", s)
		}
	}
	waiting[0].Close()
	if e := r.next(t, Closed, 3); e.Wait <= 0 {
		t.Errorf("wait %v", e.Wait)
	}
}

func TestQueueEndsWithTheBudgetAndIsBounded(t *testing.T) {
	pool := NewPool(PoolConfig{Budget: 200 * time.Millisecond, QueueLimit: 2, Backends: []Backend{{Addr: upstream(t, echo), Capacity: 1}}})
	r := newRig(t, Config{Admit: to(pool)})
	conn := r.dialPlain(t)
	mustWrite(t, conn, "x")
	mustRead(t, conn, "x")
	for range 3 {
		r.dialPlain(t)
	}
	quick, slow := 0, 0
	for i := range 3 {
		e := r.next(t, Closed, i)
		if e.Reason != ReasonAllFull {
			t.Errorf("reason %s, want %v", e.Reason, ReasonAllFull)
		}
		if e.Wait < 100*time.Millisecond {
			quick++
		} else {
			slow++
		}
	}
	if quick != 1 || slow != 2 {
		t.Errorf("%d at once, %d after the budget; want 1 and 2", quick, slow)
	}
}

func TestUpdateConcernsOnlyNewConnections(t *testing.T) {
	old, kept, added := upstream(t, echo), upstream(t, echo), upstream(t, greeter("new"))
	pool := poolOf(old, kept)
	r := newRig(t, Config{Admit: to(pool)})
	conns := []*net.TCPConn{r.dialPlain(t), r.dialPlain(t)}
	for _, conn := range conns {
		mustWrite(t, conn, "a")
		mustRead(t, conn, "a")
	}
	pool.Update(PoolConfig{Backends: []Backend{{Addr: added}}})
	for _, conn := range conns {
		mustWrite(t, conn, "b")
		mustRead(t, conn, "b")
	}
	if got := ask(t, r); got != "new" {
		t.Errorf("got %q, want %q", got, "new")
	}
	// A byte is counted just after it was passed on.
	eventually(t, "removed backends still count", func() bool { s := pool.Stats(); return s.Active >= 2 && s.BytesIn == 4 })
	pool.Update(PoolConfig{Backends: []Backend{{Addr: kept}}, DrainTimeout: time.Hour})
	if s := pool.Stats(); s.Backends[0].Active != 1 || s.Backends[0].Total != 1 {
		t.Errorf("it came back without its numbers: %+v", s)
	}
	for _, conn := range conns {
		conn.Close()
	}
	eventually(t, "all ended", func() bool { s := pool.Stats(); return s.Active == 0 && s.BytesIn == 4 })
}

func TestRemovedRouteIsDrainedThenClosed(t *testing.T) {
	pool := poolOf(upstream(t, echo))
	r := newRig(t, Config{Admit: to(pool), CloseTimeout: 100 * time.Millisecond})
	conn := r.dialPlain(t)
	mustWrite(t, conn, "a")
	mustRead(t, conn, "a")
	pool.Update(PoolConfig{DrainTimeout: 200 * time.Millisecond})
	mustWrite(t, conn, "b")
	mustRead(t, conn, "b")
	if e := r.next(t, Closed, 0); e.Reason != ReasonKilled || e.Detail == "" {
		t.Errorf("reason %s, %q", e.Reason, e.Detail)
	}
}

func TestUpdateServesTheQueue(t *testing.T) {
	pool := NewPool(PoolConfig{Backends: []Backend{{Addr: upstream(t, echo), Capacity: 1}}})
	r := newRig(t, Config{Admit: to(pool)})
	first, second := r.dialPlain(t), r.dialPlain(t)
	for _, conn := range []*net.TCPConn{first, second} {
		mustWrite(t, conn, "x")
	}
	eventually(t, "one waits", func() bool { return pool.Stats().Waiting == 1 })
	pool.Update(PoolConfig{Backends: []Backend{{Addr: pool.Stats().Backends[0].Addr, Capacity: 2}}})
	mustRead(t, first, "x")
	mustRead(t, second, "x")
}

// Slots are neither lost nor doubled, whatever happens at the same time.
func TestSlotsAddUpUnderChange(t *testing.T) {
	pool := NewPool(PoolConfig{Backends: []Backend{{Addr: "a:1", Capacity: 3}, {Addr: "b:1", Capacity: 2}}})
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/4)
				b, err := pool.acquire(ctx, pickKey{}, nil)
				if err == nil {
					pool.release(b)
				}
				cancel()
			}
		})
	}
	for i := range 200 {
		pool.Update(PoolConfig{Backends: []Backend{{Addr: "a:1", Capacity: 1 + i%3}, {Addr: fmt.Sprint("b:", i%2), Capacity: 2}, {Addr: "a:1"}}})
	}
	running.Wait()
	s := pool.Stats()
	if s.Active != 0 || s.Waiting != 0 || len(pool.removed) != 0 || len(s.Backends) != 2 {
		t.Errorf("left over: %+v, removed %v", s, pool.removed)
	}
}
