package lb

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/xdire/xlb/lb/internal/record"
)

// stream copies both ways, each on a goroutine of its own: the one that did the handshake has a large
// stack, and most connections wait most of the time. The second one to end finishes the connection.
func (c *conn) stream() {
	c.directions.Store(2)
	if c.enterLoop() {
		return
	}
	c.server.running.Go(c.up)
	c.server.running.Go(c.down)
}

// ended is called at the end of each direction.
func (c *conn) ended() {
	if c.directions.Add(-1) == 0 {
		c.complete()
	}
}

// complete is called when both directions have ended.
func (c *conn) complete() {
	c.note(ending{reason: ReasonDone})
	c.streams.Store(false)
	c.finish()
}

// up copies from the client to the backend. The stack waits in copyUp for as long as the connection lives, so
// what comes after is a function of its own.
func (c *conn) up() {
	c.endUp(c.copyUp())
	c.ended()
}

func (c *conn) endUp(readErr, writeErr error) {
	isTLS := c.secure != nil || c.wire != nil
	if readErr == nil && (!isTLS || c.truncated()) && c.clientSide.wasReset(c.raw) { // close_notify is an end all the same
		readErr = syscall.ECONNRESET
	}
	switch {
	case writeErr != nil:
		// The backend takes no more. What it has sent already is still to be delivered.
		c.note(ending{reason: ReasonBackendReset, err: writeErr})
		c.markHalf()
		c.discard(c.raw)
	case errors.As(readErr, new(record.Violation)):
		c.passViolation(ending{reason: ReasonClientReset, detail: readErr.Error(), err: readErr})
	case readErr == io.ErrUnexpectedEOF:
		c.passReset(rawOf(c.upstream), ending{reason: ReasonClientEOF, detail: "within a TLS record", err: readErr})
	case readErr != nil:
		c.passReset(rawOf(c.upstream), ending{reason: ReasonClientReset, err: readErr})
	default:
		if c.truncated() {
			c.note(ending{reason: ReasonClientEOF}) // without close_notify
		}
		c.heardAll.Store(true)
		c.markHalf()
		closeWrite(c.upstream)
		if secure, isTLS := c.upstream.(*tls.Conn); isTLS {
			closeWrite(secure.NetConn())
		}
	}
}

// truncated tells whether the client's TCP stream has ended without the end of the TLS stream.
func (c *conn) truncated() bool {
	return c.secure != nil && c.secure.Ended() || c.wire != nil && c.wire.Ended()
}

// copyUp passes on what the client sends until it ends, which is no error.
func (c *conn) copyUp() (readErr, writeErr error) {
	deliver := func(data []byte) error {
		c.upstreamSide.writing.Store(true)
		_, writeErr = c.upstream.Write(data)
		c.upstreamSide.wrote(writeErr)
		if writeErr == nil {
			c.touch()
			_, pause := c.moved(len(data), &c.in, &c.lease.traffic.in, &c.upSmall)
			c.rest(pause)
		}
		return writeErr
	}
	if c.secure == nil {
		return c.copyPlain(c.client, deliver, &writeErr, &c.upSmall)
	}
	for {
		c.secure.KeepSmall(c.upSmall)
		err := c.secure.Receive(deliver)
		switch {
		case writeErr != nil:
			return nil, writeErr
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
	}
}

// down copies from the backend to the client, as up does.
func (c *conn) down() {
	c.endDown(c.copyDown())
	c.ended()
}

func (c *conn) endDown(readErr, writeErr error) {
	if readErr == nil && c.upstreamSide.wasReset(rawOf(c.upstream)) {
		readErr = syscall.ECONNRESET
	}
	if writeErr == nil {
		c.backendEnded()
	}
	switch {
	case writeErr != nil:
		// The client takes no more. What it has sent already is still to be delivered.
		if !isOurs(writeErr) {
			c.note(ending{reason: ReasonClientReset, err: writeErr})
		}
		c.markHalf()
		c.discard(rawOf(c.upstream))
	case readErr != nil && remoteAlert(readErr) != "": // in TLS 1.3 a client certificate is refused only now
		c.passReset(c.raw, ending{reason: ReasonBackendTLS, detail: remoteAlert(readErr), err: readErr})
	case readErr != nil:
		c.passReset(c.raw, ending{reason: ReasonBackendReset, err: readErr})
	default:
		if c.out.Load() == 0 && !c.half.Load() {
			c.note(ending{reason: ReasonBackendClosed})
		}
		c.markHalf()
		c.closeClient()
	}
}

// copyDown passes on what the backend sends until it ends, which is no error.
func (c *conn) copyDown() (readErr, writeErr error) {
	deliver := func(data []byte) error {
		c.clientSide.writing.Store(true)
		if c.secure != nil {
			writeErr = c.secure.Send(data)
		} else {
			_, writeErr = c.client.Write(data)
		}
		c.clientSide.wrote(writeErr)
		if writeErr == nil {
			c.touch()
			c.rest(c.movedDown(len(data)))
		}
		return writeErr
	}
	return c.copyPlain(c.upstream, deliver, &writeErr, &c.downSmall)
}

// copyPlain delivers what comes from src until it ends, in small pieces while small says so.
func (c *conn) copyPlain(src net.Conn, deliver func([]byte) error, writeErr *error, small *bool) (error, error) {
	f := record.NewFeed(src)
	defer f.Release()
	for {
		f.KeepSmall(*small)
		data, err := f.Read()
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return err, nil
		}
		if deliver(data) != nil {
			return nil, *writeErr
		}
	}
}

// movedDown counts bytes to the client, and returns how long to wait before the next ones.
func (c *conn) movedDown(n int) time.Duration {
	first, pause := c.moved(n, &c.out, &c.lease.traffic.out, &c.downSmall)
	if first {
		c.admission.Pool.served(c.lease)
		c.tell(FirstByte)
	}
	return pause
}

// moved counts bytes, and tells whether they were the first and how long to wait before the next ones. It notes whether these
// have to be few.
func (c *conn) moved(n int, count, backend *atomic.Int64, small *bool) (first bool, pause time.Duration) {
	backend.Add(int64(n))
	first = count.Add(int64(n)) == int64(n)
	pause, *small = pauseFor(c.admission.Limits, n)
	return first, pause
}

// restStep bounds how long a closed connection may stay around because it was too fast.
const restStep = 200 * time.Millisecond

func (c *conn) rest(d time.Duration) {
	for ; d > 0 && !c.isClosed(); d -= restStep {
		time.Sleep(min(d, restStep))
		c.touch() // it is slowed down, not idle
	}
}
