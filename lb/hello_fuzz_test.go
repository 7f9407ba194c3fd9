package lb

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// cutting writes the first flight in pieces, and may change a byte of it.
type cutting struct {
	net.Conn
	cuts   []byte // lengths of the pieces
	at     int    // of the byte to change
	change byte   // it is xored with this
	sent   int
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.sent > 0 { // the first flight has gone
		return c.Conn.Write(p)
	}
	p = append([]byte(nil), p...)
	p[c.at%len(p)] ^= c.change
	for _, n := range c.cuts {
		n := min(int(n), len(p)-c.sent)
		if n == 0 {
			continue
		}
		if _, err := c.Conn.Write(p[c.sent : c.sent+n]); err != nil {
			return c.sent, err
		}
		c.sent += n
		time.Sleep(50 * time.Microsecond) // so that the other side reads a piece, and not all of them
	}
	rest := p[c.sent:]
	c.sent = len(p)
	if _, err := c.Conn.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A ClientHello may come in pieces of any length. One that was changed on the way is refused, or is another good one; neither
// leaves anything behind.
func FuzzHelloInPieces(f *testing.F) {
	echoing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { echoing.Close() })
	go func() {
		for {
			conn, err := echoing.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	r := newRig(f, Config{TLS: &tls.Config{}, Admit: to(poolOf(echoing.Addr().String()))})
	with := r.clientConfig(f, "client")
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1}, uint16(0), uint8(0))
	f.Add([]byte{5}, uint16(0), uint8(0))
	f.Add([]byte{4, 1}, uint16(9), uint8(1))
	f.Add([]byte{}, uint16(0), uint8(22^'G'))
	f.Add([]byte{8, 200, 200, 200, 200, 200}, uint16(0), uint8(0))
	f.Fuzz(func(t *testing.T, cuts []byte, at uint16, change uint8) {
		raw, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(patience))
		if change != 0 { // a length that grew: both sides wait, and the server for longer
			raw.SetDeadline(time.Now().Add(50 * time.Millisecond))
		}
		conn := tls.Client(&cutting{Conn: raw, cuts: cuts[:min(len(cuts), 32)], at: int(at), change: change}, with)
		err = conn.Handshake()
		if change != 0 {
			return // one side or the other finds out
		}
		if err == nil {
			_, err = conn.Write([]byte("ping"))
		}
		answer := make([]byte, 4)
		if err == nil {
			_, err = io.ReadFull(conn, answer)
		}
		if err != nil || string(answer) != "ping" {
			t.Fatalf("in pieces of %v: %q, %v", cuts, answer, err)
		}
	})
	f.Cleanup(func() { // before the rig's
		eventually(f, "no handshake is left", func() bool { return r.Stats().Handshaking == 0 })
	})
}
