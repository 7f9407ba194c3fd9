package lb

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/lb/internal/record"
)

// conn is one accepted connection. Its run method owns it; abort and closeLater may be called from
// anywhere.
type conn struct {
	server *Server
	id     uint64
	raw    net.Conn     // as accepted
	client net.Conn     // raw, or the TLS connection over it; nil when secure is not
	wire   *record.Wire // between the two, nil without TLS
	secure *record.Conn // the TLS connection once it does without crypto/tls
	start  time.Time
	remote netip.AddrPort // the client, which a PROXY header may have told
	local  netip.AddrPort // where it connected to

	state     tls.ConnectionState
	admission Admission
	limited   bool // a place in the room and one of each of the admission's limits are taken
	handshake time.Duration
	wait      time.Duration
	connect   time.Duration
	routed    time.Duration // when a backend took it, since start
	tried     string        // the last backend that did not take it

	lastMove atomic.Int64 // since start, nanoseconds: when a byte last moved
	half     atomic.Bool  // one direction has ended
	streams  atomic.Bool  // bytes may flow: the idle timeout counts
	heardAll atomic.Bool  // the client has ended its direction
	alerted  atomic.Bool  // it broke the rules of TLS, and was told
	early    atomic.Bool  // the backend ended it early, see EarlyClosed
	in, out  atomic.Int64
	deadline atomic.Pointer[deadline]

	directions               atomic.Int32 // that have not ended
	clientSide, upstreamSide side
	upSmall, downSmall       bool // of each direction's goroutine: a limit wants small pieces
	settled                  bool // the sweep's: see settle
	saidEnd                  bool // of down, then of finish: the client was told that nothing more comes

	mu       sync.Mutex
	end      ending
	lost     unacked
	closed   bool
	cancel   context.CancelFunc // of the wait for a backend, nil at other times
	lease    *backend
	upstream net.Conn // to the backend
}

// ending is why a connection is over. The first one that is noted counts.
type ending struct {
	reason Reason
	detail string
	err    error
}

// unacked is how many bytes the kernels of both sides had not acknowledged when they were cut off.
type unacked struct{ in, out int }

// deadline is a moment at which the connection is closed for a reason.
type deadline struct {
	at     time.Time
	reason Reason
	detail string
}

// run serves the connection from the handshake on, until its streams take over.
func (c *conn) run() {
	if err := c.enter(); err != nil {
		c.refuse(err)
		c.server.live.unname(c, c.admission.Keys)
		c.server.live.remove(c)
		return
	}
	c.tell(Accepted)
	if err := c.join(); err != nil {
		c.note(ending{reason: ReasonOf(err), err: err})
		c.finish()
		return
	}
	c.tell(Routed)
	c.forget()
	c.stream()
}

// finish ends an admitted connection.
func (c *conn) finish() {
	if c.upstream != nil {
		c.upstream.Close()
		if !c.early.Load() && c.in.Load()+c.out.Load() > 0 {
			c.admission.Pool.served(c.lease)
		}
		c.admission.Pool.release(c.lease)
	}
	c.hangUp()
	if c.limited {
		releaseAll(c.admission.Limits)
		c.server.room.leave(c.admission.Group)
	}
	// Whoever hears of the end and lists the connections must not find this one, and Shutdown waits until all were told.
	c.server.live.unname(c, c.admission.Keys)
	c.tell(Closed)
	c.server.live.remove(c)
}

// forget lets go of what only the beginning of a connection needs.
func (c *conn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = tls.ConnectionState{DidResume: c.state.DidResume}
}

// enter does the handshake, which asks Admit, and asks it again once Drop can find the connection.
func (c *conn) enter() error {
	if err := c.shakeHands(); err != nil {
		return err
	}
	admission := &c.admission
	c.server.live.name(c, admission.Keys)
	if _, err := c.server.cfg.Admit(c.state); err != nil {
		return err // it was withdrawn in between
	}
	if admission.Pool == nil {
		return &Refusal{Reason: ReasonInternal, Detail: "no pool"}
	}
	c.closeAt(deadline{at: admission.NotAfter, reason: ReasonExpired})
	if admission.MaxLifetime > 0 {
		c.closeAt(deadline{at: c.start.Add(admission.MaxLifetime), reason: ReasonLifetime})
	}
	return nil
}

// join connects an admitted connection to a backend.
func (c *conn) join() error {
	if !c.server.room.take(c.admission.Group) {
		return &Refusal{Reason: ReasonServerLimit}
	}
	if reason := acquireAll(c.admission.Limits); reason != "" {
		c.server.room.leave(c.admission.Group)
		return &Refusal{Reason: reason}
	}
	c.limited = true
	lease, upstream, err := c.reach()
	if err != nil {
		return err
	}
	c.attach(lease, upstream)
	return nil
}

// reach gets a backend that answers: the next one when a dial fails, all within the pool's budget.
func (c *conn) reach() (*backend, net.Conn, error) {
	ctx, cancel := c.budget()
	defer cancel()
	var tried attempts
	var failed error
	for {
		waiting := time.Now()
		b, err := c.admission.Pool.acquire(ctx, pickKey{c.remote.Addr(), c.admission.HashKey}, tried)
		c.wait += time.Since(waiting)
		if err != nil {
			if failed != nil {
				err = failed // the last dial says more than "nothing left"
			}
			return nil, nil, err
		}
		tried = append(tried, b)
		upstream, err := c.dial(ctx, b, tried)
		if err == nil {
			return b, upstream, nil
		}
		c.admission.Pool.release(b)
		if failed == nil || !errors.Is(err, errTooLate) {
			failed = err
		}
		if ctx.Err() != nil {
			return nil, nil, failed
		}
	}
}

var errTooLate = errors.New("a backend became free when the time was over")

// dial connects to b, in its share of what is left of the budget. A dial that could not begin, or that the
// end of the connection has ended, says nothing about b.
func (c *conn) dial(ctx context.Context, b *backend, tried attempts) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, &Refusal{Reason: ReasonAllFull, Err: errTooLate}
	}
	if deadline, bounded := ctx.Deadline(); bounded {
		share := shareOf(time.Until(deadline), c.admission.Pool.others(tried))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	dialling := time.Now()
	upstream, err := c.server.cfg.Dialer.Open(ctx, "tcp", b.addr, c.opening(b))
	c.connect = time.Since(dialling)
	if err != nil && c.isClosed() {
		return nil, err
	}
	c.admission.Pool.dialled(b, c.connect, err)
	c.tellDialled(b, err)
	if err != nil {
		c.tried = b.addr
	}
	return upstream, err
}

// leastShare is what a dial has at least, if so much is left.
const leastShare = 250 * time.Millisecond

// shareOf is the time for one dial: half of what is left while others can be tried, or one that does not
// answer would leave nothing to those that do.
func shareOf(left time.Duration, others bool) time.Duration {
	if !others {
		return left
	}
	return max(left/2, leastShare)
}

// opening is how the connection to b begins.
func (c *conn) opening(b *backend) Opening {
	over, proxy := c.admission.Pool.opening(b)
	with := Opening{TLS: over}
	if proxy != 0 {
		h := NewProxyHeader(c.remote, c.local, c.state, nil)
		h.UniqueID = binary.BigEndian.AppendUint64(nil, c.id)
		h.Custom = c.admission.ProxyFields
		with.Preface = AppendProxyHeader(nil, proxy, h)
	}
	return with
}

// budget is the context of the wait for a backend. abort ends it.
func (c *conn) budget() (context.Context, context.CancelFunc) {
	var ctx context.Context
	var cancel context.CancelFunc
	if d := c.admission.Pool.budget(); d > 0 {
		ctx, cancel = context.WithTimeout(c.server.base, d)
	} else {
		ctx, cancel = context.WithCancel(c.server.base)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	if c.closed {
		cancel()
	}
	return ctx, cancel
}

// attach hands the connection its backend. When it was closed meanwhile, its streams end at once.
func (c *conn) attach(lease *backend, upstream net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = nil
	c.lease = lease
	c.upstream = upstream
	if wait := c.admission.UserTimeout; wait > 0 {
		userTimeout(c.raw, wait)
		userTimeout(rawOf(upstream), wait)
	}
	if c.closed {
		reset(upstream)
	}
	c.routed = time.Since(c.start)
	c.touch()
	c.streams.Store(true)
}

// keepAliveAfter is how old a connection is when its keep-alive is set: eight calls of the system that most connections, which
// are short, never need.
const keepAliveAfter = time.Second

// settle sets what only a connection needs that stays. The sweep calls it.
func (c *conn) settle() {
	if c.settled || !c.streams.Load() || time.Since(c.start) < keepAliveAfter {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = true
	if c.closed {
		return
	}
	keepAlive(c.raw, c.admission.KeepAlive)
	keepAlive(rawOf(c.upstream), c.admission.KeepAlive)
}

// keepAlive asks the kernel to probe a quiet peer. Without a value it does so as Go's net package would.
func keepAlive(conn net.Conn, every time.Duration) {
	tcp, isTCP := conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if !isTCP {
		return
	}
	how := net.KeepAliveConfig{Enable: every >= 0, Idle: every, Interval: every}
	if every > 0 {
		how.Count = 3
	}
	tcp.SetKeepAliveConfig(how)
}

// note remembers why the connection ends, unless that is known already.
func (c *conn) note(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteLocked(e)
}

func (c *conn) noteLocked(e ending) {
	if c.end.reason == "" {
		c.end = e
	}
}

// abort closes both sides with a reset, so that neither takes the stream for complete. It returns false
// when the connection was closed already.
func (c *conn) abort(e ending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	c.noteLocked(e)
	if c.cancel != nil {
		c.cancel()
	}
	if c.upstream != nil {
		c.lost.in, _ = unacknowledged(rawOf(c.upstream))
		reset(c.upstream)
	}
	c.lost.out, _ = unacknowledged(c.raw)
	reset(c.raw)
	return true
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// reset closes a connection so that the other side sees a reset, where there is such a thing.
func reset(conn net.Conn) {
	conn = rawOf(conn)                                 // the Close of TLS would say close_notify: a stream that is complete
	if looped, is := conn.(interface{ Reset() }); is { // its loop closes it
		looped.Reset()
		return
	}
	if tcp, isTCP := conn.(interface{ SetLinger(int) error }); isTCP {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// closeLater closes the connection at a moment, unless it has to close sooner anyway.
func (c *conn) closeLater(at time.Time, reason Reason) { c.closeAt(deadline{at: at, reason: reason}) }

func (c *conn) closeAt(d deadline) {
	if d.at.IsZero() {
		return
	}
	for {
		old := c.deadline.Load()
		if old != nil && old.at.Before(d.at) || c.deadline.CompareAndSwap(old, &d) {
			return
		}
	}
}

func (c *conn) touch() { c.touchAt(time.Now()) }

func (c *conn) touchAt(now time.Time) { c.lastMove.Store(int64(now.Sub(c.start))) }

func (c *conn) idle() time.Duration { return time.Since(c.start) - time.Duration(c.lastMove.Load()) }

func (c *conn) info() Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := Conn{ID: c.id, Remote: c.remote, Start: c.start, Idle: c.idle(), BytesIn: c.in.Load(), BytesOut: c.out.Load(), Resumed: c.state.DidResume, Tag: c.admission.Tag}
	if c.lease != nil {
		info.Backend = c.lease.addr
	}
	return info
}

// tellDialled reports how a dial went.
func (c *conn) tellDialled(b *backend, err error) {
	e := Event{
		Kind: Dialled, ID: c.id, Start: c.start, Remote: c.remote, Resumed: c.state.DidResume, Tag: c.admission.Tag,
		Backend: b.addr, Connect: c.connect, Handshake: c.handshake, Duration: time.Since(c.start), Err: err,
	}
	if err != nil {
		e.Reason = ReasonOf(err)
	}
	c.server.cfg.Trace(e)
}

// tell reports a moment to Config.Trace.
func (c *conn) tell(kind EventKind) {
	e := Event{
		Kind: kind, ID: c.id, Start: c.start, Remote: c.remote, Resumed: c.state.DidResume, Tag: c.admission.Tag,
		BytesIn: c.in.Load(), BytesOut: c.out.Load(), Handshake: c.handshake, Wait: c.wait, Connect: c.connect, Duration: time.Since(c.start),
	}
	if len(c.state.PeerCertificates) > 0 {
		e.Leaf = c.state.PeerCertificates[0]
	}
	c.mu.Lock()
	if c.lease != nil {
		e.Backend = c.lease.addr
	} else {
		e.Backend = c.tried
	}
	if kind == Refused || kind == Closed {
		e.Reason = c.end.reason
		e.Detail = c.end.detail
		e.Err = c.end.err
		e.Early = c.early.Load()
		e.UnackedIn = int64(c.lost.in)
		e.UnackedOut = int64(c.lost.out)
	}
	c.mu.Unlock()
	c.server.cfg.Trace(e)
}
