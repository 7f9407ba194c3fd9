package lb

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/internal/source"
	"github.com/xdire/xlb/lb/internal/loop"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("lb: server closed")

// Server accepts connections and balances them. Make one with NewServer. All methods are safe for
// concurrent use.
type Server struct {
	cfg   Config
	tls   *tls.Config // nil: plain TCP
	alpn  alpnConfigs
	live  *registry
	gate  *source.Gate[*conn] // who is in the handshake
	room  *room               // who is admitted
	base  context.Context     // ends when all connections have to go
	abort context.CancelFunc

	mu        sync.Mutex
	closing   bool // no more connections are accepted
	closed    bool // none are served
	listeners map[net.Listener]struct{}
	done      chan struct{}  // closed once no more connections are accepted
	running   sync.WaitGroup // connections and the sweeper
	handoff   chan *conn     // to a worker that has nothing to do
	sweeping  bool
	loopsOnce sync.Once
	loopSet   atomic.Pointer[loop.Set] // nil: none were needed

	ids      atomic.Uint64
	accepted atomic.Int64
	refusals refusals
}

// NewServer returns a server that does nothing until Serve. It panics when cfg.Admit is nil.
func NewServer(cfg Config) *Server {
	if cfg.Admit == nil {
		panic("lb: Config.Admit is nil")
	}
	s := &Server{cfg: cfg.withDefaults(), listeners: map[net.Listener]struct{}{}, live: newRegistry(), done: make(chan struct{}), handoff: make(chan *conn)}
	s.base, s.abort = context.WithCancel(context.Background())
	s.gate = source.NewGate[*conn](s.cfg.MaxHandshakes, 0)
	s.room = newRoom(s.cfg.MaxConnections, s.cfg.Shared)
	if cfg.TLS != nil {
		s.tls = s.tlsConfig(cfg.TLS)
	}
	return s
}

// Serve accepts connections on l until Shutdown or Close, and returns ErrServerClosed then, or the
// listener's error when it is broken for good. It closes l. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.untrack(l)
	var pause time.Duration
	shed := false
	for {
		raw, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			shed = false
			s.start(raw)
		case s.isClosing():
			return ErrServerClosed
		case !isPassing(err):
			return err
		case source.OutOfFiles(err) && !shed && s.shed():
			shed = true // one for one: when that file went elsewhere, others give way only after a pause
		default:
			shed = false
			pause = min(max(2*pause, 5*time.Millisecond), maxPause)
			if !s.sleep(pause) {
				return ErrServerClosed
			}
		}
	}
}

// maxPause is the longest that accepting pauses while it fails.
const maxPause = 100 * time.Millisecond

// shed ends a handshake of the source that has most, so that its file is free for somebody who waits to be accepted.
// It returns false when there is none.
func (s *Server) shed() bool {
	c, someone := s.gate.Evict()
	if someone {
		c.abort(ending{reason: ReasonHandshakeLimit})
	}
	return someone
}

// isPassing tells whether Accept may succeed again: the client was gone already, or files ran out.
func isPassing(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}

// sleep returns false when the server closes meanwhile.
func (s *Server) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.done:
		return false
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.sweeping {
		s.sweeping = true
		s.running.Go(s.sweep)
	}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	l.Close()
}

// isServing tells whether a Serve may still hand a connection over.
func (s *Server) isServing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.listeners) > 0
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// start serves an accepted connection.
func (s *Server) start(raw net.Conn) {
	c := &conn{server: s, id: s.ids.Add(1), raw: raw, client: raw, start: time.Now(), remote: addrPort(raw.RemoteAddr()), local: addrPort(raw.LocalAddr())}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed { // while it drains, one that was accepted is served: the kernel has told the client that it is in
		raw.Close()
		return
	}
	s.accepted.Add(1)
	s.live.add(c)
	select {
	case s.handoff <- c:
	default:
		s.running.Go(func() { s.work(c) })
	}
}

// workerPatience is how long a worker waits for another connection.
const workerPatience = time.Second

// work sees connections through their handshakes. A stack that has grown for one is good for the next.
func (s *Server) work(c *conn) {
	patience := time.NewTimer(workerPatience)
	defer patience.Stop()
	for {
		c.run()
		patience.Reset(workerPatience)
		select {
		case c = <-s.handoff:
		case <-patience.C:
			return
		case <-s.base.Done():
			return
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, isTCP := a.(*net.TCPAddr)
	if !isTCP {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// stop ends accepting, once.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.closing = true
	close(s.done)
	for l := range s.listeners {
		l.Close()
	}
}

// drainPoll is how often Shutdown looks whether connections are left.
const drainPoll = 20 * time.Millisecond

// Shutdown stops accepting and waits for the connections to end by themselves. When ctx ends first it
// closes those that are left and returns ctx's error. All goroutines have ended when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	ticker := time.NewTicker(drainPoll)
	defer ticker.Stop()
	var err error
	for (s.isServing() || s.live.count() > 0) && err == nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return errors.Join(err, s.Close())
}

// Close stops accepting, closes all connections and waits for their goroutines to end.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.abort()
	for _, c := range s.live.all() {
		c.abort(ending{reason: ReasonShutdown})
	}
	s.running.Wait()
	if loops := s.loopSet.Load(); loops != nil {
		loops.Close()
	}
	return nil
}

// Drop closes the live connections of a key with a reset, and tells how many there were. A connection
// that is being admitted meanwhile asks Admit again, so what Admit refuses by now does not slip through.
func (s *Server) Drop(key string, reason Reason) int {
	dropped := 0
	for _, c := range s.live.of(key) {
		if c.abort(ending{reason: reason}) {
			dropped++
		}
	}
	return dropped
}

// DropAfter gives the live connections of a key the time d to end, then closes what is left. It tells how
// many there are now.
func (s *Server) DropAfter(key string, d time.Duration, reason Reason) int {
	all := s.live.of(key)
	for _, c := range all {
		c.closeLater(time.Now().Add(d), reason)
	}
	return len(all)
}

// Kill closes one live connection with a reset, and returns false when the key names none of that id, or
// it has been closed already. The key bounds what a caller can hit: ids alone are easy to guess.
func (s *Server) Kill(key string, id uint64) bool {
	c := s.live.one(key, id)
	return c != nil && c.abort(ending{reason: ReasonKilled})
}

// Conn is what is known about a live connection.
type Conn struct {
	ID                uint64 // grows with each connection that the server accepts
	Remote            netip.AddrPort
	Backend           string // "" while it has no backend
	Start             time.Time
	Idle              time.Duration
	BytesIn, BytesOut int64
	Resumed           bool // its TLS session
	Tag               any
}

// Connections lists the live connections of a key, in no order. One that was dropped or killed is not
// among them any more, even while it is still being cleared away.
func (s *Server) Connections(key string) []Conn {
	live := s.live.of(key)
	all := make([]Conn, 0, len(live))
	for _, c := range live {
		if !c.isClosed() {
			all = append(all, c.info())
		}
	}
	return all
}

// ServerStats counts what a server has done and is doing.
type ServerStats struct {
	Accepted    int64 // TCP connections, ever
	Live        int   // of them open now, handshakes included
	Handshaking int
	Refused     map[Reason]int64 // ever
	Loops       []LoopStats      // see Config.Loops; none before the first connection needs them
}

// LoopStats is what an event loop is doing.
type LoopStats struct {
	Connections int
	Busy        time.Duration // of work, ever: its part of the time that passes says how near to its bound it is
	LongestTurn time.Duration // of the last ten to twenty seconds: how long one connection waited for others at most
}

// Stats returns the numbers of this moment.
func (s *Server) Stats() ServerStats {
	return ServerStats{
		Accepted: s.accepted.Load(), Live: s.live.count(), Handshaking: s.gate.Inside(), Refused: s.refusals.all(), Loops: s.loopStats(),
	}
}

type refusals struct {
	mu     sync.Mutex
	counts map[Reason]int64
}

func (r *refusals) add(reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[Reason]int64{}
	}
	r.counts[reason]++
}

func (r *refusals) all() map[Reason]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}
