package abuse

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Strangers from many sources, as fast as they can, write a log that stays small.
func TestLogOfStrangers(t *testing.T) {
	s := start(t)
	before := s.process.Log.Size()
	stop := time.Now().Add(time.Duration(size(2, 20)) * time.Second)
	var running sync.WaitGroup
	var tries atomic.Int64
	for i := range 16 {
		running.Go(func() {
			for time.Now().Before(stop) {
				conn, err := from(300+i).Dial("tcp", s.lb)
				if err != nil {
					continue
				}
				conn.SetDeadline(time.Now().Add(5 * time.Second))
				tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()
				conn.Close()
				tries.Add(1)
			}
		})
		c := s.caller(400 + i)
		running.Go(func() {
			for time.Now().Before(stop) {
				c.ask("POST", "/api/v1/client/auth", "", "Authorization", basic("01a00000-0000-7000-8000-000000000001", "wrong"))
				c.ask("GET", "/api/v1/client", "")
				tries.Add(2)
			}
		})
	}
	running.Wait()
	grown := s.process.Log.Size() - before
	t.Logf("%d requests and handshakes of strangers wrote %d bytes of log", tries.Load(), grown)
	if most := size(2, 20) * 50_000; grown > most {
		t.Errorf("the log grew by %d bytes, want at most %d", grown, most)
	}
}
