package abuse

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// resident is the memory that the server holds, in bytes.
func (s *server) resident() int64 {
	s.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Cmd.Process.Pid))
	if err != nil {
		s.Skip("this system does not tell what a process holds")
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	return kB << 10
}

// cpu is how much of the processor the server has used, to a hundredth of a second.
func (s *server) cpu() time.Duration {
	s.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Cmd.Process.Pid))
	if err != nil {
		s.Skip("this system does not tell what a process uses")
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // user and system time, see proc(5)
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			s.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// endless is a body that begins and does not end before its time is over.
type endless struct {
	ctx  context.Context
	sent bool
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	if !e.sent {
		e.sent = true
		return copy(p, `{"name":"`), nil
	}
	<-e.ctx.Done()
	return 0, io.EOF
}

// Requests whose bodies do not end, thousands of them over hundreds of connections, take little memory, and others
// are served.
func TestBodiesWithoutEnd(t *testing.T) {
	s := start(t)
	victim := s.tenant(1, "victim")
	before := s.resident()
	connections, streams := size(60, 300), 250
	transports := make([]*http.Transport, connections)
	for i := range transports {
		transports[i] = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority}, ForceAttemptHTTP2: true, DialContext: from(2).DialContext, MaxConnsPerHost: 1}
		defer transports[i].CloseIdleConnections()
		resp, err := (&http.Client{Transport: transports[i]}).Get("https://" + s.http + "/api/v1/ca.pem")
		if err != nil {
			continue // it had to give way: so many connections of one source are not kept
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(size(8, 20))*time.Second)
	defer cancel()
	var running sync.WaitGroup
	for _, transport := range transports {
		for range streams {
			running.Go(func() {
				req, err := http.NewRequestWithContext(ctx, "POST", "https://"+s.http+"/api/v1/client", &endless{ctx: ctx})
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				if resp, err := transport.RoundTrip(req); err == nil {
					resp.Body.Close()
				}
			})
		}
	}
	most := before
	var slowest time.Duration
	for ctx.Err() == nil {
		most = max(most, s.resident())
		began := time.Now()
		if status, _, err := victim.ask("GET", "/api/v1/client", ""); status != http.StatusOK || err != nil {
			t.Errorf("a client that is logged in: %d %v", status, err)
		}
		slowest = max(slowest, time.Since(began))
		time.Sleep(200 * time.Millisecond)
	}
	cancel()
	running.Wait()
	t.Logf("%d connections with %d requests each: memory from %d to %d MB, slowest answer to another %v", connections, streams, before>>20, most>>20, slowest)
	if grown := (most - before) >> 20; grown > 64 {
		t.Errorf("memory grew by %d MB, want at most 64", grown)
	}
}
