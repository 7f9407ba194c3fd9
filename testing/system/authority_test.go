package system

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The authority rolls over under live traffic, forth and back, and programs go on that have only what they got at first:
// their certificate of the old authority, and its ca.pem.
func TestAuthorityRollsOverUnderTraffic(t *testing.T) {
	t.Run("new", func(t *testing.T) { rollOver(t, dataDir(t)) })
	// The authority of this one permits no other below it, so that no other can be certified by it.
	t.Run("older", func(t *testing.T) {
		if os.Getenv("XLB_ALL_PEERS") == "" {
			t.Skip("in make check; package pki tests the chain")
		}
		dir := t.TempDir()
		unpackTar(t, "testdata/data-2026-11.tar.gz", dir)
		rollOver(t, filepath.Join(dir, "data"))
	})
}

func rollOver(t *testing.T, dir string) {
	s := start(t, dir)
	c := s.signUp("roller")
	id := c.frontend(web(t, "one"))
	echo := c.frontend(echoes(t))
	bundles := map[string]string{"old": c.peerBundle(id, "ecdsa-p256")}
	held := c.bundleOf(echo, "ecdsa-p256")
	old, _, _ := strings.Cut(s.says("authority"), " current")
	old = strings.TrimSpace(strings.Split(old, "\n")[1])
	traffic := s.traffic(held)

	young := strings.Fields(s.says("authority", "add"))[0]
	s.allAsk(t, "added", bundles)
	s.says("authority", "use", young)
	bundles["both"] = c.peerBundle(id, "ecdsa-p256")
	s.allAsk(t, "used", bundles)
	s.says("authority", "use", old) // a way back
	s.allAsk(t, "back", bundles)
	s.says("authority", "use", young)
	if out, code := s.admin("authority", "retire", old); code == 0 || !strings.Contains(out, "are good, the last until") {
		t.Errorf("certificates hang on it: %s", out)
	}
	traffic.stop(t)

	s.says("authority", "retire", old, "anyway")
	traffic.closed(t)
	delete(bundles, "old")
	bundles["young"] = c.peerBundle(id, "ecdsa-p256")
	if text, err := os.ReadFile(filepath.Join(bundles["young"], "ca.pem")); err != nil || strings.Count(string(text), "BEGIN") != 1 {
		t.Errorf("ca.pem of today: %s %v", text, err)
	}
	s.trust()
	s.allAsk(t, "retired", bundles)
	if text, err := s.readAll(held); err == nil {
		t.Errorf("a certificate of the retired authority: got %q", text)
	}
	refused := s.call("GET", "/api/v1/client/frontend/"+echo+"/refused", c.auth, nil)
	if !strings.Contains(string(refused.body), "authority-retired") {
		t.Errorf("its owner reads %s", refused.body)
	}

	s.says("authority", "trust", old) // and back, all the way
	s.says("authority", "use", old)
	bundles["old"] = c.peerBundle(id, "ecdsa-p256")
	s.allAsk(t, "back from the end", bundles)
	s.stop()
	s.run()
	s.allAsk(t, "started again", bundles)
	if t.Failed() {
		t.Log(tail(s.log.String(), 4000))
	}
}

// allAsk lets programs of each library ask with each bundle, whose ca.pem is all that they trust.
func (s *server) allAsk(t *testing.T, step string, bundles map[string]string) {
	t.Helper()
	folder, err := filepath.Abs("peers")
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for name, dir := range bundles {
		for _, p := range peers {
			if !p.everywhere && os.Getenv("XLB_ALL_PEERS") == "" {
				continue
			}
			asking.Go(func() {
				if _, err := exec.LookPath(p.program); err != nil {
					t.Errorf("%v: install it", err)
					return
				}
				if out := p.ask(t, dir, folder, s.lb, "GET", "/"); !strings.Contains(out, "upstream one") {
					t.Errorf("%s, %s with the bundle %q: %s", step, p.name, name, out)
				}
				if out := p.ask(t, dir, folder, s.http, "POST", "/api/v1/renew"); !strings.Contains(out, `"certificate"`) {
					t.Errorf("%s, %s with the bundle %q renews: %s", step, p.name, name, out)
				}
			})
		}
	}
	asking.Wait()
}

// traffic is a stream that goes on, and connections that come and go.
type traffic struct {
	held   *tls.Conn
	trips  atomic.Int64
	failed atomic.Pointer[error]
	end    context.CancelFunc
	done   sync.WaitGroup
}

func (s *server) traffic(dir string) *traffic {
	s.t.Helper()
	conn, err := s.dial(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	ctx, end := context.WithCancel(s.t.Context())
	w := &traffic{held: conn, end: end}
	for _, trip := range []func() error{
		func() error { return echoOnce(conn) },
		func() error {
			fresh, err := s.dial(dir)
			if err != nil {
				return err
			}
			defer fresh.Close()
			return echoOnce(fresh)
		},
	} {
		w.done.Go(func() {
			for ctx.Err() == nil {
				if err := trip(); err != nil {
					w.failed.CompareAndSwap(nil, &err)
					return
				}
				w.trips.Add(1)
				time.Sleep(10 * time.Millisecond) // the programs want the machine, too
			}
		})
	}
	return w
}

func echoOnce(conn *tls.Conn) error {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	answer := make([]byte, 4)
	_, err := io.ReadFull(conn, answer)
	return err
}

// stop ends the traffic, none of which may have failed, and leaves the stream open.
func (w *traffic) stop(t *testing.T) {
	t.Helper()
	w.end()
	w.done.Wait()
	if failed := w.failed.Load(); failed != nil {
		t.Errorf("after %d trips: %v", w.trips.Load(), *failed)
	}
	if w.trips.Load() < 30 { // one each 30 ms, for as long as the steps take
		t.Errorf("%d trips, want at least 30", w.trips.Load())
	}
}

// closed waits for the end of the stream.
func (w *traffic) closed(t *testing.T) {
	t.Helper()
	w.held.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := w.held.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stream goes on: %v", err)
	}
}
