package lb

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdire/xlb/lb/health"
)

// runChecker runs c until the function it returns is called.
func runChecker(t testing.TB, c *health.Checker) (stop func()) {
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

// quiet fails when connections go on to arrive.
func quiet(t *testing.T, what string, arrived *atomic.Int64) {
	t.Helper()
	time.Sleep(50 * time.Millisecond) // what is under way
	before := arrived.Load()
	time.Sleep(100 * time.Millisecond)
	if n := arrived.Load() - before; n > 0 {
		t.Errorf("%s: %d connections came", what, n)
	}
}

// changes keeps what a pool told of its backends.
type changes struct {
	mu  sync.Mutex
	all []string
}

func (c *changes) add(addr string, h Health) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, fmt.Sprint(addr, " ", []string{"unknown", "up", "down", "ejected"}[h.State], " ", h.Reason))
}

func (c *changes) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

var errRefused = &Refusal{Reason: ReasonBackendRefused}

func backends(addrs ...string) (all []Backend) {
	for _, addr := range addrs {
		all = append(all, Backend{Addr: addr})
	}
	return all
}

// fail lets n connects to a backend fail.
func (p *Pool) fail(i, n int, err error) {
	for range n {
		p.dialled(p.backends[i], 0, err)
	}
}

func healths(p *Pool) (all []HealthState) {
	for _, b := range p.Stats().Backends {
		all = append(all, b.Health.State)
	}
	return all
}

func TestFailedConnectsEjectForSomeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard changes
		cfg := PoolConfig{Backends: backends("a:1", "b:1", "c:1"), Eject: EjectConfig{Failures: 2}, Changed: heard.add}
		p := NewPool(cfg)
		p.fail(0, 1, errRefused)
		p.dialled(p.backends[0], 0, nil)
		p.fail(0, 1, errRefused)
		p.fail(1, 9, &Refusal{Reason: ReasonInternal})
		p.fail(1, 9, &Refusal{Reason: ReasonBackendPolicy})
		if got := heard.take(); got != nil {
			t.Fatalf("too early, or for a fault that is not the backend's: %v", got)
		}
		p.fail(0, 1, errRefused)
		p.fail(1, 9, errRefused)
		if got := heard.take(); !slices.Equal(got, []string{"a:1 ejected route-refused"}) { // half of three is one
			t.Fatalf("got %v, want a:1 ejected", got)
		}
		for range 6 {
			if b, _ := p.acquire(t.Context(), pickKey{}, nil); b == nil || b.addr == "a:1" {
				t.Fatalf("picked %+v", b)
			}
		}
		p.Update(cfg) // changes nothing
		time.Sleep(30*time.Second - time.Millisecond)
		synctest.Wait()
		if got := heard.take(); got != nil {
			t.Fatalf("before its time: %v", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := heard.take(); !slices.Equal(got, []string{"a:1 unknown "}) {
			t.Fatalf("after its time: %v", got)
		}
		p.fail(0, 2, errRefused) // the second time is twice as long
		p.dialled(p.backends[0], 0, nil)
		if got := heard.take(); !slices.Equal(got, []string{"a:1 ejected route-refused", "a:1 unknown "}) {
			t.Fatalf("a connect that came about: %v", got)
		}
		p.fail(2, 2, errRefused)
		cfg.Eject.Failures = 0
		p.Update(cfg)
		if got := healths(p); !slices.Equal(got, make([]HealthState, 3)) {
			t.Errorf("after it was switched off: %v", got)
		}
		cfg.Eject.Failures = 1
		p.Update(cfg)
		p.fail(0, 1, errRefused)
		cfg.Backends = backends("b:1", "c:1")
		p.Update(cfg) // its timer ends with it
		cfg.Backends = backends("b:1", "c:1", "a:1")
		p.Update(cfg)
		if got := healths(p); !slices.Equal(got, make([]HealthState, 3)) {
			t.Errorf("it came back: %v", got)
		}
	})
}

func TestEarlyEndsEject(t *testing.T) {
	p := NewPool(PoolConfig{Backends: backends("a:1", "b:1"), Eject: EjectConfig{Failures: 2, EarlyClose: true}})
	a := p.backends[0]
	p.endedEarly(a)
	p.dialled(a, 0, nil) // proves nothing
	p.endedEarly(a)
	if got := p.Stats().Backends[0].Health; got.State != Ejected || got.Reason != ReasonBackendClosed {
		t.Fatalf("%+v", got)
	}
	p.dialled(a, 0, nil)
	if got := healths(p)[0]; got != Ejected {
		t.Error("a connect ended it")
	}
	p.served(a)
	if got := healths(p)[0]; got != Unknown {
		t.Error("a byte did not end it")
	}
	p.Update(PoolConfig{Backends: backends("a:1", "b:1"), Eject: EjectConfig{Failures: 2}})
	for range 9 {
		p.endedEarly(a)
	}
	if got := healths(p)[0]; got != Unknown {
		t.Error("early ends count although only connects shall")
	}
}

// What checks find goes straight to the backend, and what is ejected is probed until it answers.
func TestPoolChecksAndProbesItsBackends(t *testing.T) {
	var heard changes
	checker := health.NewChecker(health.Config{})
	stop := runChecker(t, checker)
	defer stop()
	var checked, probed atomic.Int64
	good := upstream(t, func(*net.TCPConn) { checked.Add(1) })
	check := health.Check{Kind: health.TCP, Interval: 10 * time.Millisecond, Timeout: patience, Rise: 1, Fall: 1}
	cfg := PoolConfig{Checker: checker, Changed: heard.add, Eject: EjectConfig{Failures: 1, MaxPercent: 100}}
	cfg.Backends = []Backend{{Addr: good, Check: check}, {Addr: closedPort(t), Check: check}, {Addr: upstream(t, func(*net.TCPConn) { probed.Add(1) })}}
	p := NewPool(cfg)
	eventually(t, "the verdicts", func() bool { return slices.Equal(healths(p), []HealthState{Up, Down, Unknown}) })
	if got := len(heard.take()); got != 2 {
		t.Errorf("heard %d times, want 2", got)
	}
	p.fail(2, 1, errRefused)
	if got := healths(p)[2]; got != Ejected {
		t.Fatalf("it is %v, want %v", got, Ejected)
	}
	eventually(t, "the probe", func() bool { return healths(p)[2] == Up && probed.Load() > 0 }) // the pool may know first
	if n := probed.Load(); n != 1 {
		t.Errorf("probed %d times, want 1", n)
	}
	for i := range cfg.Backends {
		cfg.Backends[i].Check = health.Check{}
	}
	p.Update(cfg)
	if got := healths(p); !slices.Equal(got, []HealthState{Unknown, Unknown, Up}) {
		t.Errorf("without checks: %v", got)
	}
	quiet(t, "without checks", &checked)
	cfg.Backends[0].Check = check
	p.Update(cfg)
	p.Update(PoolConfig{})
	quiet(t, "a pool without backends", &checked)
}

func TestCloseOnDownClosesWhatWasThere(t *testing.T) {
	checker := health.NewChecker(health.Config{})
	defer runChecker(t, checker)()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(conn, conn); conn.Close() }()
		}
	}()
	addr := l.Addr().String()
	// No check takes longer than Interval: with ten milliseconds a busy machine found the backend down again.
	check := health.Check{Kind: health.TCP, Interval: 300 * time.Millisecond, Fall: 1, Rise: 1}
	p := NewPool(PoolConfig{Checker: checker, CloseOnDown: true, Backends: []Backend{{Addr: addr, Check: check}}})
	r := newRig(t, Config{Admit: to(p)})
	client := r.dialPlain(t)
	mustWrite(t, client, "x")
	mustRead(t, client, "x")
	eventually(t, "up", func() bool { return healths(p)[0] == Up })
	l.Close()
	client.SetReadDeadline(time.Now().Add(patience))
	if _, err := client.Read(make([]byte, 1)); !isReset(err) {
		t.Errorf("the client saw %v", err)
	}
	if e := r.next(t, Closed, 0); e.Reason != ReasonKilled {
		t.Errorf("reason %s, want %v", e.Reason, ReasonKilled)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	eventually(t, "up again", func() bool { return healths(p)[0] == Up })
	again := r.dialPlain(t)
	again.SetReadDeadline(time.Now().Add(1500 * time.Millisecond)) // longer than a sweep
	if _, err := again.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("a new connection ended: %v", err)
	}
	l.Close()
	for conn := range accepted {
		conn.Close()
	}
}
