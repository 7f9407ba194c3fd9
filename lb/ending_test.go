package lb

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// sendAndReset sends data, waits until the other kernel has all of it, and closes with a reset.
func sendAndReset(t *testing.T, conn net.Conn, data []byte) {
	if _, err := conn.Write(data); err != nil {
		t.Errorf("write: %v", err)
	}
	waitForAcks(rawOf(conn))
	reset(conn)
}

// waitForAcks waits until the other kernel has all that was written.
func waitForAcks(raw net.Conn) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if left, alive := unacknowledged(raw); left == 0 && alive {
			return
		}
	}
}

// readSlowly reads about 4 MB a second until the stream ends.
func readSlowly(conn net.Conn) ([]byte, error) {
	var all []byte
	p := make([]byte, 20_000)
	for {
		n, err := io.ReadFull(conn, p)
		all = append(all, p[:n]...)
		if errors.Is(err, io.ErrUnexpectedEOF) { // of ReadFull: once more, for the stream's own
			_, err = conn.Read(p[:1])
		}
		if err != nil {
			return all, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

// routeWays runs a test with routes that speak TLS and that do not. over is a pool of one route.
func routeWays(t *testing.T, run func(t *testing.T, over func(serve func(net.Conn)) *Pool)) {
	t.Run("to plain", func(t *testing.T) {
		run(t, func(serve func(net.Conn)) *Pool {
			return poolOf(upstream(t, func(conn *net.TCPConn) { serve(conn) }))
		})
	})
	t.Run("to tls", func(t *testing.T) {
		run(t, func(serve func(net.Conn)) *Pool {
			authority := newAuthority(t)
			pair := authority.Issue(t, "localhost")
			addr := upstream(t, func(conn *net.TCPConn) {
				secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}})
				serve(secure)
			})
			return NewPool(PoolConfig{Backends: []Backend{{Addr: addr, TLS: &BackendTLS{ServerName: "localhost", RootCAs: authority.Pool()}}}})
		})
	})
}

// What was read from a route before its reset reaches a client that takes it slowly, and then so does the reset.
func TestResetOfTheRouteComesAfterItsAnswer(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		routeWays(t, func(t *testing.T, over func(func(net.Conn)) *Pool) {
			answer := randomBytes(400_000)
			pool := over(func(conn net.Conn) { sendAndReset(t, conn, answer) })
			r := newRig(t, Config{TLS: with, Admit: to(pool)})
			got, err := readSlowly(r.dial(t))
			if !bytes.Equal(got, answer) {
				t.Errorf("%d bytes arrived of %d", len(got), len(answer))
			}
			if !isReset(err) {
				t.Errorf("then %v, want a reset", err)
			}
			if e := r.next(t, Closed, 0); e.Reason != ReasonBackendReset || e.UnackedOut != 0 {
				t.Errorf("closed: %s, %d bytes unacknowledged", e.Reason, e.UnackedOut)
			}
		})
	})
}

func TestResetOfTheClientComesAfterItsUpload(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		routeWays(t, func(t *testing.T, over func(func(net.Conn)) *Pool) {
			type result struct {
				data []byte
				err  error
			}
			got := make(chan result, 1)
			upload := randomBytes(400_000)
			pool := over(func(conn net.Conn) {
				data, err := readSlowly(conn)
				got <- result{data, err}
			})
			r := newRig(t, Config{TLS: with, Admit: to(pool)})
			sendAndReset(t, r.dial(t), upload)
			result1 := <-got
			if !bytes.Equal(result1.data, upload) {
				t.Errorf("%d bytes arrived of %d", len(result1.data), len(upload))
			}
			if !isReset(result1.err) {
				t.Errorf("then %v, want a reset", result1.err)
			}
			if e := r.next(t, Closed, 0); e.Reason != ReasonClientReset || e.UnackedIn != 0 {
				t.Errorf("closed: %s, %d bytes unacknowledged", e.Reason, e.UnackedIn)
			}
		})
	})
}

// A write that fails is told of the reset, and then reading ends as if in order. It is a reset all the same,
// and what the client sent before it is not lost.
func TestResetThatAWriteHasFoundStaysOne(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		routeWays(t, func(t *testing.T, over func(func(net.Conn)) *Pool) {
			for range 2 {
				ended := make(chan error, 1)
				upload := randomBytes(300_000)
				got := make(chan int, 1)
				pool := over(func(conn net.Conn) {
					wrote := make(chan error, 1)
					go func() { // goes on writing to a client that is gone
						for {
							if _, err := conn.Write(make([]byte, 1000)); err != nil {
								wrote <- err
								return
							}
						}
					}()
					data, err := readSlowly(conn)
					got <- len(data)
					if writing := <-wrote; isReset(writing) { // told here, and not to the reader
						err = writing
					}
					ended <- err
				})
				r := newRig(t, Config{TLS: with, Admit: to(pool)})
				conn := r.dial(t)
				reading := make(chan struct{})
				go func() { defer close(reading); io.Copy(io.Discard, conn) }()
				sendAndReset(t, conn, upload)
				<-reading
				if n := <-got; n != len(upload) {
					t.Errorf("%d bytes arrived of %d", n, len(upload))
				}
				if err := <-ended; !isReset(err) {
					t.Errorf("the route saw %v, want a reset", err)
				}
				if e := r.next(t, Closed, 0); e.Reason != ReasonClientReset {
					t.Errorf("reason %s, want %v", e.Reason, ReasonClientReset)
				}
			}
		})
	})
}

// A peer that takes nothing more is not waited for longer than the close timeout, and the event says what
// it never acknowledged.
func TestResetIsNotHeldBackForEver(t *testing.T) {
	for _, side := range []string{"route", "client"} {
		t.Run(side, func(t *testing.T) {
			data := randomBytes(500_000)
			stuck := make(chan struct{})
			defer close(stuck)
			addr := upstream(t, func(conn *net.TCPConn) {
				if side == "route" {
					sendAndReset(t, conn, data)
					return
				}
				conn.SetReadBuffer(4096)
				<-stuck
			})
			r := newRig(t, Config{Admit: to(poolOf(addr)), CloseTimeout: 200 * time.Millisecond})
			conn := r.dialPlain(t)
			conn.SetReadBuffer(4096)
			if side == "client" {
				sendAndReset(t, conn, data)
			}
			e := r.next(t, Closed, 0)
			if unacked := e.UnackedIn + e.UnackedOut; unacked == 0 || unacked > int64(len(data)) {
				t.Errorf("%d bytes unacknowledged of %d", unacked, len(data))
			}
			if want := map[string]Reason{"route": ReasonBackendReset, "client": ReasonClientReset}[side]; e.Reason != want {
				t.Errorf("reason %s, want %v", e.Reason, want)
			}
		})
	}
}

// A FIN within a TLS record is no end of a stream: the other side sees a reset.
func TestStreamThatEndsWithinARecordIsReset(t *testing.T) {
	for name, with := range map[string]*tls.Config{"own records": {}, "crypto/tls": {MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}} {
		t.Run("client, "+name, func(t *testing.T) {
			ended := make(chan error, 1)
			addr := upstream(t, func(conn *net.TCPConn) {
				_, err := io.ReadAll(conn)
				ended <- err
			})
			r := newRig(t, Config{TLS: with, Admit: to(poolOf(addr))})
			raw := r.dialPlain(t)
			cut := &cutter{TCPConn: raw}
			conn := tls.Client(cut, r.clientConfig(t, "client"))
			mustWrite(t, conn, "whole")
			cut.cut = true
			mustWrite(t, conn, "in pieces")
			raw.CloseWrite()
			if err := <-ended; !isReset(err) {
				t.Errorf("the route saw %v, want a reset", err)
			}
			if e := r.next(t, Closed, 0); e.Reason != ReasonClientEOF || e.BytesIn != int64(len("whole")) {
				t.Errorf("closed: %s after %d bytes", e.Reason, e.BytesIn)
			}
		})
	}
	t.Run("route", func(t *testing.T) {
		authority := newAuthority(t)
		pair := authority.Issue(t, "localhost")
		addr := upstream(t, func(conn *net.TCPConn) {
			cut := &cutter{TCPConn: conn}
			secure := tls.Server(cut, &tls.Config{Certificates: []tls.Certificate{pair}})
			mustRead(t, secure, "go") // a reset that comes at once is one of the client's connect
			mustWrite(t, secure, "whole")
			cut.cut = true
			mustWrite(t, secure, "in pieces")
			conn.CloseWrite()
			io.Copy(io.Discard, conn)
		})
		pool := NewPool(PoolConfig{Backends: []Backend{{Addr: addr, TLS: &BackendTLS{ServerName: "localhost", RootCAs: authority.Pool()}}}})
		r := newRig(t, Config{Admit: to(pool)})
		client := r.dial(t)
		mustWrite(t, client, "go")
		got, err := io.ReadAll(client)
		if string(got) != "whole" || !isReset(err) {
			t.Errorf("the client saw %q and %v, want a reset", got, err)
		}
	})
}

// cutter leaves the end of what is written away.
type cutter struct {
	*net.TCPConn
	cut bool
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cut {
		_, err := c.TCPConn.Write(p[:len(p)-3])
		return len(p), err
	}
	return c.TCPConn.Write(p)
}

// The answer of a route that ended while the client still uploads reaches a client that reads slowly.
func TestLongAnswerSurvivesAnUnreadUpload(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		answer := randomBytes(8_000_000)
		addr := upstream(t, func(conn *net.TCPConn) {
			conn.Write(answer)
			conn.CloseWrite()
			waitForAcks(conn) // then a reset, because the upload was not read
		})
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(addr))})
		conn := r.dial(t)
		writing := make(chan struct{})
		go func() {
			defer close(writing)
			for {
				if _, err := conn.Write(make([]byte, 1000)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		got, err := readSlowly(conn)
		if !bytes.Equal(got, answer) {
			t.Errorf("%d bytes arrived of %d, then %v", len(got), len(answer), err)
		}
		conn.Close()
		<-writing
	})
}

// A client that has sent all and is gone: the upload reaches a route that answers while it reads.
func TestUploadOfAClientThatIsGoneArrives(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		upload := randomBytes(2_000_000)
		type result struct {
			n   int
			err error
		}
		got := make(chan result, 1)
		addr := upstream(t, func(conn *net.TCPConn) { // one thread: it answers each piece before it reads the next
			n, p := 0, make([]byte, 20_000)
			for {
				k, err := io.ReadFull(conn, p)
				if n += k; err != nil {
					got <- result{n, err}
					return
				}
				conn.Write(p) // fails at last: nobody is there
				time.Sleep(time.Millisecond)
			}
		})
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(addr))})
		conn := r.dial(t)
		mustWrite(t, conn, string(upload))
		conn.CloseWrite()
		waitForAcks(rawOf(conn))
		rawOf(conn).Close() // resets: it has not read the answers
		if all := <-got; all.n != len(upload) || !errors.Is(all.err, io.EOF) {
			t.Errorf("%d bytes arrived of %d, then %v", all.n, len(upload), all.err)
		}
	})
}

// A client that breaks the rules gets the alert, though it goes on writing, and the route a reset after what
// came before.
func TestAlertIsNotOvertakenByAReset(t *testing.T) {
	ended := make(chan error, 1)
	addr := upstream(t, func(conn *net.TCPConn) {
		wrote := make(chan error, 1)
		go func() { // keeps our writer busy
			_, err := io.Copy(conn, zeros{})
			wrote <- err
		}()
		text, err := io.ReadAll(conn)
		if writing := <-wrote; isReset(writing) { // told here, and not to the reader
			err = writing
		}
		if string(text) != "before" {
			t.Errorf("the route got %q", text)
		}
		ended <- err
	})
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(addr))})
	for i := range 40 {
		raw := r.dialPlain(t)
		conn := tls.Client(raw, r.clientConfig(t, "client"))
		mustWrite(t, conn, "before")
		var writing sync.WaitGroup
		writing.Go(func() {
			for garbage := []byte("\x17\x03\x03\x41\x01 and so on"); ; {
				if _, err := raw.Write(garbage); err != nil {
					return
				}
			}
		})
		_, err := io.Copy(io.Discard, conn)
		if err == nil || !strings.Contains(err.Error(), "record overflow") {
			t.Errorf("try %d: %v", i, err)
		}
		raw.Close()
		writing.Wait()
		if err := <-ended; !isReset(err) {
			t.Errorf("try %d: the route saw %v", i, err)
		}
		if e := r.next(t, Closed, i); e.Reason != ReasonClientReset || e.Detail != "a record of 16641 bytes" {
			t.Errorf("try %d: %s, %s", i, e.Reason, e.Detail)
		}
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
