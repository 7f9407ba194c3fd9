package abuse

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Scrapes of many frontends, of which few have traffic, cost little and leave the connections of others alone.
func TestScrapesOfManyFrontends(t *testing.T) {
	s := start(t, "-signup-total-rate", "0")
	route := fmt.Sprintf(`{"routes":[{"dest":%q}]}`, echo(t))
	total, busy := size(400, 10_000), size(20, 500)
	var mu sync.Mutex
	var certs []tls.Certificate
	var running sync.WaitGroup
	for i := range 2 {
		running.Go(func() {
			for n := range total / 100 / 2 {
				c := s.tenant(10+i*1000+n, "tenant")
				for k := range 100 {
					id := c.frontend(route)
					mu.Lock()
					wanted := k < 50 && len(certs) < busy // a client gets 60 certificates in a minute
					mu.Unlock()
					if wanted {
						cert := c.identity(id)
						mu.Lock()
						certs = append(certs, cert)
						mu.Unlock()
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	running.Wait()
	for _, cert := range certs {
		conn, err := s.through(1, cert)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	conn, err := s.through(1, certs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	p99 := func(during time.Duration) time.Duration {
		var all []time.Duration
		one := make([]byte, 1)
		for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(time.Millisecond) {
			began := time.Now()
			conn.Write(one)
			if _, err := io.ReadFull(conn, one); err != nil {
				t.Fatal(err)
			}
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	scrape := func() (bytes int64) {
		resp, err := (&http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}).Get("http://" + s.ops + "/metrics")
		if err != nil {
			t.Error(err)
			return 0
		}
		defer resp.Body.Close()
		bytes, _ = io.Copy(io.Discard, resp.Body)
		return bytes
	}
	time.Sleep(2 * time.Second) // what the sign-ups left to do
	before := s.resident()
	quiet := p99(time.Duration(size(1, 5)) * time.Second)
	cpu := s.cpu()
	const scrapes = 5
	var bytes int64
	most := before
	began := time.Now()
	for range scrapes {
		bytes = scrape()
		most = max(most, s.resident())
	}
	took := time.Since(began) / scrapes
	each := (s.cpu() - cpu) / scrapes
	stop := make(chan struct{})
	for range 6 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					scrape()
				}
			}
		})
	}
	beside := p99(time.Duration(size(1, 5)) * time.Second)
	most = max(most, s.resident())
	close(stop)
	running.Wait()
	t.Logf("%d frontends, %d with traffic: %d bytes, %v and %v of the processor each; memory %d to %d MB; p99 of a round trip %v, beside six scrapers %v",
		total, len(certs), bytes, took, each, before>>20, most>>20, quiet, beside)
	if each > 300*time.Millisecond || most-before > 20<<20 {
		t.Errorf("a scrape costs %v of the processor and %d MB", each, (most-before)>>20)
	}
	if beside > 2*quiet+time.Duration(size(50, 2))*time.Millisecond {
		t.Errorf("p99 beside scrapes is %v, without %v", beside, quiet)
	}
}
