package abuse

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// leftovers are what a server has of what connections take.
type leftovers struct {
	files, goroutines int
	memory            int64 // bytes resident
}

func (s *server) leftovers() leftovers {
	s.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.process.Cmd.Process.Pid))
	if err != nil {
		s.Fatal(err)
	}
	return leftovers{len(files), s.metric("go_goroutines"), s.resident()}
}

// metric reads one of the operations port.
func (s *server) metric(name string) int {
	s.Helper()
	resp, err := http.Get("http://" + s.ops + "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, found := strings.CutPrefix(lines.Text(), name+" "); found {
			value, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				s.Fatal(err)
			}
			return int(value)
		}
	}
	s.Fatalf("there is no %s", name)
	return 0
}

// goings are ways in which a connection can end, and be begun.
var goings = []func(addr string, with *tls.Config) error{
	func(addr string, with *tls.Config) error { // as it should be
		conn, err := tls.Dial("tcp", addr, with)
		if err != nil {
			return err
		}
		defer conn.Close()
		return trip(conn)
	},
	func(addr string, with *tls.Config) error { // with a reset
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer raw.Close()
		raw.(*net.TCPConn).SetLinger(0)
		return trip(tls.Client(raw, with))
	},
	func(addr string, with *tls.Config) error { // one half after the other
		conn, err := tls.Dial("tcp", addr, with)
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "ping")
		conn.CloseWrite()
		if text, err := io.ReadAll(conn); string(text) != "ping" {
			return fmt.Errorf("%q, %v", text, err)
		}
		return nil
	},
	func(addr string, with *tls.Config) error { // without a certificate
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: with.RootCAs, ServerName: with.ServerName})
		if err == nil {
			conn.Read(make([]byte, 1))
			conn.Close()
		}
		return nil
	},
	func(addr string, with *tls.Config) error { // gone in the handshake
		raw, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		raw.Write([]byte{22, 3, 1, 2, 0, 1})
		return raw.Close()
	},
}

func trip(conn net.Conn) error {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

// churn opens and ends connections in all those ways.
func (s *server) churn(n int, with *tls.Config) {
	s.Helper()
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(n) {
					return
				}
				if err := goings[i%int64(len(goings))](s.lb, with); err != nil && failed.Add(1) == 1 {
					s.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	workers.Wait()
	if failed.Load() > 0 {
		s.Fatalf("%d of %d connections failed", failed.Load(), n)
	}
	for deadline := time.Now().Add(20 * time.Second); s.metric("xlb_connections_active") > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatal("connections are left")
		}
	}
}

// handedBack is after how long without a new connection the memory of their handshakes is back with the system: up to 64 MB of
// it may gather before. Workers wait for more for a second.
const handedBack = 8 * time.Second

// Connections come and go, 60,000 of them in make check, and leave nothing behind: no descriptor, no goroutine, no memory.
func TestConnectionsLeaveNothing(t *testing.T) {
	s := start(t)
	c := s.tenant(1, "client")
	with := &tls.Config{RootCAs: s.authority, ServerName: "localhost", Certificates: []tls.Certificate{c.identity(c.frontend(fmt.Sprintf(`{"routes":[{"dest":%q}]}`, echo(t))))}}
	c.http.CloseIdleConnections()
	s.churn(size(1000, 6000), with) // what is kept for the next ones is there
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(handedBack)
	before := s.leftovers()
	n := size(3000, 60_000)
	s.churn(n, with)
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(handedBack)
	after := s.leftovers()
	t.Logf("%d connections: before %+v, after %+v", n, before, after)
	if after.files > before.files+3 || after.goroutines > before.goroutines+5 || after.memory > before.memory+16<<20 {
		t.Errorf("%d connections have left something: before %+v, after %+v", n, before, after)
	}
}
