package lb

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// schedule says what goes wrong on a connection: pieces and pauses in turn, and where it breaks.
type schedule struct {
	Pieces   []int // the most bytes of one read or write, in turn
	Pauses   []int // microseconds before it
	Breaks   bool  // after BreakAt bytes, either way
	BreakAt  int
	consumed int
	turn     int
	mu       sync.Mutex
}

func drawSchedule(t *rapid.T, name string) *schedule {
	return &schedule{
		Pieces:  rapid.SliceOfN(rapid.OneOf(rapid.Just(1), rapid.IntRange(1, 40), rapid.IntRange(1, 70_000)), 1, 20).Draw(t, name+" pieces"),
		Pauses:  rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 300)), 1, 5).Draw(t, name+" pauses"),
		Breaks:  rapid.IntRange(0, 3).Draw(t, name+" breaks") == 0,
		BreakAt: rapid.IntRange(0, 200_000).Draw(t, name+" at"),
	}
}

var errBroken = errors.New("the connection broke, as planned")

// next is how much of n bytes the next step may carry. Long streams of single bytes get larger ones.
func (s *schedule) next(n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Breaks && s.consumed >= s.BreakAt {
		return 0, errBroken
	}
	piece, pause := s.Pieces[s.turn%len(s.Pieces)], s.Pauses[s.turn%len(s.Pauses)]
	if s.turn++; s.turn > 100 {
		piece, pause = max(piece, 20_000), 0
	}
	if pause > 0 {
		time.Sleep(time.Duration(pause) * time.Microsecond)
	}
	n = min(n, piece)
	s.consumed += n
	return n, nil
}

// faulty is a connection that a schedule disturbs. It hides the system's connection on purpose.
type faulty struct {
	net.Conn
	s *schedule
}

func (f *faulty) broken() error {
	f.Conn.(*net.TCPConn).SetLinger(0)
	f.Conn.Close()
	return errBroken
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.s.next(len(p))
	if err != nil {
		return 0, f.broken()
	}
	return f.Conn.Read(p[:n])
}

func (f *faulty) Write(p []byte) (done int, err error) {
	for done < len(p) {
		n, err := f.s.next(len(p) - done)
		if err != nil {
			return done, f.broken()
		}
		n, err = f.Conn.Write(p[done : done+n])
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

func (f *faulty) CloseWrite() error { return f.Conn.(*net.TCPConn).CloseWrite() }

// faultyListener disturbs what it accepts by the schedule of the moment.
type faultyListener struct {
	net.Listener
	mu   sync.Mutex
	plan *schedule
}

func (l *faultyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &faulty{conn, l.plan}, nil
}

// exchange is what the far ends of one connection have seen.
type exchange struct {
	mu   sync.Mutex
	sent []byte // what the route shall send
	got  []byte // what the route has got
	plan *schedule
	done chan struct{}
}

// Whatever happens to the connections, what comes out is what went in: all of it, or the beginning.
func TestBytesInAreBytesOutUnderFaults(t *testing.T) {
	for name, secure := range map[string]bool{"TLS": true, "plain": false} {
		t.Run(name, func(t *testing.T) { testFaults(t, secure) })
	}
}

func testFaults(t *testing.T, secure bool) {
	var current atomic.Pointer[exchange]
	route := upstream(t, func(conn *net.TCPConn) {
		x := current.Load()
		defer close(x.done)
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
	cfg := Config{Admit: to(pool)}
	if secure {
		cfg.TLS = &tls.Config{}
	}
	r := newRig(t, cfg)
	l := &faultyListener{Listener: listen(t)}
	r.addr = r.serve(t, l)
	var clientConfig *tls.Config
	if secure {
		clientConfig = r.clientConfig(t, "client")
	}
	rapid.Check(t, func(rt *rapid.T) {
		up := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "up")
		up = bytes.Repeat(up, rapid.IntRange(1, 4000).Draw(rt, "times up"))
		down := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "down")
		down = bytes.Repeat(down, rapid.IntRange(1, 4000).Draw(rt, "times down"))
		x := &exchange{sent: down, plan: drawSchedule(rt, "route"), done: make(chan struct{})}
		plan := drawSchedule(rt, "client")
		current.Store(x)
		before := pool.Stats().Total
		l.mu.Lock()
		l.plan = plan
		l.mu.Unlock()
		got, err := talk(r, clientConfig, up)
		for r.Stats().Live > 0 { // what began late must not meet the next exchange
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

// talk sends up, and returns what came back.
func talk(r *rig, cfg *tls.Config, up []byte) ([]byte, error) {
	raw, err := net.DialTimeout("tcp", r.addr, patience)
	if err != nil { // a schedule that breaks at once can be faster than the dial
		return nil, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	conn := raw.(stream)
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
		if _, err := conn.Write(up); err == nil {
			conn.CloseWrite()
		}
	})
	return io.ReadAll(conn)
}
