package abuse

import (
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"
)

// One client that loads long pages again and again, many at once, leaves the processor to the connections of others.
func TestLongPages(t *testing.T) {
	s := start(t)
	victim, attacker := s.tenant(1, "victim"), s.tenant(2, "attacker")
	cert := victim.identity(victim.frontend(fmt.Sprintf(`{"routes":[{"dest":%q}]}`, echo(t))))
	for i := range size(20, 100) {
		attacker.frontend(fmt.Sprintf(`{"routes":[%s]}`, routesOf(256, i*256, "9")))
	}
	connect := func() time.Duration {
		began := time.Now()
		conn, err := (&tls.Dialer{NetDialer: from(1), Config: &tls.Config{RootCAs: s.authority, ServerName: "localhost", Certificates: []tls.Certificate{cert}}}).Dial("tcp", s.lb)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "x")
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	median := func(n int) time.Duration {
		var all []time.Duration
		for range n {
			all = append(all, connect())
			time.Sleep(10 * time.Millisecond)
		}
		slices.Sort(all)
		return all[n/2]
	}
	quiet := median(50)
	cookie := attacker.cookie()
	_, plain, _ := attacker.ask("GET", "/", "", "Cookie", cookie, "Accept-Encoding", "identity")
	_, packed, _ := attacker.ask("GET", "/", "", "Cookie", cookie, "Accept-Encoding", "gzip")
	t.Logf("the page has %d bytes, compressed %d", len(plain), len(packed))
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 24 {
		c := s.caller(2)
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if status, _, _ := c.ask("GET", "/", "", "Cookie", cookie); status != 200 {
						time.Sleep(50 * time.Millisecond)
					}
				}
			}
		})
	}
	time.Sleep(time.Second)
	busy := median(50)
	close(stop)
	running.Wait()
	t.Logf("a connection takes %v beside the pages, %v without", busy, quiet)
	if busy > 20*quiet+time.Duration(size(250, 50))*time.Millisecond {
		t.Errorf("a connection takes %v, without the pages %v", busy, quiet)
	}
}
