package system

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdire/xlb/testing/process"
)

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

// While one process drains, the next one has the store and the ports: with a drain of 5 s, 50 idle connections and a plain
// start, new connections are refused for as long as a start takes. Nobody listens before the store is there.
func TestNextProcessBeginsWhileOneDrains(t *testing.T) {
	l := newLine(t, false)
	c := l.signUp("testuser")
	dir := c.bundle(c.frontend(echoes(t)))
	var idle []*tls.Conn
	for range 50 {
		conn, err := l.dial(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := echoOnce(conn); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	waiting := &line{server: &server{t: t, dir: l.dir}, binary: l.binary, logPath: l.logPath}
	other := freePort(t)
	waiting.args = []string{"-data-dir", l.dir, "-http-addr", freePort(t), "-lb-addr", other, "-take-over", "20s"}
	next := waiting.begin()
	eventually(t, "it waits", func() bool {
		text, _ := os.ReadFile(filepath.Join(l.dir, "store", "xlb.next"))
		return string(text) == strconv.Itoa(next.Cmd.Process.Pid)
	})
	if conn, err := net.Dial("tcp", other); err == nil {
		conn.Close()
		t.Error("it listens before it has the store")
	}
	next.Kill()

	began := time.Now()
	l.process.Terminate()
	eventually(t, "the store is free", func() bool { return strings.Contains(l.text(), "msg=draining") && !held(l.dir) })
	second := l.begin()
	second.Ready("http://" + l.ops + "/readyz")
	fresh, err := l.dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if err := echoOnce(fresh); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("a new connection is served %v after the old process was asked to end", took)
	if took > 3*time.Second { // the drain takes five, and this machine may be busy
		t.Errorf("that took %v", took)
	}
	for _, conn := range idle {
		if err := echoOnce(conn); err != nil {
			t.Fatalf("a connection of the process that drains: %v", err)
		}
		conn.Close()
	}
}

// held tells whether a process has the store of a data directory.
func held(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "store", "xlb.lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// Who waits to take over ends when it is asked to, and the one that it waits for, which is asked too, does not wait for it.
func TestBothAreAskedToEnd(t *testing.T) {
	l := newLine(t, false)
	c := l.signUp("testuser")
	live, err := l.dial(c.bundle(c.frontend(echoes(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	next := l.begin("-take-over", "60s")
	eventually(t, "it waits", func() bool {
		text, _ := os.ReadFile(filepath.Join(l.dir, "store", "xlb.next"))
		return string(text) == strconv.Itoa(next.Cmd.Process.Pid)
	})
	began := time.Now()
	l.process.Terminate()
	next.Terminate()
	eventually(t, "accepting ends", func() bool { return strings.Contains(l.text(), "msg=draining") })
	live.Close()
	for _, p := range []*process.Process{next, l.process} {
		select {
		case <-p.Exited():
		case <-time.After(10 * time.Second):
			t.Fatalf("it goes on\n%s", tail(l.text(), 3000))
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("that took %v", took)
	}
}
