package lb

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xdire/xlb/lb/internal/record"
)

// side is what the two directions have to know of each other about one end of the connection.
type side struct {
	writing atomic.Bool // a write to it has not returned
	reset   atomic.Bool // a write has found it reset
}

// wrote is called when a write has returned.
func (s *side) wrote(err error) {
	// EPIPE says that a FIN came before the reset: what is left to read ends in order.
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		s.reset.Store(true)
	}
	s.writing.Store(false)
}

// wasReset is for a reader that has come to the end. The kernel tells of a reset once: when a write was
// told, reading ends as if the other side had closed in order.
func (s *side) wasReset(raw net.Conn) bool {
	for s.writing.Load() {
		if _, alive := unacknowledged(raw); alive {
			break // the stream has ended, the write may take long
		}
		time.Sleep(time.Millisecond) // the write returns at once, and tells
	}
	return s.reset.Load()
}

// rawOf is the TCP connection under a TLS one, and any other connection itself.
func rawOf(conn net.Conn) net.Conn {
	if secure, isTLS := conn.(*tls.Conn); isTLS {
		return secure.NetConn()
	}
	return conn
}

// earlyClose is how soon a backend ends a connection that it does not mean to serve.
const earlyClose = time.Second

// backendEnded tells when that was early.
func (c *conn) backendEnded() {
	soon := time.Since(c.start)-c.routed < earlyClose
	if soon && c.out.Load() == 0 && !c.heardAll.Load() && !c.isClosed() {
		c.early.Store(true)
		c.admission.Pool.endedEarly(c.lease)
		c.tell(EarlyClosed)
	}
}

// isOurs tells whether a write to the client failed because the reader has sent an alert, and says why.
func isOurs(writeErr error) bool {
	return errors.Is(writeErr, record.ErrShut) || errors.Is(writeErr, os.ErrDeadlineExceeded)
}

const (
	shortestAckPoll = time.Millisecond
	longestAckPoll  = 50 * time.Millisecond
)

// passReset ends the connection for a reset of one side. The kernel forgets what it has not sent when it
// resets, so the other side first gets what was read, as long as it takes some of it within each close
// timeout.
func (c *conn) passReset(other net.Conn, e ending) {
	c.note(e)
	c.markHalf()
	c.awaitAcks(other)
	if !c.alerted.Load() {
		c.abort(e)
	}
}

// passViolation ends the connection of a client that broke the rules of TLS. The backend sees a reset, after
// what came before. The client was sent an alert, which a reset would overtake: hangUp closes its side.
func (c *conn) passViolation(e ending) {
	c.alerted.Store(true)
	c.note(e)
	c.markHalf()
	c.awaitAcks(rawOf(c.upstream))
	reset(c.upstream)
}

// awaitAcks waits until the other side's kernel has all that was written to it, or the connection is
// closed: by the sweep, when nothing moves.
func (c *conn) awaitAcks(raw net.Conn) {
	left, alive := unacknowledged(raw)
	for pause := shortestAckPoll; left > 0 && alive && !c.isClosed(); pause = min(2*pause, longestAckPoll) {
		time.Sleep(pause)
		before := left
		if left, alive = unacknowledged(raw); left < before {
			c.touch()
		}
	}
}

// closeClient passes the end of the backend's direction on. The other direction goes on.
func (c *conn) closeClient() {
	if c.saidEnd {
		return
	}
	c.saidEnd = true
	switch {
	case c.secure != nil:
		c.secure.CloseWrite() // fails only when there is nobody to tell
	case c.client != c.raw:
		closeWrite(c.client)
	}
	closeWrite(c.raw) // FIN after close_notify: some clients wait for that
}

func closeWrite(conn net.Conn) {
	if half, can := conn.(interface{ CloseWrite() error }); can {
		half.CloseWrite() // fails only when there is nobody to tell
	}
}

func (c *conn) markHalf() {
	c.touch()
	c.half.Store(true)
}

const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// hangUp closes the client's side in order. Closing over bytes that were not read would make the kernel
// send a reset, which can overtake the alert or the answer that was sent last, so they are read first,
// within bounds.
func (c *conn) hangUp() {
	if c.isClosed() {
		c.raw.Close()
		return
	}
	c.raw.SetWriteDeadline(time.Now().Add(lingerTime))
	c.closeClient()
	if !c.heardAll.Load() {
		c.raw.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, c.raw, lingerBytes)
	}
	c.raw.Close()
}

// discard reads and throws away what one side sends and the other does not take any more, until the other
// direction has ended and this side has got all that was written to it: it may take nothing while
// nobody reads what it writes, and closing over unread bytes would forget what is not sent.
func (c *conn) discard(raw net.Conn) {
	b := record.Tiny()
	defer b.Free()
	left, alive := unacknowledged(raw)
	for alive && !c.isClosed() && (left > 0 || c.directions.Load() > 1) {
		raw.SetReadDeadline(time.Now().Add(longestAckPoll))
		n, err := raw.Read(b.Data)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		pause, _ := pauseFor(c.admission.Limits, n)
		time.Sleep(min(pause, restStep))
		before := left
		if left, alive = unacknowledged(raw); left < before {
			c.touch()
		}
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
