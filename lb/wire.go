package lb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"sync/atomic"
)

// wire is the connection under crypto/tls. It hands out one record at a time, so that crypto/tls takes
// nothing that comes after the handshake, and it overhears what is needed to go on without crypto/tls:
// the traffic secrets, and how many records were written under them.
type wire struct {
	net.Conn
	admission *Admission  // granted during the handshake, nil when it was refused
	offered   uint16      // highest TLS version in the ClientHello
	alert     byte        // the last one that came in plain text, 0 for none
	ended     atomic.Bool // the TCP stream has ended

	in         *block // what was read and not yet handed out: in.data[start:end]
	start, end int
	left       int // bytes of the current record still to be handed out

	client, server []byte // traffic secrets, once they are known
	written        []byte // everything written during the handshake
	sent           int    // how much of it has gone out
	through        bool   // the handshake is over: only pass on
}

// begin hands in what was read already.
func (w *wire) begin(with []byte) {
	w.in = tinyBlocks.Get().(*block)
	w.end = copy(w.in.data, with)
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.through && w.start == w.end {
		n, err := w.Conn.Read(p)
		if err == io.EOF {
			w.ended.Store(true)
		}
		return n, err
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	if err := w.fill(); err != nil {
		return 0, err
	}
	n := copy(p, w.in.data[w.start:min(w.end, w.start+w.left)])
	w.start, w.left = w.start+n, w.left-n
	if w.through && w.start == w.end {
		w.in.free()
		w.in = nil
	}
	return n, nil
}

// fill makes sure that there is something to hand out.
func (w *wire) fill() error {
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
		w.left = recordHeader + int(binary.BigEndian.Uint16(w.in.data[w.start+3:]))
		return w.overhearAlert()
	}
	return nil
}

// overhearAlert notes an alert in plain text. OpenSSL sends one when it does not trust us, before its own
// keys are in use; crypto/tls, which expects a protected record by then, can only call it broken.
func (w *wire) overhearAlert() error {
	if w.in.data[w.start] != typeAlert || w.left != recordHeader+2 {
		return nil
	}
	for w.end-w.start < w.left {
		if err := w.more(); err != nil {
			return err
		}
	}
	w.alert = w.in.data[w.start+recordHeader+1]
	return nil
}

func (w *wire) more() error {
	if w.in == nil {
		w.in = tinyBlocks.Get().(*block)
	}
	if w.start > 0 {
		w.end = copy(w.in.data, w.in.data[w.start:w.end])
		w.start = 0
	}
	n, err := w.Conn.Read(w.in.data[w.end:])
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
// written goes out then, or with flush; what is left at the end are session tickets.
func (w *wire) Write(p []byte) (int, error) {
	if w.through {
		return w.Conn.Write(p)
	}
	w.written = append(w.written, p...)
	return len(p), nil
}

// flush sends what was written.
func (w *wire) flush() error {
	if w.sent == len(w.written) {
		return nil
	}
	_, err := w.Conn.Write(w.written[w.sent:])
	w.sent = len(w.written)
	return err
}

// keyLog receives the secrets of a handshake in the format of NSS: label, client random, secret.
type keyLog struct{ *wire }

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

// pass ends overhearing; crypto/tls goes on.
func (w *wire) pass() error {
	err := w.flush()
	w.through, w.written, w.sent, w.client, w.server = true, nil, 0, nil, nil
	return err
}

// finish ends the handshake's part. What was read beyond it, and the tickets that were not sent yet,
// are the caller's, for good.
func (w *wire) finish() (beyond, tickets []byte) {
	if w.end > w.start {
		beyond = bytes.Clone(w.in.data[w.start:w.end])
	}
	w.in.free()
	w.in, w.start, w.end, w.left = nil, 0, 0, 0
	tickets = bytes.Clone(w.written[w.sent:])
	w.through, w.written, w.sent, w.client, w.server = true, nil, 0, nil, nil
	return beyond, tickets
}

// countSealed advances key over those written records that it has sealed: crypto/tls sends session
// tickets under it, and does not say how many. Records of the handshake's own keys do not open.
func (w *wire) countSealed(key *trafficKey) {
	scratch := takeBlock(false)
	defer scratch.free()
	for rest := w.written; len(rest) >= recordHeader; {
		n := recordHeader + int(binary.BigEndian.Uint16(rest[3:]))
		if n > len(rest) {
			return
		}
		if rest[0] == typeApplication {
			key.open(scratch.data, rest[:n]) // counts itself when it succeeds
		}
		rest = rest[n:]
	}
}
