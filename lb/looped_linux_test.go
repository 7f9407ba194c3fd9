package lb

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/xdire/xlb/lb/internal/loop"
)

// inLoops skips a test that is about loops when goroutines move the bytes.
func inLoops(t *testing.T) {
	t.Helper()
	if *engine != "loops" {
		t.Skip("about loops")
	}
}

// inALoop tells whether a loop moves the bytes of the server's only connection.
func inALoop(r *rig) bool {
	all := r.live.all()
	if len(all) != 1 {
		return false
	}
	all[0].mu.Lock()
	defer all[0].mu.Unlock()
	_, is := all[0].raw.(*loop.Socket)
	return is
}

// The engine is chosen by what a connection is.
func TestLoopsTakeWhatTheyCan(t *testing.T) {
	inLoops(t)
	authority := newAuthority(t)
	pair := authority.Issue(t, "localhost")
	secureRoute := NewPool(PoolConfig{Backends: []Backend{{Addr: secureUpstream(t, &tls.Config{Certificates: []tls.Certificate{pair}}, echoTLS), TLS: &BackendTLS{ServerName: "localhost", RootCAs: authority.Pool()}}}})
	plain := poolOf(upstream(t, echo))
	for name, tc := range map[string]struct {
		cfg  Config
		want bool
	}{
		"plain":        {Config{Admit: to(plain)}, true},
		"tls":          {Config{Admit: to(plain), TLS: &tls.Config{}}, true},
		"tls 1.2":      {Config{Admit: to(plain), TLS: &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}}, false},
		"tls to route": {Config{Admit: to(secureRoute), TLS: &tls.Config{}}, false},
		"switched off": {Config{Admit: to(plain), Loops: -1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tc.cfg)
			conn := r.dial(t)
			mustWrite(t, conn, "hello")
			mustRead(t, conn, "hello")
			if got := inALoop(r); got != tc.want {
				t.Errorf("a loop moves the bytes: %v, want %v", got, tc.want)
			}
		})
	}
}

// busyRig has connections that move as much as they can.
func busyRig(t *testing.T, cfg Config, busy int) *rig {
	r := newRig(t, cfg)
	var running sync.WaitGroup
	over := make(chan struct{})
	for range busy {
		conn := r.dial(t)
		running.Go(func() { io.Copy(conn, &until{over}) })
		running.Go(func() { io.Copy(io.Discard, conn) })
	}
	t.Cleanup(func() {
		close(over)
		r.Close()
		running.Wait()
	})
	return r
}

// until has zeros until over is closed.
type until struct{ over chan struct{} }

func (u *until) Read(p []byte) (int, error) {
	if isOver(u.over) {
		return 0, io.EOF
	}
	return len(p), nil
}

// A kill holds at once, however busy the loops are: the reset does not wait for them. What it took is shown by the kernel's
// state of the socket, because the far ends of this test wait for the same processors.
func TestKillDoesNotWaitForTheLoops(t *testing.T) {
	inLoops(t)
	r := busyRig(t, Config{TLS: &tls.Config{}, Admit: keyed(poolOf(upstream(t, echo)), "k")}, 8)
	eventually(t, "all have moved something", func() bool {
		moved := 0
		for _, c := range r.Connections("k") {
			if c.BytesOut > 1<<20 {
				moved++
			}
		}
		return moved == 8
	})
	var took []time.Duration
	for _, c := range r.live.all() {
		began := time.Now()
		if !r.Kill("k", c.id) {
			t.Fatal("not killed")
		}
		took = append(took, time.Since(began))
		c.mu.Lock()
		sides := []net.Conn{c.raw, c.upstream}
		c.mu.Unlock()
		for _, side := range sides {
			if _, alive := unacknowledged(side); alive {
				t.Error("a socket is still open when Kill returns")
			}
		}
	}
	eventually(t, "all are gone", func() bool { return len(r.live.all()) == 0 })
	t.Logf("eight kills took %v", took)
}

// A connection that moves as much as it can does not hold up one that asks now and then.
func TestBusyConnectionsHoldNobodyUp(t *testing.T) {
	inLoops(t)
	r := busyRig(t, Config{Admit: to(poolOf(upstream(t, echo))), Loops: 1}, 4)
	conn := r.dial(t)
	for range 50 {
		mustWrite(t, conn, "ping") // within the patience of the test for all
		mustRead(t, conn, "ping")
	}
	for _, l := range r.Stats().Loops {
		if l.Connections != 5 || l.Busy <= 0 || l.LongestTurn <= 0 || l.LongestTurn > time.Second {
			t.Errorf("the loop: %+v", l)
		}
	}
}

// New connections go to the loop that has less to do.
func TestLoopsShareTheWork(t *testing.T) {
	inLoops(t)
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo))), Loops: 3})
	for range 9 {
		conn := r.dial(t)
		mustWrite(t, conn, "x")
		mustRead(t, conn, "x")
	}
	for i, l := range r.Stats().Loops {
		if l.Connections < 2 || l.Connections > 4 {
			t.Errorf("loop %d has %d connections of 9", i, l.Connections)
		}
	}
}

// small makes the kernel's buffers of a connection as small as it lets.
func small(conn *net.TCPConn, n int) {
	conn.SetReadBuffer(n)
	conn.SetWriteBuffer(n)
}

// tinyListener accepts connections with small buffers.
type tinyListener struct {
	net.Listener
	size *atomic.Int64
}

func (l tinyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		small(conn.(*net.TCPConn), int(l.size.Load()))
	}
	return conn, err
}

// Through sockets with small buffers, over which nothing goes whole, what comes out is what went in: all of it, or the
// beginning when one side breaks off. Each end reads and writes by a schedule.
func TestLoopsKeepEveryByteThroughSmallBuffers(t *testing.T) {
	for name, secure := range map[string]bool{"TLS": true, "plain": false} {
		t.Run(name, func(t *testing.T) { testSmallBuffers(t, secure) })
	}
}

func testSmallBuffers(t *testing.T, secure bool) {
	var current atomic.Pointer[exchange]
	var size atomic.Int64
	size.Store(4096)
	route := upstream(t, func(conn *net.TCPConn) {
		x := current.Load()
		defer close(x.done)
		small(conn, int(size.Load()))
		f := &faulty{conn, x.plan}
		var running sync.WaitGroup
		running.Go(func() {
			if _, err := f.Write(x.sent); err == nil {
				f.CloseWrite()
			}
		})
		got, _ := io.ReadAll(f)
		running.Wait()
		x.mu.Lock()
		x.got = got
		x.mu.Unlock()
	})
	pool := poolOf(route)
	cfg := Config{Admit: to(pool), Loops: 1}
	if secure {
		cfg.TLS = &tls.Config{}
	}
	r := newRig(t, cfg)
	r.addr = r.serve(t, tinyListener{listen(t), &size})
	var clientConfig *tls.Config
	if secure {
		clientConfig = r.clientConfig(t, "client")
	}
	rapid.Check(t, func(rt *rapid.T) {
		size.Store(int64(rapid.SampledFrom([]int{4096, 30_000}).Draw(rt, "buffers")))
		up := bytes.Repeat([]byte("0123456789abcdef!"), rapid.IntRange(0, 4000).Draw(rt, "up"))
		down := bytes.Repeat([]byte("fedcba9876543210?"), rapid.IntRange(0, 4000).Draw(rt, "down"))
		x := &exchange{sent: down, plan: drawSchedule(rt, "route"), done: make(chan struct{})}
		current.Store(x)
		before := pool.Stats().Total
		accepted := r.Stats().Accepted
		plan := drawSchedule(rt, "client")
		got, err := talkSlowly(r, clientConfig, up, plan, int(size.Load()))
		for s := r.Stats(); s.Live > 0 || s.Accepted == accepted; s = r.Stats() { // one that breaks at once may still wait to be accepted
			time.Sleep(100 * time.Microsecond)
		}
		if pool.Stats().Total > before {
			<-x.done
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		if !bytes.HasPrefix(down, got) || !bytes.HasPrefix(up, x.got) {
			rt.Fatalf("bytes came out that did not go in: %d of %d down, %d of %d up", len(got), len(down), len(x.got), len(up))
		}
		if !plan.Breaks && !x.plan.Breaks && (len(got) != len(down) || len(x.got) != len(up)) {
			rt.Fatalf("nothing broke, but %d of %d arrived down and %d of %d up (%v)", len(got), len(down), len(x.got), len(up), err)
		}
	})
}

// talkSlowly does what talk does by a schedule.
func talkSlowly(r *rig, cfg *tls.Config, up []byte, plan *schedule, buffers int) ([]byte, error) {
	raw, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	small(raw.(*net.TCPConn), buffers)
	var conn stream = raw.(stream)
	if cfg != nil {
		secure := tls.Client(raw, cfg)
		if err := secure.Handshake(); err != nil {
			return nil, err
		}
		conn = secure
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		for len(up) > 0 {
			n, err := plan.next(len(up))
			if err != nil {
				raw.(*net.TCPConn).SetLinger(0)
				raw.Close()
				return
			}
			if _, err := conn.Write(up[:n]); err != nil {
				return
			}
			up = up[n:]
		}
		conn.CloseWrite()
	})
	return io.ReadAll(conn)
}

// Connections that end in order and those that are reset leave nothing in a loop.
func TestLoopsForgetWhatHasEnded(t *testing.T) {
	inLoops(t)
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo)))})
	for i := range 30 {
		conn := r.dialPlain(t)
		mustWrite(t, conn, "x")
		mustRead(t, conn, "x")
		if i%3 == 0 {
			conn.SetLinger(0)
		}
		conn.Close()
	}
	eventually(t, "all have ended", func() bool { return r.Stats().Live == 0 })
	for _, l := range r.Stats().Loops {
		if l.Connections != 0 {
			t.Errorf("a loop still has %d connections", l.Connections)
		}
	}
}
