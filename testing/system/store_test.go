package system

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ready asks the operations port over a connection that is kept, and returns status and text.
func (s *server) ready() (int, string) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.ops + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// limitFiles lets the process have no more files than it has, until undo.
func (s *server) limitFiles() (undo func()) {
	s.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.process.Cmd.Process.Pid))
	if err != nil {
		s.t.Skipf("no /proc here: %v", err)
	}
	var before unix.Rlimit
	few := unix.Rlimit{Cur: uint64(len(open))}
	if err := unix.Prlimit(s.process.Cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		s.t.Fatal(err)
	}
	few.Max = before.Max
	if err := unix.Prlimit(s.process.Cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		s.t.Fatal(err)
	}
	return func() { unix.Prlimit(s.process.Cmd.Process.Pid, unix.RLIMIT_NOFILE, &before, nil) }
}

// When the store fails because files have run out, live connections go on, every call says why, and all goes
// on by itself when there are files again.
func TestStoreThatFailsComesBack(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(echoes(t))
	live, err := s.dial(c.bundle(id))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	echo := func() {
		t.Helper()
		live.SetDeadline(time.Now().Add(15 * time.Second))
		fmt.Fprintln(live, "hello")
		if line, err := bufio.NewReader(live).ReadString('\n'); line != "hello\n" {
			t.Fatalf("the live connection: %q, %v, want %q", line, err, "hello\n")
		}
	}
	echo()
	if status, _ := s.ready(); status != 200 {
		t.Fatalf("ready: %d, want 200", status)
	}
	undo := s.limitFiles()
	defer undo()
	large := strings.Repeat(string(s.authorityPEM), 60_000/len(s.authorityPEM)) // the largest that a frontend may have
	status := 0
	for i := 0; i < 1000 && status != 503; i++ {
		a := s.call("PATCH", "/api/v1/client/frontend/"+id, c.auth, map[string]any{
			"name": fmt.Sprint(i), "routeTls": map[string]any{"mode": "verify", "ca": large},
		})
		if a.status == 429 { // as it should be
			time.Sleep(time.Second)
			continue
		}
		if status = a.status; status != 200 && status != 503 {
			t.Fatalf("write %d: %d %s", i, status, a.body)
		}
	}
	if status != 503 {
		t.Fatal("the store never failed")
	}
	if a := s.call("GET", "/api/v1/client", c.auth, nil); a.status != 503 || !strings.Contains(string(a.body), "opened again") {
		t.Errorf("a read: %d %s", a.status, a.body)
	}
	if status, text := s.ready(); status != 200 || !strings.HasPrefix(text, "degraded: connections are served as things were ") || !strings.Contains(text, "store has failed") {
		t.Errorf("ready: got %d %s, want 200, since connections are served, and why it is degraded", status, text)
	}
	echo()
	undo()
	eventually(t, "ready again", func() bool { _, text := s.ready(); return text == "ready\n" })
	if a := s.call("PATCH", "/api/v1/client/frontend/"+id, c.auth, map[string]any{"name": "after"}); a.status != 200 {
		t.Errorf("a write: %d %s, want 200", a.status, a.body)
	}
	echo()
	if log := s.log.String(); !strings.Contains(log, "level=ERROR msg=store") || !strings.Contains(log, "open again") || strings.Contains(log, "panic") {
		t.Errorf("the log:\n%s", tail(log, 3000))
	}
}

func tail(text string, n int) string {
	if len(text) > n {
		return text[len(text)-n:]
	}
	return text
}
