package abuse

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowly is a connection whose writer needs some time before each flight, as one that is far away does.
type slowly struct {
	net.Conn
	delay time.Duration
}

// Write implements net.Conn.
func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(s.delay)
	return s.Conn.Write(p)
}

// silence opens connections to an address and says nothing, perSecond in all from so many sources, until it is
// stopped. It keeps the newest of them open.
func silence(addr string, perSecond, sources int) (stop func() int64) {
	done := make(chan struct{})
	var opened atomic.Int64
	var running sync.WaitGroup
	const workers = 8
	for w := range workers {
		running.Go(func() {
			const kept = 400 // of each worker
			open := make([]net.Conn, kept)
			defer func() {
				for _, conn := range open {
					if conn != nil {
						conn.Close()
					}
				}
			}()
			ticker := time.NewTicker(10 * time.Millisecond)
			defer ticker.Stop()
			for i := 0; ; {
				select {
				case <-done:
					return
				case <-ticker.C:
				}
				for range max(perSecond/100/workers, 1) {
					d := from(100 + (w+i*workers)%sources)
					d.Timeout = time.Second
					conn, err := d.Dial("tcp", addr)
					if err != nil {
						continue
					}
					opened.Add(1)
					if old := open[i%kept]; old != nil {
						old.(*net.TCPConn).SetLinger(0) // or ports run out
						old.Close()
					}
					open[i%kept] = conn
					i++
				}
			}
		})
	}
	return func() int64 {
		close(done)
		running.Wait()
		return opened.Load()
	}
}

// Whoever opens connections and says nothing does not keep out a client that needs 200 ms for each of its flights.
func TestSilentHandshakes(t *testing.T) {
	for _, tc := range []struct{ sources, least int }{{1, 30}, {16, 27}} {
		t.Run(fmt.Sprint(tc.sources, " sources"), func(t *testing.T) {
			s := start(t)
			c := s.tenant(1, "victim")
			cert := c.identity(c.frontend(fmt.Sprintf(`{"routes":[{"dest":%q}]}`, echo(t))))
			began := time.Now()
			stop := silence(s.lb, size(2_000, 6_000), tc.sources)
			time.Sleep(2 * time.Second) // until the gate is full
			var served atomic.Int64
			var running sync.WaitGroup
			for range 30 {
				running.Go(func() {
					raw, err := from(1).Dial("tcp", s.lb)
					if err != nil {
						return
					}
					defer raw.Close()
					raw.SetDeadline(time.Now().Add(10 * time.Second))
					conn := tls.Client(slowly{raw, 200 * time.Millisecond}, &tls.Config{RootCAs: s.authority, ServerName: "localhost", Certificates: []tls.Certificate{cert}})
					if _, err := conn.Write([]byte("x")); err != nil {
						return
					}
					if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
						served.Add(1)
					}
				})
				time.Sleep(50 * time.Millisecond)
			}
			running.Wait()
			opened := stop()
			t.Logf("%d of 30 served beside %.0f silent connections/s", served.Load(), float64(opened)/time.Since(began).Seconds())
			if n := served.Load(); n < int64(tc.least) {
				t.Errorf("%d of 30 were served, want %d", n, tc.least)
			}
		})
	}
}
