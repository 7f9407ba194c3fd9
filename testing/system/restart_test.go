package system

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestRestartKeepsEverything(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(greeter(t, "up"))
	dir, before := c.bundle(id), s.call("GET", "/api/v1/client/frontend/"+id, c.auth, nil)
	cookie := s.browserCookie(c)
	s.stop()
	s.run()
	if page := s.page("/account", cookie); !strings.Contains(page, c.uuid) {
		t.Errorf("the cookie of before shows %s", page)
	}
	after := s.call("GET", "/api/v1/client/frontend/"+id, c.auth, nil) // the token of before
	if after.status != 200 || string(after.body) != string(before.body) {
		t.Errorf("after the restart: %d %s\nbefore: %s", after.status, after.body, before.body)
	}
	if got, err := s.readAll(dir); err != nil || got != "up" {
		t.Errorf("the certificate of before reached %q (%v)", got, err)
	}
	c.logIn()
}

// browserCookie logs in as a browser does.
func (s *server) browserCookie(c *tenant) *http.Cookie {
	s.t.Helper()
	once := *s.client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := once.PostForm("https://"+s.http+"/login", url.Values{"uuid": {c.uuid}, "key": {c.key}})
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	for _, cookie := range resp.Cookies() {
		if cookie.Name == "__Host-xlb" {
			return cookie
		}
	}
	s.t.Fatalf("log-in: %d with %v, want a session", resp.StatusCode, resp.Cookies())
	return nil
}

func (s *server) page(path string, cookie *http.Cookie) string {
	s.t.Helper()
	req, err := http.NewRequest("GET", "https://"+s.http+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.AddCookie(cookie)
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// kill -9 at any moment loses nothing that was answered with success.
func TestKillLosesNothingThatWasAnswered(t *testing.T) {
	s := start(t, dataDir(t))
	type account struct{ uuid, key string }
	var acked []account
	rounds := loops(4)
	for round := range rounds {
		var mu sync.Mutex
		var group sync.WaitGroup
		stop := make(chan struct{})
		for w := range 4 {
			group.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					a, err := s.try("POST", "/api/v1/client", "", map[string]any{"name": fmt.Sprintf("client %d %d %d", round, w, i)})
					if err != nil {
						return // the server is gone: this one was not answered
					}
					if a.status == 201 {
						v := a.json(t)
						mu.Lock()
						acked = append(acked, account{v["uuid"].(string), v["key"].(string)})
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond)
		s.kill()
		close(stop)
		group.Wait()
		s.run()
	}
	if len(acked) < 20 {
		t.Fatalf("only %d sign-ups were answered, too few to show anything", len(acked))
	}
	t.Logf("%d sign-ups answered over %d kills", len(acked), rounds)
	for _, one := range acked {
		if a := s.call("POST", "/api/v1/client/auth", basic(one.uuid, one.key), nil); a.status != 200 {
			t.Fatalf("client %s was answered with success and is lost: %d %s, want 200", one.uuid, a.status, a.body)
		}
	}
}

// A restart presents the same certificate, and a client whose clock is behind takes it.
func TestServerCertificatesSurviveARestart(t *testing.T) {
	s := start(t, dataDir(t))
	leafAt := func(address string, behind time.Duration) *x509.Certificate {
		t.Helper()
		conn, err := tls.Dial("tcp", address, &tls.Config{
			RootCAs: s.roots(), ServerName: "localhost", Time: func() time.Time { return time.Now().Add(-behind) },
		})
		if err != nil {
			t.Fatalf("%v behind: %v", behind, err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	before := []*x509.Certificate{leafAt(s.http, 0), leafAt(s.lb, 0)}
	s.stop()
	s.run()
	after := []*x509.Certificate{leafAt(s.http, 55*time.Minute), leafAt(s.lb, 55*time.Minute)}
	for i := range before {
		if !before[i].Equal(after[i]) {
			t.Errorf("port %d presents a new certificate after the restart", i)
		}
	}
}

// A program resumes its TLS session with the next process, and a revocation between the two counts all the same.
func TestSessionsSurviveARestart(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	id := c.frontend(echoes(t))
	dir := c.bundle(id)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: s.roots(), ServerName: "localhost", Certificates: []tls.Certificate{pair}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	resumed := func() (bool, error) {
		t.Helper()
		conn, err := tls.Dial("tcp", s.lb, cfg)
		if err != nil {
			return false, err
		}
		defer conn.Close()
		return conn.ConnectionState().DidResume, echoOnce(conn)
	}
	if is, err := resumed(); is || err != nil {
		t.Fatalf("the first time: resumed %t, %v", is, err)
	}
	s.stop()
	s.run()
	if is, err := resumed(); !is || err != nil {
		t.Errorf("after a restart: resumed %t, %v, want resumed", is, err)
	}
	if a := c.revokeAll(id); a != 200 {
		t.Fatalf("revoke: %d", a)
	}
	s.stop()
	s.run()
	if is, err := resumed(); err == nil {
		t.Errorf("a revoked certificate: served, resumed %t", is)
	}
}

// revokeAll ends all certificates of a frontend, and returns the status.
func (c *tenant) revokeAll(frontend string) int {
	c.s.t.Helper()
	before := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	return c.s.call("DELETE", "/api/v1/client/frontend/"+frontend+"/certificates?issuedBefore="+before, c.auth, nil).status
}

// Between the 503 of /readyz and the end of accepting there is time for who sends connections here.
func TestDrainDelay(t *testing.T) {
	t.Parallel() // it waits most of the time
	s := start(t, dataDir(t), "-drain-delay", "2s")
	c := s.signUp("testuser")
	dir := c.bundle(c.frontend(greeter(t, "one")))
	began := time.Now()
	s.terminate()
	eventually(t, "readyz says 503", func() bool { status, _ := s.ready(); return status == 503 })
	if text, err := s.readAll(dir); text != "one" || err != nil {
		t.Errorf("a new connection: %q, %v", text, err)
	}
	select {
	case <-s.process.Exited():
		s.process.Ended()
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it ended after %v, want 2 s at least", took)
	}
}

// SIGHUP changes nothing, the first SIGTERM drains, and the second ends at once.
func TestSignals(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("testuser")
	live, err := s.dial(c.bundle(c.frontend(echoes(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	echo := func() error {
		fmt.Fprint(live, "x")
		_, err := live.Read(make([]byte, 1))
		return err
	}
	if err := echo(); err != nil {
		t.Fatal(err)
	}
	s.process.Cmd.Process.Signal(syscall.SIGHUP)
	time.Sleep(200 * time.Millisecond)
	if err := echo(); err != nil {
		t.Fatalf("after SIGHUP: %v", err)
	}
	s.terminate()
	eventually(t, "it drains", func() bool { return strings.Contains(s.log.String(), "draining") })
	if err := echo(); err != nil {
		t.Fatalf("while it drains: %v", err)
	}
	s.process.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.process.Exited():
		s.process.Ended()
	case <-time.After(3 * time.Second): // the drain would take 5
		t.Error("the second SIGTERM is ignored")
		s.kill()
	}
}
