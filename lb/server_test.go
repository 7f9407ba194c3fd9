package lb

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func keyed(pool *Pool, keys ...string) func(tls.ConnectionState) (Admission, error) {
	return func(tls.ConnectionState) (Admission, error) { return Admission{Pool: pool, Keys: keys}, nil }
}

// open makes a connection and waits until it carries bytes.
func open(t testing.TB, r *rig) stream {
	t.Helper()
	conn := r.dial(t)
	mustWrite(t, conn, "x")
	mustRead(t, conn, "x")
	return conn
}

func TestDropClosesWhatTheKeyNames(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		r := newRig(t, Config{TLS: with, Admit: keyed(poolOf(upstream(t, echo)), "serial:1", "client:7")})
		conns := []stream{open(t, r), open(t, r), open(t, r)}
		if n := r.Drop("serial:2", reasonRevoked); n != 0 {
			t.Errorf("dropped %d of another key, want 0", n)
		}
		if n := r.Drop("serial:1", reasonRevoked); n != 3 {
			t.Errorf("dropped %d, want 3", n)
		}
		for i, conn := range conns {
			if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("connection %d: %v", i, err)
			}
			if e := r.next(t, Closed, i); e.Reason != reasonRevoked {
				t.Errorf("reason %s, want %v", e.Reason, reasonRevoked)
			}
		}
		if n := r.Drop("client:7", reasonRevoked); n != 0 {
			t.Errorf("dropped %d again, want 0", n)
		}
	})
}

func TestDropReachesThoseWhoWait(t *testing.T) {
	pool := NewPool(PoolConfig{Backends: []Backend{{Addr: upstream(t, echo), Capacity: 1}}})
	r := newRig(t, Config{Admit: keyed(pool, "k")})
	open(t, r)
	r.dial(t)
	eventually(t, "it waits", func() bool { return pool.Stats().Waiting == 1 })
	if n := r.Drop("k", reasonOff); n != 2 {
		t.Errorf("dropped %d, want 2", n)
	}
	eventually(t, "nobody waits", func() bool { s := pool.Stats(); return s.Waiting == 0 && s.Active == 0 })
}

func TestDropAfterGivesTime(t *testing.T) {
	r := newRig(t, Config{Admit: keyed(poolOf(upstream(t, echo)), "k"), CloseTimeout: 80 * time.Millisecond})
	conn := open(t, r)
	if n := r.DropAfter("k", 150*time.Millisecond, reasonRevoked); n != 1 {
		t.Errorf("%d, want 1", n)
	}
	mustWrite(t, conn, "still")
	mustRead(t, conn, "still")
	if e := r.next(t, Closed, 0); e.Reason != reasonRevoked || e.Duration < 140*time.Millisecond {
		t.Errorf("reason %s after %v", e.Reason, e.Duration)
	}
}

func TestConnectionEndsWhenItsAdmissionDoes(t *testing.T) {
	pool := poolOf(upstream(t, echo))
	r := newRig(t, Config{CloseTimeout: 80 * time.Millisecond, Admit: func(tls.ConnectionState) (Admission, error) {
		return Admission{Pool: pool, NotAfter: time.Now().Add(150 * time.Millisecond)}, nil
	}})
	open(t, r)
	if e := r.next(t, Closed, 0); e.Reason != ReasonExpired {
		t.Errorf("reason %s, want %v", e.Reason, ReasonExpired)
	}
}

func TestLimitsAreSharedAndGivenBack(t *testing.T) {
	shared, pools := NewLimit(2), []*Pool{poolOf(upstream(t, echo)), poolOf(upstream(t, echo))}
	var n atomic.Int64
	r := newRig(t, Config{Admit: func(tls.ConnectionState) (Admission, error) {
		return Admission{Pool: pools[n.Add(1)/2%2], Limits: []*Limit{nil, NewLimit(0), shared}}, nil
	}})
	first := open(t, r)
	open(t, r)
	if got := ask(t, r); got != "" {
		t.Errorf("got %q, want %q", got, "")
	}
	if e := r.next(t, Closed, 0); e.Reason != ReasonConnLimit {
		t.Errorf("reason %s, want %v", e.Reason, ReasonConnLimit)
	}
	if shared.InUse() != 2 {
		t.Errorf("%d in use, want 2", shared.InUse())
	}
	first.Close()
	eventually(t, "room", func() bool { return shared.InUse() == 1 })
	open(t, r)
}

func TestShutdownLetsStreamsFinish(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(upstream(t, echo)))})
		conn := open(t, r)
		ended := make(chan error, 1)
		go func() { ended <- r.Shutdown(shortContext(t, patience)) }()
		eventually(t, "no new connections", func() bool {
			c, err := net.Dial("tcp", r.addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		mustWrite(t, conn, "last words")
		mustRead(t, conn, "last words")
		conn.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if e := r.next(t, Closed, 0); e.Reason != ReasonDone {
			t.Errorf("reason %s, want %v", e.Reason, ReasonDone)
		}
	})
}

// slowly hands what it has accepted over when it is let go.
type slowly struct {
	net.Listener
	accepted, goOn chan struct{}
}

func (l *slowly) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
		<-l.goOn
	}
	return conn, err
}

// The client of a connection that was accepted in the moment of the shutdown has been told that it is in.
func TestShutdownServesWhatWasAccepted(t *testing.T) {
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo)))})
	l := &slowly{Listener: listen(t), accepted: make(chan struct{}, 1), goOn: make(chan struct{})}
	r.addr = r.serve(t, l)
	conn := r.dialPlain(t)
	<-l.accepted
	ended := make(chan error, 1)
	go func() { ended <- r.Shutdown(shortContext(t, patience)) }()
	eventually(t, "it closes", r.isClosing)
	time.Sleep(2 * drainPoll)
	close(l.goOn)
	mustWrite(t, conn, "hello")
	mustRead(t, conn, "hello")
	conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsAtTheDeadline(t *testing.T) {
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo)))})
	open(t, r)
	if err := r.Shutdown(shortContext(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if e := r.next(t, Closed, 0); e.Reason != ReasonShutdown {
		t.Errorf("reason %s, want %v", e.Reason, ReasonShutdown)
	}
	if err := r.Serve(listen(t)); err != ErrServerClosed {
		t.Errorf("Serve after Shutdown: %v, want %v", err, ErrServerClosed)
	}
}

func TestCloseEndsHandshakesAndWaits(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo)))})
	r.dialPlain(t)
	eventually(t, "it is in", func() bool { return r.Stats().Handshaking == 1 })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if e := r.next(t, Refused, 0); e.Reason != ReasonShutdown {
		t.Errorf("reason %s, want %v", e.Reason, ReasonShutdown)
	}
}

// flaky fails to accept before it works, as a process that is out of files does.
type flaky struct {
	net.Listener
	failures atomic.Int64
	err      error
}

func (l *flaky) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: l.err}
	}
	return l.Listener.Accept()
}

func TestAcceptGoesOnAfterPassingErrors(t *testing.T) {
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo)))})
	l := &flaky{Listener: listen(t), err: syscall.EMFILE}
	l.failures.Store(4)
	started := time.Now()
	r.addr = r.serve(t, l)
	open(t, r)
	if waited := time.Since(started); waited < 60*time.Millisecond {
		t.Errorf("it tried again at once: %v", waited)
	}
	broken := &flaky{Listener: listen(t), err: syscall.EBADF}
	broken.failures.Store(1)
	if err := r.Serve(broken); !errors.Is(err, syscall.EBADF) {
		t.Errorf("a broken listener: %v", err)
	}
}

// few is a listener whose process has files for so many connections and no more.
type few struct {
	net.Listener
	most int64
	open atomic.Int64
}

type fewConn struct {
	net.Conn
	once sync.Once
	open *atomic.Int64
}

func (l *few) Accept() (net.Conn, error) {
	if l.open.Load() >= l.most {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &fewConn{Conn: conn, open: &l.open}, nil
}

func (c *fewConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// When files run out a silent handshake gives way, and the next connection does not wait for it.
func TestAcceptShedsHandshakesWhenFilesRunOut(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo)))})
	l := &few{Listener: listen(t), most: 8}
	r.addr = r.serve(t, l)
	for range 50 {
		r.dialPlain(t)
	}
	eventually(t, "those that are too many have given way", func() bool { return r.Stats().Refused[ReasonHandshakeLimit] >= 42 })
	started := time.Now()
	open(t, r)
	if took := time.Since(started); took > time.Second {
		t.Errorf("a connection took %v beside silent ones", took)
	}
}

// pipes is a listener without sockets: any net.Listener will do.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func TestAnyListenerWillDo(t *testing.T) {
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo)))})
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	r.serve(t, l)
	ours, theirs := net.Pipe()
	l.conns <- theirs
	ours.SetDeadline(time.Now().Add(patience))
	mustWrite(t, ours, "over a pipe")
	mustRead(t, ours, "over a pipe")
	ours.Close()
	if e := r.next(t, Closed, 0); e.Remote.IsValid() || e.BytesIn != 11 {
		t.Errorf("event %+v", e)
	}
}

func TestFileLimitIsRaised(t *testing.T) {
	limit, err := RaiseFileLimit()
	if err != nil {
		t.Fatal(err)
	}
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	if r.Cur != r.Max || limit != r.Cur {
		t.Errorf("limit %d, want %+v", limit, r)
	}
}

// Revoking and connecting at the same time: nobody who was dropped stays.
func TestDropRacesWithConnect(t *testing.T) {
	var revoked atomic.Bool
	pool := poolOf(upstream(t, echo))
	r := newRig(t, Config{Admit: func(tls.ConnectionState) (Admission, error) {
		if revoked.Load() {
			return Admission{}, &Refusal{Reason: reasonRevoked}
		}
		return Admission{Pool: pool, Keys: []string{"k"}}, nil
	}})
	for range 200 {
		revoked.Store(false)
		conn := r.dialPlain(t)
		revoked.Store(true)
		r.Drop("k", reasonRevoked)
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Fatalf("it lives on: %v", err)
		}
		conn.Close()
	}
	eventually(t, "nothing is left", func() bool { return len(r.Connections("k")) == 0 })
}
