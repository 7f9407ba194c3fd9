package control

import (
	"bytes"
	"context"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// clock is a time that a test moves.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.now.Store(time.Now().UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.now.Load()) }
func (c *clock) advance(d time.Duration) { c.now.Add(int64(d)) }

// authority is made once: its RSA keys take a while.
var authority = sync.OnceValues(func() (*pki.Authority, error) { return pki.NewAuthority(time.Now()) })

// start is a control over a real store, with its tasks.
func start(t testing.TB, options ...func(*Config)) *Control {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), store.BadgerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	records, err := store.New(engine)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Store: records, Authority: ca, MasterKey: bytes.Repeat([]byte{7}, 32), Local: true, SignupRate: -1, SignupTotalRate: -1, AuthRate: -1,
		Own: func() []netip.AddrPort { return nil }, Busy: func() bool { return true },
	}
	for _, option := range options {
		option(&cfg)
	}
	return run(t, cfg)
}

// run is one process over a store.
func run(t testing.TB, cfg Config) *Control {
	t.Helper()
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	for _, task := range c.Tasks() {
		tasks.Go(func() { task.Run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		tasks.Wait()
	})
	return c
}
