package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"sync/atomic"
)

// Wire is the connection under crypto/tls. It hands out one record at a time, so that crypto/tls takes
// nothing that comes after the handshake, and it overhears what is needed to go on without crypto/tls:
// the traffic secrets, and how many records were written under them.
type Wire struct {
	net.Conn
	alert byte        // the last one that came in plain text, 0 for none
	ended atomic.Bool // the TCP stream has ended

	in         *Block // what was read and not yet handed out: in.Data[start:end]
	start, end int
	left       int // bytes of the current record still to be handed out

	client, server []byte // traffic secrets, once they are known
	written        []byte // everything written during the handshake
	sent           int    // how much of it has gone out
	through        bool   // the handshake is over: only pass on
}

// NewWire returns the wire of a connection from which some bytes were read already, at most 4 KB. The caller closes
// the connection.
func NewWire(conn net.Conn, begun []byte) *Wire {
	w := &Wire{Conn: conn, in: Tiny()}
	w.end = copy(w.in.Data, begun)
	return w
}

// Alert is the last alert that came in plain text, 0 for none.
func (w *Wire) Alert() byte { return w.alert }

// Ended tells whether the TCP stream has ended.
func (w *Wire) Ended() bool { return w.ended.Load() }

// Read implements net.Conn.
func (w *Wire) Read(p []byte) (int, error) {
	if w.through && w.start == w.end {
		n, err := w.Conn.Read(p)
		if err == io.EOF {
			w.ended.Store(true)
		}
		return n, err
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	if err := w.fill(); err != nil {
		return 0, err
	}
	n := copy(p, w.in.Data[w.start:min(w.end, w.start+w.left)])
	w.start += n
	w.left -= n
	if w.through && w.start == w.end {
		w.in.Free()
		w.in = nil
	}
	return n, nil
}

// fill makes sure that there is something to hand out.
func (w *Wire) fill() error {
	for w.start == w.end || w.left == 0 && w.end-w.start < recordHeader {
		if err := w.more(); err != nil {
			if err == io.EOF && w.end > w.start { // half a header: crypto/tls shall see it
				w.left = w.end - w.start
				return nil
			}
			return err
		}
	}
	if w.left == 0 {
		w.left = recordHeader + int(binary.BigEndian.Uint16(w.in.Data[w.start+3:]))
		return w.overhearAlert()
	}
	return nil
}

// overhearAlert notes an alert in plain text. OpenSSL sends one when it does not trust us, before its own
// keys are in use; crypto/tls, which expects a protected record by then, can only call it broken.
func (w *Wire) overhearAlert() error {
	if w.in.Data[w.start] != typeAlert || w.left != recordHeader+2 {
		return nil
	}
	for w.end-w.start < w.left {
		if err := w.more(); err != nil {
			return err
		}
	}
	w.alert = w.in.Data[w.start+recordHeader+1]
	return nil
}

func (w *Wire) more() error {
	if w.in == nil {
		w.in = Tiny()
	}
	if w.start > 0 {
		w.end = copy(w.in.Data, w.in.Data[w.start:w.end])
		w.start = 0
	}
	n, err := w.Conn.Read(w.in.Data[w.end:])
	w.end += n
	if n > 0 {
		return nil
	}
	if err == io.EOF {
		w.ended.Store(true)
	}
	return err
}

// Write implements net.Conn. In a handshake nobody waits for an answer before it reads, so what is
// written goes out then, or with Flush; what is left at the end are session tickets.
func (w *Wire) Write(p []byte) (int, error) {
	if w.through {
		return w.Conn.Write(p)
	}
	w.written = append(w.written, p...)
	return len(p), nil
}

// Flush sends what was written.
func (w *Wire) Flush() error {
	if w.sent == len(w.written) {
		return nil
	}
	_, err := w.Conn.Write(w.written[w.sent:])
	w.sent = len(w.written)
	return err
}

// KeyLog is for tls.Config.KeyLogWriter: the wire keeps the traffic secrets, in memory, until the handshake is over.
func (w *Wire) KeyLog() io.Writer { return keyLog{w} }

// keyLog receives the secrets of a handshake in the format of NSS: label, client random, secret.
type keyLog struct{ *Wire }

// Write implements io.Writer. The line must not be kept.
func (k keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) == 3 {
		secret := make([]byte, hex.DecodedLen(len(fields[2])))
		if _, err := hex.Decode(secret, fields[2]); err != nil {
			return 0, err
		}
		switch string(fields[0]) {
		case "CLIENT_TRAFFIC_SECRET_0":
			k.client = secret
		case "SERVER_TRAFFIC_SECRET_0":
			k.server = secret
		}
	}
	return len(line), nil
}

// Pass ends overhearing; crypto/tls goes on.
func (w *Wire) Pass() error {
	err := w.Flush()
	w.through = true
	w.written = nil
	w.sent = 0
	w.client = nil
	w.server = nil
	return err
}

// finish ends the handshake's part. What was read beyond it, and the tickets that were not sent yet,
// are the caller's, for good.
func (w *Wire) finish() (beyond, tickets []byte) {
	if w.end > w.start {
		beyond = bytes.Clone(w.in.Data[w.start:w.end])
	}
	w.in.Free()
	w.in = nil
	w.start = 0
	w.end = 0
	w.left = 0
	tickets = bytes.Clone(w.written[w.sent:])
	w.through = true
	w.written = nil
	w.sent = 0
	w.client = nil
	w.server = nil
	return beyond, tickets
}

// countSealed advances key over those written records that it has sealed: crypto/tls sends session
// tickets under it, and does not say how many. Records of the handshake's own keys do not open.
func (w *Wire) countSealed(key *trafficKey) {
	scratch := takeBlock(false)
	defer scratch.Free()
	for rest := w.written; len(rest) >= recordHeader; {
		n := recordHeader + int(binary.BigEndian.Uint16(rest[3:]))
		if n > len(rest) {
			return
		}
		if rest[0] == typeApplication {
			key.open(scratch.Data, rest[:n]) // counts itself when it succeeds
		}
		rest = rest[n:]
	}
}
