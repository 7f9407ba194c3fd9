// Package process runs a built XLB for tests: ports, log, start, readiness and the end of it.
package process

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyIn = 30 * time.Second
	endIn   = 20 * time.Second
	// keptLog is how much of a log is kept: attacks write many lines.
	keptLog = 8 << 20
)

// Log is what a process writes. The zero value is empty.
type Log struct {
	mu  sync.Mutex
	b   bytes.Buffer
	all int
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all += len(p)
	if l.b.Len() > keptLog {
		return len(p), nil
	}
	return l.b.Write(p)
}

// String is what was written, or the first 8 MB of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Size is how many bytes were written.
func (l *Log) Size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}

// FreePort is an address of loopback on which nothing listens.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Process is one running XLB. Its test ends it.
type Process struct {
	Cmd *exec.Cmd
	Log *Log

	t       testing.TB
	exited  chan struct{} // closed when it has
	failure error         // of the process, once it has exited

	mu    sync.Mutex
	asked bool // to end
	known bool // its end is no surprise
}

// Start runs a command, whose output goes to log unless it has somewhere to go already, and ends it with the test.
func Start(t testing.TB, cmd *exec.Cmd, log *Log) *Process {
	t.Helper()
	if cmd.Stdout == nil {
		cmd.Stdout = log
		cmd.Stderr = log
	}
	p := &Process{Cmd: cmd, Log: log, t: t, exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.failure = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.Stop)
	return p
}

// Ready waits until a URL answers 200.
func (p *Process) Ready(url string) {
	p.t.Helper()
	for deadline := time.Now().Add(readyIn); time.Now().Before(deadline); {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("xlb ended at start: %v\n%s", p.failure, p.Log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	p.t.Fatalf("xlb was not ready in %v\n%s", readyIn, p.Log)
}

// Terminate asks it to end, once: the second signal would end it at once.
func (p *Process) Terminate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.asked {
		p.asked = true
		p.Cmd.Process.Signal(syscall.SIGTERM)
	}
}

// Stop asks it to end and waits. It may be called again, and after Kill. An end with an error, or a data race in the log,
// fails the test.
func (p *Process) Stop() {
	if p.isKnown() {
		return
	}
	p.Terminate()
	select {
	case <-p.exited:
		p.Ended()
		if p.failure != nil && !p.t.Failed() {
			p.t.Errorf("xlb ended with %v\n%s", p.failure, p.Log)
		}
	case <-time.After(endIn):
		p.Kill()
		p.t.Errorf("xlb did not end in %v\n%s", endIn, p.Log)
	}
	if strings.Contains(p.Log.String(), "DATA RACE") {
		p.t.Errorf("data race:\n%s", p.Log)
	}
}

// Kill ends it as a power cut would.
func (p *Process) Kill() {
	p.Ended()
	p.Cmd.Process.Kill()
	<-p.exited
}

// Ended notes that a test has seen it end, however that was. An end that nobody has seen fails the test in Stop.
func (p *Process) Ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = true
}

func (p *Process) isKnown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known
}

// Exited is closed when it has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }
