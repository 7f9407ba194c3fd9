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

// bothWays runs a test over plain TCP and over TLS.
func bothWays(t *testing.T, run func(t *testing.T, with *tls.Config)) {
	t.Run("plain", func(t *testing.T) { run(t, nil) })
	t.Run("tls", func(t *testing.T) { run(t, &tls.Config{}) })
	// Here crypto/tls does the records to the end.
	t.Run("tls 1.2", func(t *testing.T) { run(t, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}) })
}

func TestBytesArriveWholeInBothDirections(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(upstream(t, echo)))})
		conn := r.dial(t)
		sent := make([]byte, 5<<20)
		rand.Read(sent)
		var writing sync.WaitGroup
		writing.Go(func() {
			if _, err := conn.Write(sent); err != nil {
				t.Error(err)
			}
			conn.CloseWrite()
		})
		if got := readAll(t, conn); !bytes.Equal([]byte(got), sent) {
			t.Errorf("%d bytes came back of %d", len(got), len(sent))
		}
		writing.Wait()
		conn.Close()
		e := r.next(t, Closed, 0)
		if e.Reason != ReasonDone || e.BytesIn != int64(len(sent)) || e.BytesOut != int64(len(sent)) {
			t.Errorf("closed: %+v", e)
		}
		if e.Connect <= 0 || e.Backend == "" || !e.Remote.IsValid() {
			t.Errorf("closed: %+v", e)
		}
		if e := r.next(t, Accepted, 0); with != nil && (e.Leaf == nil || e.Handshake <= 0) {
			t.Errorf("leaf %v, handshake %v", e.Leaf, e.Handshake)
		}
		r.next(t, Routed, 0)
		r.next(t, FirstByte, 0)
	})
}

// The client ends its direction first and still gets the whole answer.
func TestClientHalfClose(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		addr := upstream(t, func(conn *net.TCPConn) {
			question, _ := io.ReadAll(conn) // ends only when the half-close arrives
			time.Sleep(20 * time.Millisecond)
			conn.Write(bytes.ToUpper(question))
		})
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(addr))})
		conn := r.dial(t)
		mustWrite(t, conn, "question")
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, conn); got != "QUESTION" {
			t.Errorf("got %q, want %q", got, "QUESTION")
		}
		if e := r.next(t, Closed, 0); e.Reason != ReasonDone {
			t.Errorf("reason %s, want %v", e.Reason, ReasonDone)
		}
	})
}

// The route ends its direction first and still gets everything that the client sends.
func TestRouteHalfClose(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		got := make(chan string, 1)
		addr := upstream(t, func(conn *net.TCPConn) {
			io.WriteString(conn, "hello")
			conn.CloseWrite()
			all, _ := io.ReadAll(conn)
			got <- string(all)
		})
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(addr))})
		conn := r.dial(t)
		if got := readAll(t, conn); got != "hello" { // close_notify, not a broken stream
			t.Errorf("got %q, want %q", got, "hello")
		}
		mustWrite(t, conn, "after the end")
		conn.CloseWrite()
		if all := <-got; all != "after the end" {
			t.Errorf("the route got %q, want %q", all, "after the end")
		}
		if e := r.next(t, Closed, 0); e.Reason != ReasonDone {
			t.Errorf("reason %s, want %v", e.Reason, ReasonDone)
		}
	})
}

func TestHalfClosedStreamIsBounded(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	addr := upstream(t, func(conn *net.TCPConn) { io.ReadAll(conn); <-over })
	r := newRig(t, Config{Admit: to(poolOf(addr)), CloseTimeout: 100 * time.Millisecond})
	conn := r.dial(t)
	conn.CloseWrite()
	if e := r.next(t, Closed, 0); e.Reason != ReasonIdle || e.Duration > 5*time.Second {
		t.Errorf("reason %s after %v", e.Reason, e.Duration)
	}
}

func TestIdleStreamIsClosedAndABusyOneIsNot(t *testing.T) {
	r := newRig(t, Config{Admit: to(poolOf(upstream(t, echo))), IdleTimeout: time.Second})
	busy, idle := r.dial(t), r.dial(t)
	for range 20 {
		mustWrite(t, busy, "x")
		mustRead(t, busy, "x")
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the idle one: %v", err)
	}
	mustWrite(t, busy, "y")
	mustRead(t, busy, "y")
	if e := r.next(t, Closed, 0); e.Reason != ReasonIdle {
		t.Errorf("reason %s, want %v", e.Reason, ReasonIdle)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestClientEOFWithoutCloseNotifyIsNamed(t *testing.T) {
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(t, echo)))})
	raw := r.dialPlain(t)
	conn := tls.Client(raw, r.clientConfig(t, "client"))
	mustWrite(t, conn, "x")
	mustRead(t, conn, "x")
	raw.CloseWrite()
	if e := r.next(t, Closed, 0); e.Reason != ReasonClientEOF {
		t.Errorf("reason %s, want %v", e.Reason, ReasonClientEOF)
	}
}

func TestResetsOfEitherSideCloseTheOther(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		ended := make(chan error, 1)
		addr := upstream(t, func(conn *net.TCPConn) {
			io.WriteString(conn, "hi")
			_, err := io.ReadAll(conn)
			ended <- err
		})
		r := newRig(t, Config{Admit: to(poolOf(addr))})
		conn := r.dialPlain(t)
		mustRead(t, conn, "hi")
		conn.SetLinger(0)
		conn.Close()
		if e := r.next(t, Closed, 0); e.Reason != ReasonClientReset {
			t.Errorf("reason %s, want %v", e.Reason, ReasonClientReset)
		}
		if err := <-ended; !isReset(err) {
			t.Errorf("the route saw %v and may take the stream for complete", err)
		}
	})
	t.Run("route", func(t *testing.T) {
		addr := upstream(t, func(conn *net.TCPConn) {
			io.ReadFull(conn, make([]byte, 1))
			conn.SetLinger(0)
		})
		r := newRig(t, Config{Admit: to(poolOf(addr))})
		conn := r.dialPlain(t)
		mustWrite(t, conn, "x")
		if _, err := io.ReadAll(conn); !isReset(err) {
			t.Errorf("the client saw %v", err)
		}
		if e := r.next(t, Closed, 0); e.Reason != ReasonBackendReset {
			t.Errorf("reason %s, want %v", e.Reason, ReasonBackendReset)
		}
	})
}

// An upstream that answers early and closes while the client still sends: the answer must arrive.
func TestEarlyAnswerSurvivesAnUnreadUpload(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		addr := upstream(t, func(conn *net.TCPConn) {
			io.ReadFull(conn, make([]byte, 1000))
			io.WriteString(conn, "413 too large")
			conn.CloseWrite()
			time.Sleep(50 * time.Millisecond) // then a reset, because the rest was not read
		})
		r := newRig(t, Config{TLS: with, Admit: to(poolOf(addr))})
		conn := r.dial(t)
		var writing sync.WaitGroup
		writing.Go(func() { conn.Write(make([]byte, 4<<20)) }) // fails in the middle
		got, _ := io.ReadAll(conn)
		if string(got) != "413 too large" {
			t.Errorf("got %q", got)
		}
		conn.Close()
		writing.Wait()
	})
}

func TestRouteThatClosesWithoutAByteIsNamed(t *testing.T) {
	addr := upstream(t, func(conn *net.TCPConn) { conn.CloseWrite(); io.Copy(io.Discard, conn) })
	r := newRig(t, Config{Admit: to(poolOf(addr))})
	conn := r.dial(t)
	if got := readAll(t, conn); got != "" {
		t.Errorf("got %q, want %q", got, "")
	}
	conn.Close()
	if e := r.next(t, Closed, 0); e.Reason != ReasonBackendClosed {
		t.Errorf("reason %s, want %v", e.Reason, ReasonBackendClosed)
	}
}

// A peer that reads nothing blocks its own connection only, and not for ever.
func TestPeerThatDoesNotReadIsClosed(t *testing.T) {
	addr := upstream(t, func(conn *net.TCPConn) { io.Copy(conn, strings.NewReader(strings.Repeat("x", 64<<20))) })
	r := newRig(t, Config{Admit: to(poolOf(addr)), IdleTimeout: 200 * time.Millisecond})
	r.dial(t)
	if e := r.next(t, Closed, 0); e.Reason != ReasonIdle {
		t.Errorf("reason %s, want %v", e.Reason, ReasonIdle)
	}
}

func TestLiveNumbersGrowWhileConnected(t *testing.T) {
	pool := poolOf(upstream(t, echo))
	r := newRig(t, Config{Admit: func(tls.ConnectionState) (Admission, error) {
		return Admission{Pool: pool, Keys: []string{"k"}, Tag: "tag"}, nil
	}})
	conn := r.dial(t)
	mustWrite(t, conn, "hello")
	mustRead(t, conn, "hello")
	eventually(t, "bytes in the pool's numbers", func() bool {
		s := pool.Stats()
		return s.Active == 1 && s.BytesIn == 5 && s.BytesOut == 5 && s.Backends[0].BytesOut == 5
	})
	live := r.Connections("k")
	if len(live) != 1 || live[0].BytesIn != 5 || live[0].Backend == "" || live[0].Tag != "tag" {
		t.Errorf("connections: %+v", live)
	}
	if s := r.Stats(); s.Live != 1 || s.Accepted != 1 || s.Handshaking != 0 {
		t.Errorf("stats: %+v", s)
	}
	conn.Close()
	r.next(t, Closed, 0)
	eventually(t, "nothing left", func() bool { return len(r.Connections("k")) == 0 && pool.Stats().Active == 0 })
	if s := pool.Stats(); s.Total != 1 || s.BytesIn != 5 {
		t.Errorf("stats: %+v", s)
	}
}
