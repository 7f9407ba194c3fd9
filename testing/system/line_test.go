package system

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/xdire/xlb/testing/process"
)

// line is a server whose process changes: they share ports and the data directory, and write to one file.
type line struct {
	*server
	binary  string
	logPath string
	env     []string
	sockets []*os.File // passed to each process; empty: each listens by itself
	names   string
	args    []string
}

// newLine starts the first process.
func newLine(t *testing.T, activated bool, args ...string) *line {
	t.Helper()
	return newLineOf(t, binaries.xlb, activated, nil, args...)
}

func newLineOf(t *testing.T, binary string, activated bool, env []string, args ...string) *line {
	t.Helper()
	l := &line{
		server: &server{t: t, dir: dataDir(t), http: freePort(t), lb: freePort(t), ops: freePort(t), log: &process.Log{}},
		binary: binary, env: env, logPath: filepath.Join(t.TempDir(), "log"),
	}
	if activated {
		for _, one := range []struct{ name, address string }{{"lb", l.lb}, {"http", l.http}, {"ops", l.ops}} {
			listener, err := net.Listen("tcp", one.address)
			if err != nil {
				t.Fatal(err)
			}
			file, err := listener.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			listener.Close()
			t.Cleanup(func() { file.Close() })
			l.sockets = append(l.sockets, file)
			l.names = strings.TrimPrefix(l.names+":"+one.name, ":")
		}
	}
	l.args = append([]string{"-data-dir", l.dir, "-http-addr", l.http, "-lb-addr", l.lb, "-ops-addr", l.ops, "-signup-rate", "0", "-drain-timeout", "60s"}, args...)
	l.process = l.begin()
	l.process.Ready("http://" + l.ops + "/readyz")
	l.trust()
	first := l.process
	t.Cleanup(func() {
		for _, pid := range l.pids() { // those that the test did not start itself
			syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-first.Exited(): // it has handed over
			first.Ended()
		case <-time.After(5 * time.Second):
		}
		if text := l.text(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
			t.Errorf("the log:\n%s", tail(text, 6000))
		}
	})
	return l
}

// begin starts one more process, and does not wait for it.
func (l *line) begin(args ...string) *process.Process {
	l.t.Helper()
	cmd := exec.Command(l.binary, append(l.args, args...)...)
	env := append(os.Environ(), l.env...)
	if len(l.sockets) > 0 { // LISTEN_PID is the shell's number, and then that of what it becomes
		cmd = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, l.binary}, append(l.args, args...)...)...)
		cmd.ExtraFiles = l.sockets
		env = append(env, fmt.Sprintf("LISTEN_FDS=%d", len(l.sockets)), "LISTEN_FDNAMES="+l.names)
	}
	cmd.Env = env
	log, err := os.OpenFile(l.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout = log
	cmd.Stderr = log
	return process.Start(l.t, cmd, l.log)
}

func (l *line) text() string {
	text, _ := os.ReadFile(l.logPath)
	return string(text)
}

// pids are those of the processes that others of the line have started.
func (l *line) pids() (all []int) {
	for _, text := range strings.Split(l.text(), `msg="a new process begins" pid=`)[1:] {
		digits, _, _ := strings.Cut(text, "\n")
		if pid, err := strconv.Atoi(strings.Fields(digits)[0]); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// owner is the process that has the store.
func (l *line) owner() int {
	text, _ := os.ReadFile(filepath.Join(l.dir, "store", "xlb.lock"))
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// reload is done when another process answers.
func (l *line) reload() {
	l.t.Helper()
	before := l.owner()
	if out, code := l.admin("reload"); code != 0 {
		l.t.Fatalf("xlb admin reload: %d %s\n%s", code, out, tail(l.text(), 4000))
	}
	if now := l.owner(); now == before {
		l.t.Fatalf("after the reload process %d still has the store\n%s", now, tail(l.text(), 4000))
	}
	l.client.CloseIdleConnections() // to the one before
}

// load is live streams, which talk now and then, and new connections at a rate.
type load struct {
	end      context.CancelFunc
	done     sync.WaitGroup
	live     atomic.Int64 // round trips
	fresh    atomic.Int64 // new connections that were served
	broken   atomic.Pointer[error]
	mu       sync.Mutex
	refused  []time.Time // new ones that were not
	refusals []error
	slowest  time.Duration
}

func (l *line) load(dir string, streams, perSecond int) *load {
	l.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		l.t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: l.roots(), ServerName: "localhost", Certificates: []tls.Certificate{pair}}
	pair.Leaf, _ = x509.ParseCertificate(pair.Certificate[0])
	ctx, end := context.WithCancel(l.t.Context())
	w := &load{end: end}
	l.t.Cleanup(end)
	dial := func() (*tls.Conn, error) {
		return tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.lb, cfg)
	}
	for range streams {
		conn, err := dial()
		if err != nil {
			l.t.Fatal(err)
		}
		w.done.Go(func() {
			defer conn.Close()
			for ctx.Err() == nil {
				if err := echoOnce(conn); err != nil {
					w.broken.CompareAndSwap(nil, &err)
					return
				}
				w.live.Add(1)
				select {
				case <-time.After(200 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	w.done.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				w.done.Go(func() { w.once(dial) })
			}
		}
	})
	return w
}

// once makes a new connection, which may wait but not fail.
func (w *load) once(dial func() (*tls.Conn, error)) {
	began := time.Now()
	conn, err := dial()
	if err == nil {
		defer conn.Close()
		err = echoOnce(conn)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.refused = append(w.refused, began)
		w.refusals = append(w.refusals, err)
		return
	}
	w.slowest = max(w.slowest, time.Since(began))
	w.fresh.Add(1)
}

// stop ends the load, and tells the longest time that new connections were refused at a stretch.
func (w *load) stop(t *testing.T) (longest time.Duration) {
	t.Helper()
	w.end()
	w.done.Wait()
	if err := w.broken.Load(); err != nil {
		t.Errorf("a live stream, after %d trips of all: %v", w.live.Load(), *err)
	}
	var from, last time.Time
	for _, at := range w.refused {
		if at.Sub(last) > 100*time.Millisecond {
			from = at
		}
		last = at
		longest = max(longest, last.Sub(from))
	}
	t.Logf("%d round trips of live streams; %d new connections served, the slowest in %v; %d refused, at most for %v", w.live.Load(), w.fresh.Load(), w.slowest, len(w.refused), longest)
	return longest
}
