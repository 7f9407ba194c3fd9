package lb

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bufferSize is two TLS records.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// stream copies both ways until both directions have ended or the connection is closed.
func (c *conn) stream(route net.Conn) {
	var down sync.WaitGroup
	down.Go(func() { c.down(route) })
	c.up(route)
	down.Wait()
	c.note(ending{reason: ReasonDone})
	c.streams.Store(false)
}

// up copies from the client to the route.
func (c *conn) up(route net.Conn) {
	readErr, writeErr := c.copy(route, c.client, &c.in, &c.lease.traffic.in, nil)
	switch {
	case readErr == nil && writeErr == nil:
		if c.wire != nil && c.wire.ended.Load() {
			c.note(ending{reason: ReasonClientEOF}) // without close_notify
		}
		c.heardAll.Store(true)
		c.closeHalf(route)
	case readErr != nil:
		c.abort(ending{reason: ReasonClientReset, err: readErr})
	default:
		// The route takes no more. What it has sent already is still to be delivered.
		c.note(ending{reason: ReasonRouteReset, err: writeErr})
		c.markHalf()
	}
}

// down copies from the route to the client.
func (c *conn) down(route net.Conn) {
	first := func() { c.tell(FirstByte) }
	readErr, writeErr := c.copy(c.client, route, &c.out, &c.lease.traffic.out, first)
	switch {
	case readErr == nil && writeErr == nil:
		if c.out.Load() == 0 && !c.half.Load() {
			c.note(ending{reason: ReasonRouteClosed})
		}
		c.closeHalf(c.client)
	case readErr != nil:
		c.abort(ending{reason: ReasonRouteReset, err: readErr})
	default:
		c.abort(ending{reason: ReasonClientReset, err: writeErr})
	}
}

// copy moves bytes from src to dst until one of them fails or src ends, which is no error. first is
// called after the first bytes have arrived.
func (c *conn) copy(dst, src net.Conn, count, backend *atomic.Int64, first func()) (readErr, writeErr error) {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := src.Read(buffer[:])
		if n > 0 {
			c.touch()
			if _, err := dst.Write(buffer[:n]); err != nil {
				return nil, err
			}
			c.touch()
			count.Add(int64(n))
			backend.Add(int64(n))
			if first != nil {
				first()
				first = nil
			}
		}
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return err, nil
		}
	}
}

// closeHalf passes the end of one direction on. The other direction goes on.
func (c *conn) closeHalf(dst net.Conn) {
	c.markHalf()
	if half, can := dst.(interface{ CloseWrite() error }); can {
		half.CloseWrite() // fails only when there is nobody to tell
	}
	if dst == c.client && c.wire != nil {
		closeWrite(c.raw) // FIN after close_notify: some clients wait for that
	}
}

func closeWrite(conn net.Conn) {
	if half, can := conn.(interface{ CloseWrite() error }); can {
		half.CloseWrite()
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
	if half, can := c.client.(interface{ CloseWrite() error }); can {
		c.raw.SetWriteDeadline(time.Now().Add(lingerTime))
		half.CloseWrite()
	}
	if !c.heardAll.Load() {
		closeWrite(c.raw)
		c.raw.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, c.raw, lingerBytes)
	}
	c.raw.Close()
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
