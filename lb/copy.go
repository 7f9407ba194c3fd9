package lb

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// stream copies both ways, each on a goroutine of its own: the one that did the handshake has a large
// stack, and most connections wait most of the time. The second one to end finishes the connection.
func (c *conn) stream() {
	c.directions.Store(2)
	c.server.running.Go(c.up)
	c.server.running.Go(c.down)
}

// ended is called at the end of each direction.
func (c *conn) ended() {
	if c.directions.Add(-1) > 0 {
		return
	}
	c.note(ending{reason: ReasonDone})
	c.streams.Store(false)
	c.finish()
}

// up copies from the client to the route.
func (c *conn) up() {
	defer c.ended()
	readErr, writeErr := c.copyUp()
	switch {
	case readErr == nil && writeErr == nil:
		if c.truncated() {
			c.note(ending{reason: ReasonClientEOF}) // without close_notify
		}
		c.heardAll.Store(true)
		c.markHalf()
		closeWrite(c.route)
		if secure, isTLS := c.route.(*tls.Conn); isTLS {
			closeWrite(secure.NetConn())
		}
	case readErr != nil:
		c.abort(ending{reason: ReasonClientReset, err: readErr})
	default:
		// The route takes no more. What it has sent already is still to be delivered.
		c.note(ending{reason: ReasonRouteReset, err: writeErr})
		c.markHalf()
	}
}

// truncated tells whether the client's TCP stream has ended without the end of the TLS stream.
func (c *conn) truncated() bool {
	return c.secure != nil && c.secure.ended.Load() || c.wire != nil && c.wire.ended.Load()
}

// copyUp passes on what the client sends until it ends, which is no error.
func (c *conn) copyUp() (readErr, writeErr error) {
	deliver := func(data []byte) error {
		if _, writeErr = c.route.Write(data); writeErr == nil {
			c.moved(len(data), &c.in, &c.lease.traffic.in)
		}
		return writeErr
	}
	if c.secure == nil {
		return c.copyPlain(c.client, deliver, &writeErr)
	}
	for {
		err := c.secure.read(deliver)
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

// down copies from the route to the client.
func (c *conn) down() {
	defer c.ended()
	readErr, writeErr := c.copyDown()
	switch {
	case readErr == nil && writeErr == nil:
		if c.out.Load() == 0 && !c.half.Load() {
			c.note(ending{reason: ReasonRouteClosed})
		}
		c.markHalf()
		c.closeClient()
	case readErr != nil && remoteAlert(readErr) != "": // in TLS 1.3 a client certificate is refused only now
		c.abort(ending{reason: ReasonRouteTLS, detail: remoteAlert(readErr), err: readErr})
	case readErr != nil:
		c.abort(ending{reason: ReasonRouteReset, err: readErr})
	default:
		c.abort(ending{reason: ReasonClientReset, err: writeErr})
	}
}

// copyDown passes on what the route sends until it ends, which is no error.
func (c *conn) copyDown() (readErr, writeErr error) {
	deliver := func(data []byte) error {
		if c.secure != nil {
			writeErr = c.secure.write(data)
		} else {
			_, writeErr = c.client.Write(data)
		}
		if writeErr == nil && c.moved(len(data), &c.out, &c.lease.traffic.out) {
			c.tell(FirstByte)
		}
		return writeErr
	}
	return c.copyPlain(c.route, deliver, &writeErr)
}

// copyPlain delivers what comes from src until it ends.
func (c *conn) copyPlain(src net.Conn, deliver func([]byte) error, writeErr *error) (error, error) {
	f := newFeed(src)
	defer f.release()
	for {
		data, err := f.read()
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

// moved counts bytes, and tells whether they were the first. It waits while they were too many.
func (c *conn) moved(n int, count, backend *atomic.Int64) (first bool) {
	c.touch()
	backend.Add(int64(n))
	first = count.Add(int64(n)) == int64(n)
	if pause := pauseFor(c.admission.Limits, n); pause > 0 {
		c.rest(pause)
	}
	return first
}

// restStep bounds how long a closed connection may stay around because it was too fast.
const restStep = 200 * time.Millisecond

func (c *conn) rest(d time.Duration) {
	for ; d > 0 && !c.isClosed(); d -= restStep {
		time.Sleep(min(d, restStep))
		c.touch() // it is slowed down, not idle
	}
}

// closeClient passes the end of the route's direction on. The other direction goes on.
func (c *conn) closeClient() {
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
	lingerBytes = 256 << 10
)

// hangUp closes the client's side in order. Closing over bytes that were not read would make the kernel
// send a reset, which can overtake the alert or the answer that was sent last, so they are read first,
// within bounds.
func (c *conn) hangUp() {
	if c.isClosed() {
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

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
