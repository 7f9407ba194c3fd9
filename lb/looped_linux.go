package lb

import (
	"io"
	"net"
	"time"

	"github.com/xdire/xlb/lb/internal/loop"
	"github.com/xdire/xlb/lb/internal/record"
)

// loops is the server's loops, which start when they are first needed; nil when there are none.
func (s *Server) loops() *loop.Set {
	s.loopsOnce.Do(func() {
		if n := s.cfg.Loops; n >= 0 {
			if set, err := loop.NewSet(n); err == nil { // without it goroutines do the work
				s.loopSet.Store(set)
			}
		}
	})
	return s.loopSet.Load()
}

func (s *Server) loopStats() (all []LoopStats) {
	if set := s.loopSet.Load(); set != nil {
		for _, one := range set.Stats() {
			all = append(all, LoopStats{one.Connections, one.Busy, one.Longest})
		}
	}
	return all
}

// looped is a connection whose bytes a loop moves. Its methods are called there, and do what copyUp and copyDown do.
type looped struct {
	*conn
	up, down            loop.Way
	fromClient          *record.Feed // nil: the connection is secure
	fromBackend         *record.Feed
	toBackend, toClient func([]byte) error
	upRest, downRest    time.Duration // to wait before the next bytes
	upErr, downErr      error         // of a write
	afterUp, afterDown  func()        // see end
}

// enterLoop has a loop move the bytes. It returns false where none can: for other kinds of connections, and where crypto/tls
// protects the records.
func (c *conn) enterLoop() bool {
	raw, isTCP := c.raw.(*net.TCPConn)
	upstream, isPlain := c.upstream.(*net.TCPConn)
	if !isTCP || !isPlain || c.wire != nil {
		return false
	}
	loops := c.server.loops()
	if loops == nil {
		return false
	}
	l := &looped{conn: c}
	if !l.adopt(raw, upstream) {
		return false
	}
	has := false
	if c.secure != nil {
		has = c.secure.Move(l.up.From)
	} else {
		c.client = l.up.From
		l.fromClient = record.NewFeed(l.up.From)
	}
	l.fromBackend = record.NewFeed(l.down.From)
	l.toBackend = l.writeToBackend
	l.toClient = l.writeToClient
	c.server.running.Add(1) // until both ways have left it
	if err := loops.Add(l, &l.up, &l.down, has); err != nil {
		c.server.running.Done()
		c.abort(ending{reason: ReasonInternal, err: err}) // the goroutines see to the rest
		return false
	}
	return true
}

// adopt takes both sockets over, unless the connection was closed meanwhile.
func (l *looped) adopt(raw, upstream *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	client, backend, err := loop.Adopt(raw, upstream)
	if err != nil {
		return false
	}
	l.raw = client
	l.upstream = backend
	l.up.From, l.up.To = client, backend
	l.down.From, l.down.To = backend, client
	return true
}

// Move implements loop.Mover.
func (l *looped) Move(w *loop.Way) {
	if w == &l.up {
		l.moveUp()
	} else {
		l.moveDown()
	}
}

func (l *looped) moveUp() {
	if l.upRest > 0 {
		l.pause(&l.up, &l.upRest)
		return
	}
	l.finishUp(l.readClient(), l.upErr)
}

// readClient reads once, and delivers.
func (l *looped) readClient() error {
	if l.secure == nil {
		return deliverOnce(l.fromClient, l.upSmall || l.up.Crowded(), l.toBackend)
	}
	l.secure.KeepSmall(l.upSmall || l.up.Crowded())
	err := l.secure.Receive(l.toBackend)
	if err == nil && l.secure.Over() {
		err = l.secure.Receive(nil)
	}
	if l.secure.Holds() {
		l.up.Keep()
	}
	return err
}

// Rest implements loop.Mover.
func (l *looped) Rest(*loop.Way) { l.secure.Park() }

func deliverOnce(f *record.Feed, small bool, deliver func([]byte) error) error {
	f.KeepSmall(small)
	data, err := f.Read()
	if err == nil {
		err = deliver(data)
	}
	f.Release()
	return err
}

func (l *looped) writeToBackend(data []byte) error {
	_, err := l.up.To.Write(data)
	if l.upErr = err; err != nil {
		l.upstreamSide.wrote(err)
		return err
	}
	l.touchAt(l.up.Now())
	_, l.upRest = l.moved(len(data), &l.in, &l.lease.traffic.in, &l.upSmall)
	l.pause(&l.up, &l.upRest)
	return nil
}

func (l *looped) writeToClient(data []byte) error {
	var err error
	if l.secure != nil {
		err = l.secure.Send(data)
	} else {
		_, err = l.down.To.Write(data)
	}
	if l.downErr = err; err != nil {
		l.clientSide.wrote(err)
		return err
	}
	l.touchAt(l.down.Now())
	l.downRest = l.movedDown(len(data))
	l.pause(&l.down, &l.downRest)
	return nil
}

// pause has a way rest for some of the time that is left to wait: it is slowed down, not idle.
func (l *looped) pause(w *loop.Way, left *time.Duration) {
	if *left <= 0 || l.isClosed() {
		*left = 0
		return
	}
	step := min(*left, restStep)
	*left -= step
	l.touchAt(w.Now())
	w.Pause(w.Now().Add(step))
}

func (l *looped) moveDown() {
	if l.downRest > 0 {
		l.pause(&l.down, &l.downRest)
		return
	}
	l.finishDown(deliverOnce(l.fromBackend, l.downSmall || l.down.Crowded(), l.toClient), l.downErr)
}

// finishUp ends the way from the client when it has come to its end. An end in order is passed on at once, any other by a
// goroutine, which may wait.
func (l *looped) finishUp(readErr, writeErr error) {
	switch {
	case writeErr != nil:
		l.end(&l.up, func() { l.endUp(nil, writeErr) })
	case readErr == nil || readErr == record.ErrDry:
	case readErr != io.EOF || l.clientSide.reset.Load():
		l.end(&l.up, func() { l.endUp(orderly(readErr), nil) })
	default:
		l.endUp(nil, nil)
		l.end(&l.up, nil)
	}
}

func (l *looped) finishDown(readErr, writeErr error) {
	switch {
	case writeErr != nil:
		l.end(&l.down, func() { l.endDown(nil, writeErr) })
	case readErr == nil || readErr == record.ErrDry:
	case readErr != io.EOF || l.upstreamSide.reset.Load():
		l.end(&l.down, func() { l.endDown(orderly(readErr), nil) })
	default:
		l.endDown(nil, nil)
		l.end(&l.down, nil)
	}
}

// orderly is what endUp and endDown call the end of a stream.
func orderly(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// end has the loop let go of a way as soon as all is sent that was kept for it. after is for a goroutine then; nil is nothing.
func (l *looped) end(w *loop.Way, after func()) {
	if w == &l.up {
		l.afterUp = after
	} else {
		l.afterDown = after
	}
	if w.Drain(); w.Ended() {
		l.ended(w)
	}
}

// ended is for a way that the loop has let go of.
func (l *looped) ended(w *loop.Way) {
	after := l.afterUp
	if w == &l.down {
		after = l.afterDown
	}
	switch {
	case after != nil:
		l.server.running.Go(func() {
			after()
			l.conn.ended()
		})
	case l.directions.Add(-1) == 0:
		l.server.running.Go(l.complete)
	}
	if l.up.Ended() && l.down.Ended() {
		l.server.running.Done()
	}
}

// Sent implements loop.Mover.
func (l *looped) Sent(w *loop.Way) {
	l.touchAt(w.Now())
	if w.Ended() {
		l.ended(w)
	}
}

// Failed implements loop.Mover.
func (l *looped) Failed(w *loop.Way, err error) {
	side, finish := &l.upstreamSide, l.finishUp
	if w == &l.down {
		side, finish = &l.clientSide, l.finishDown
	}
	side.wrote(err)
	if w.Ended() { // what was left to send does not change how it ends
		l.ended(w)
	} else {
		finish(nil, err)
	}
}
