package lb

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soakTime is how long TestSoak lasts: some seconds, or what XLB_SOAK says.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("XLB_SOAK")
	if text == "" {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Programs come and go in every way while others are killed: what is echoed is what was sent, all of it where nobody broke off,
// and afterwards descriptors, goroutines and memory are as before.
func TestSoak(t *testing.T) {
	length := soakTime(t)
	pool := poolOf(lastingEcho(t), lastingEcho(t))
	r := newRig(t, Config{TLS: &tls.Config{}, Admit: keyed(pool, "k"), Trace: func(Event) {}})
	cfg := r.clientConfig(t, "client")
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	s := &soak{rig: r, cfg: cfg, over: make(chan struct{})}
	s.one(t, 0) // so that what is made once is there
	settled := func() (files, goroutines int, heap uint64) {
		eventually(t, "nothing is left", func() bool { return r.Stats().Live == 0 && pool.Stats().Active == 0 })
		time.Sleep(1500 * time.Millisecond) // workers go after a second
		r.log.mu.Lock()
		r.log.events = nil
		r.log.mu.Unlock()
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return openFiles(t), runtime.NumGoroutine(), m.HeapAlloc
	}
	files, goroutines, heap := settled()
	var running sync.WaitGroup
	for i := range 60 {
		running.Go(func() {
			for n := 0; !isOver(s.over); n++ {
				s.one(t, i+n)
			}
		})
	}
	running.Go(func() {
		for !isOver(s.over) {
			if all := r.Connections("k"); len(all) > 0 && r.Kill("k", all[rand.IntN(len(all))].ID) {
				s.killed.Add(1)
			}
			r.log.mu.Lock()
			r.log.events = nil
			r.log.mu.Unlock()
			time.Sleep(3 * time.Millisecond)
		}
	})
	time.Sleep(length)
	close(s.over)
	running.Wait()
	filesAfter, goroutinesAfter, heapAfter := settled()
	if filesAfter > files || goroutinesAfter > goroutines+2 || heapAfter > heap+8<<20 {
		t.Errorf("descriptors %d, then %d; goroutines %d, then %d; heap %d kB, then %d", files, filesAfter, goroutines, goroutinesAfter, heap>>10, heapAfter>>10)
	}
	if s.whole.Load() == 0 || s.broken.Load() == 0 {
		t.Error("some way of ending never came about")
	}
	t.Logf("%d connections to their end, %d cut off (%d killed, %d reset by their client), %d MB; descriptors %d/%d, goroutines %d/%d, heap %d/%d kB",
		s.whole.Load(), s.broken.Load(), s.killed.Load(), s.reset.Load(), s.bytes.Load()>>20, files, filesAfter, goroutines, goroutinesAfter, heap>>10, heapAfter>>10)
}

// lastingEcho is an echo without the deadline of other tests.
func lastingEcho(t *testing.T) string {
	return upstream(t, func(conn *net.TCPConn) {
		conn.SetDeadline(time.Time{})
		echo(conn)
	})
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

type soak struct {
	rig                          *rig
	cfg                          *tls.Config
	over                         chan struct{}
	whole, broken, killed, reset atomic.Int64
	bytes                        atomic.Int64
}

// one is one connection, of one of several kinds.
func (s *soak) one(t *testing.T, kind int) {
	raw, err := net.DialTimeout("tcp", s.rig.addr, patience)
	if err != nil {
		t.Error(err)
		return
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(3 * patience))
	conn := tls.Client(raw, s.cfg)
	up := randomBytes(1 + rand.IntN([]int{300, 20_000, 700_000}[kind%3]))
	var got []byte
	switch kind % 4 {
	case 0: // question and answer, in turn
		got, err = inTurn(conn, up)
	case 1: // all, the end, and then the answer, taken slowly
		got, err = halfClosed(conn, up, 0)
	case 2:
		got, err = halfClosed(conn, up, time.Millisecond)
	case 3: // breaks off in the middle
		got, err = halfClosed(conn, up[:len(up)/2], 0)
		raw.(*net.TCPConn).SetLinger(0)
		s.reset.Add(1)
		up = up[:len(up)/2]
	}
	s.bytes.Add(int64(len(up) + len(got)))
	switch {
	case !bytes.HasPrefix(up, got):
		t.Errorf("kind %d: other bytes came back", kind%4)
	case err != nil:
		s.broken.Add(1)
		if isTimeout(err) {
			t.Errorf("kind %d: %v", kind%4, err)
		}
	case len(got) != len(up):
		t.Errorf("kind %d: it ended in order after %d bytes of %d", kind%4, len(got), len(up))
	default:
		s.whole.Add(1)
	}
}

func inTurn(conn *tls.Conn, up []byte) (got []byte, err error) {
	p := make([]byte, 16<<10)
	for len(got) < len(up) {
		piece := up[len(got):min(len(got)+1+rand.IntN(len(p)), len(up))]
		if _, err := conn.Write(piece); err != nil {
			return got, err
		}
		n, err := io.ReadFull(conn, p[:len(piece)])
		if got = append(got, p[:n]...); err != nil {
			return got, fmt.Errorf("in turn: %w", err)
		}
	}
	return got, conn.Close()
}

func halfClosed(conn *tls.Conn, up []byte, pause time.Duration) (got []byte, err error) {
	var writing sync.WaitGroup
	var failed error // a reset is told once: when a write was told, reading ends as if in order
	defer func() {
		writing.Wait()
		err = errors.Join(err, failed)
	}()
	writing.Go(func() {
		if _, failed = conn.Write(up); failed == nil {
			failed = conn.CloseWrite()
		}
	})
	p := make([]byte, 32<<10)
	for {
		n, err := conn.Read(p)
		got = append(got, p[:n]...)
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		time.Sleep(pause)
	}
}
