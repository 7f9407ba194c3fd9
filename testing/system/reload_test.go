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

// Restarts nobody notices: in every way that there is to restart, live streams go on, and no new connection fails where the
// sockets are passed on. Where they are not, new ones are refused for a moment.
func TestRestartsNobodyNotices(t *testing.T) {
	restarts, streams, rate := 3, 50, 100
	if os.Getenv("XLB_RESTARTS") != "" { // in make check
		restarts, streams, rate = 10, 200, 200
	}
	for _, tc := range []struct {
		name      string
		activated bool
		again     func(l *line)
		most      time.Duration // that new ones may be refused
	}{
		{"reload", false, func(l *line) { l.reload() }, 0},
		{"reload with sockets of systemd", true, func(l *line) { l.reload() }, 0},
		{"the next one waits, with sockets of systemd", true, (*line).overlap, 0},
		{"the next one waits", false, (*line).overlap, 100 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLine(t, tc.activated)
			c := l.signUp("testuser")
			w := l.load(c.bundle(c.frontend(echoes(t))), streams, rate)
			for range restarts {
				time.Sleep(300 * time.Millisecond)
				tc.again(l)
			}
			time.Sleep(300 * time.Millisecond)
			if refused := w.stop(t); refused > tc.most || tc.most == 0 && len(w.refused) > 0 {
				t.Errorf("new connections were refused for %v, want at most %v; the first one: %v\n%s", refused, tc.most, w.refusals[0], tail(l.text(), 6000))
			}
			if text := l.text(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "were cut") {
				t.Errorf("the log:\n%s", tail(text, 6000))
			}
		})
	}
}

// overlap starts the next process, which waits, and ends the one that runs.
func (l *line) overlap() {
	l.t.Helper()
	next := l.begin("-take-over", "20s")
	eventually(l.t, "the next one waits", func() bool {
		text, _ := os.ReadFile(filepath.Join(l.dir, "store", "xlb.next"))
		return string(text) == strconv.Itoa(next.Cmd.Process.Pid)
	})
	l.process.Terminate()
	eventually(l.t, "it has taken over", func() bool {
		_, code := l.admin("status")
		return l.owner() == next.Cmd.Process.Pid && code == 0
	})
	l.process = next
	l.client.CloseIdleConnections()
}

// What the next process revokes is revoked for connections of the one before, as soon as it is answered. A process that goes
// takes nothing with it, and one that hangs ends the trust in what was known.
func TestRevocationReachesProcessesThatDrain(t *testing.T) {
	t.Parallel() // it waits most of the time
	l := newLine(t, false)
	c := l.signUp("testuser")
	id := c.frontend(echoes(t))
	live := map[string]*tls.Conn{}
	serials := map[string]string{}
	for _, name := range []string{"first", "second", "third"} {
		dir := c.bundle(id)
		conn, err := l.dial(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		live[name] = conn
		serials[name] = pair.Leaf.SerialNumber.Text(16)
	}
	goOn := func(when string, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := echoOnce(live[name]); err != nil {
				t.Fatalf("%s: the %s connection: %v\n%s", when, name, err, tail(l.text(), 4000))
			}
		}
	}
	revoke := func(name string) {
		t.Helper()
		if a := l.call("DELETE", "/api/v1/client/frontend/"+id+"/certificates/"+serials[name], c.auth, nil); a.status != 200 {
			t.Fatalf("revoke: %d %s", a.status, a.body)
		}
		live[name].SetDeadline(time.Now().Add(100 * time.Millisecond)) // the reset is on its way
		if n, err := live[name].Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Fatalf("the %s connection goes on after its certificate was revoked (%v)\n%s", name, err, tail(l.text(), 4000))
		}
	}
	goOn("at first", "first", "second", "third")
	l.reload()
	l.reload() // the first process follows the third one by now
	goOn("after two reloads", "first", "second", "third")
	revoke("first")

	syscall.Kill(l.owner(), syscall.SIGKILL)
	time.Sleep(300 * time.Millisecond)
	goOn("nobody has the store", "second", "third")
	before := strings.Count(l.text(), "following another process")
	last := l.begin()
	last.Ready("http://" + l.ops + "/readyz")
	eventually(t, "it is followed", func() bool { return strings.Count(l.text(), "following another process") > before })
	l.client.CloseIdleConnections()
	revoke("second")
	goOn("after the second revocation", "third")

	hung := time.Now()
	last.Cmd.Process.Signal(syscall.SIGSTOP)
	defer last.Cmd.Process.Signal(syscall.SIGCONT)
	live["third"].SetDeadline(time.Now().Add(40 * time.Second))
	if _, err := live["third"].Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection goes on for %v though nobody knows what the process with the store does: %v", time.Since(hung), err)
	}
	if took := time.Since(hung); took < 5*time.Second {
		t.Errorf("closed after %v, want some patience", took)
	}
}

// A new process that cannot even begin changes nothing, and one that fails later leaves connections as they were: they are
// accepted from memory until one succeeds.
func TestReloadThatFails(t *testing.T) {
	t.Parallel() // it waits most of the time
	egress := filepath.Join(t.TempDir(), "egress")
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(egress, "deny 192.0.2.0/24\n", 0o600)
	binary := filepath.Join(t.TempDir(), "xlb")
	good, err := os.ReadFile(binaries.xlb)
	if err != nil {
		t.Fatal(err)
	}
	write(binary, string(good), 0o755)
	l := newLineOf(t, binary, false, nil, "-egress-file", egress)
	c := l.signUp("testuser")
	dir := c.bundle(c.frontend(greeter(t, "up")))
	serves := func(when string) {
		t.Helper()
		if text, err := l.readAll(dir); text != "up" || err != nil {
			t.Fatalf("%s: %q, %v\n%s", when, text, err, tail(l.text(), 4000))
		}
	}
	write(binary, "#!/bin/sh\nexit 3\n", 0o755)
	if out, code := l.admin("reload"); code == 0 || !strings.Contains(out, "status 3") {
		t.Errorf("with a binary that fails: %d %s", code, out)
	}
	serves("after a new process that could not begin")
	if a := c.s.call("GET", "/api/v1/client", c.auth, nil); a.status != 200 {
		t.Errorf("the API: %d %s", a.status, a.body)
	}
	write(binary, string(good), 0o755)
	write(egress, "deny everything\n", 0o600)
	pid := l.owner()
	reloaded := make(chan string, 1)
	go func() {
		out, _ := l.admin("reload")
		reloaded <- out
	}()
	eventually(t, "the new process fails", func() bool { return strings.Contains(l.text(), "connections are served as things were") })
	serves("while there is no process with the store")
	if _, text := l.ready(); !strings.HasPrefix(text, "degraded: connections are served as things were") {
		t.Errorf("readyz: %s", text)
	}
	write(egress, "deny 192.0.2.0/24\n", 0o600)
	if out := <-reloaded; !strings.Contains(out, "has taken over") || l.owner() == pid {
		t.Errorf("after the file is mended: %s\n%s", out, tail(l.text(), 4000))
	}
	l.client.CloseIdleConnections()
	serves("at last")
	if a := c.s.call("GET", "/api/v1/client", c.auth, nil); a.status != 200 {
		t.Errorf("the API: %d %s", a.status, a.body)
	}
}

// systemd is told when the server is ready, which process it is by now, that it is not stuck, and that it ends.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel() // it waits most of the time
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hears := func(want string) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		for buf := make([]byte, 1024); ; {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("%s was never told: %v", want, err)
			}
			if strings.Contains(string(buf[:n]), want) {
				return
			}
		}
	}
	l := newLineOf(t, binaries.xlb, false, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=300000"})
	hears("READY=1")
	hears("WATCHDOG=1")
	l.reload()
	hears(fmt.Sprintf("MAINPID=%d", l.owner()))
	hears("WATCHDOG=1") // of the new one: the old one has ended
	syscall.Kill(l.owner(), syscall.SIGTERM)
	hears("STOPPING=1")
}
