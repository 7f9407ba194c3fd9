package live

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a Live over a store of its own, with its balancer on loopback.
type rig struct {
	*testing.T
	*Live
	store     *store.Store
	authority *pki.Authority
	addr      string
}

const clientID, frontendID, accessKey = "01a00000-0000-7000-8000-000000000001", "01a00000-0000-7000-8000-000000000002", "aabb"

func start(t *testing.T) *rig {
	engine, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), store.BadgerConfig{})
	must(t, err)
	t.Cleanup(func() { engine.Close() })
	records, err := store.New(engine)
	must(t, err)
	authority, err := pki.NewAuthority(time.Now())
	must(t, err)
	identity, err := pki.NewServerIdentity(pki.ServerConfig{Issuer: func(time.Time) pki.Issuer { return pki.Issuer{Authority: authority} }, Names: []string{"localhost"}, Now: time.Now(), Save: func([]byte) {}})
	must(t, err)
	r := &rig{T: t, store: records, authority: authority}
	_, err = records.CreateClient(t.Context(), store.Client{UUID: clientID, Name: "tenant", KeyHash: []byte("hash")})
	must(t, err)
	r.Live, err = New(t.Context(), Config{
		Store: records, Verifier: pki.NewVerifier(authority.Certificate()), Authorities: func(store.Authorities) pki.Set { return pki.Set{{Authority: authority, State: pki.Current}} }, GetCertificate: identity.GetCertificate,
		RouteCertificate: func(store.RouteTLS) *tls.Certificate { return nil }, Limits: Limits{}.WithDefaults(), Dialer: &lb.Dialer{},
		Options:  store.Options{IdleTimeoutSec: 60, HalfCloseTimeoutSec: 60, QueueLimit: 10, DrainTimeoutSec: 60, PanicPercent: 50},
		Resolver: net.DefaultResolver, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, task := range []func(context.Context) error{r.Follow, r.CheckRoutes, r.LookUpNames, r.SampleTraffic} {
		running.Go(func() {
			if err := task(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.addr = l.Addr().String()
	running.Go(func() { r.Balancer().Serve(l) })
	t.Cleanup(func() {
		r.Balancer().Close()
		cancel()
		running.Wait()
	})
	return r
}

// apply waits until a change of the store is in force.
func (r *rig) apply(rev uint64, err error) {
	r.Helper()
	must(r.T, err)
	must(r.T, r.WaitFor(r.Context(), rev))
}

// issue records a certificate for the frontend, and returns it with its key.
func (r *rig) issue() (tls.Certificate, store.Certificate) {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(r.T, err)
	cert, err := r.authority.IssueClient(pki.ClientRequest{
		ClientID: clientID, FrontendID: frontendID, AccessKey: accessKey, PublicKey: key.Public(), Lifetime: time.Hour, Now: time.Now(),
	})
	must(r.T, err)
	record := store.Certificate{
		Serial: pki.FormatSerial(cert.SerialNumber), Authority: r.authority.ID(), ClientID: clientID, FrontendID: frontendID,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, IssuedAt: time.Now(),
	}
	r.apply(r.store.PutCertificate(r.Context(), record))
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, record
}

func (r *rig) dial(cert tls.Certificate) (*tls.Conn, error) {
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	r.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprint(conn, "x"); err != nil {
		return nil, err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return conn, err
}

func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// Records in, pools and status out: a frontend and its certificate open a stream, and close it when they end.
func TestRecordsBecomePools(t *testing.T) {
	dest := echo(t)
	r := start(t)
	marks, end := r.Subscribe(clientID)
	defer end()
	frontend := store.Frontend{UUID: frontendID, ClientID: clientID, Name: "orders", Active: true, RouteTimeoutSec: 5, AccessKey: accessKey, Routes: []store.Route{{Dest: dest}}, CreatedAt: time.Now()}
	r.apply(r.store.CreateFrontend(t.Context(), frontend, 0))
	select {
	case <-marks:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was told")
	}
	first, record := r.issue()
	second, _ := r.issue()
	conn, err := r.dial(first)
	must(t, err)
	other, err := r.dial(second)
	must(t, err)
	s, known := r.Status(frontendID)
	if !known || s.State != StateUp || s.Connections != 2 || s.Certificates != 2 || len(s.Routes) != 1 || s.Routes[0].State != StateUp || s.Record.Name != "orders" {
		t.Errorf("status %+v", s)
	}
	if all := r.Connections(frontendID); len(all) != 2 || all[0].Route != dest || r.ConnectionsOf(clientID) != 2 {
		t.Errorf("connections %+v", all)
	}
	if frontends, certificates := r.Count(clientID); frontends != 1 || certificates != 2 || r.GoodCertificates(clientID) != 2 {
		t.Errorf("%d frontends, %d certificates", frontends, certificates)
	}

	// A revocation closes what its certificate has open, and nothing else.
	r.apply(r.store.UpdateCertificate(t.Context(), record.Authority, record.Serial, func(c *store.Certificate) error {
		now := time.Now()
		c.RevokedAt = &now
		return nil
	}))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a revoked certificate's connection goes on")
	}
	if _, err := r.dial(first); err == nil {
		t.Error("a revoked certificate was let in")
	}
	if c, _ := r.Certificate(CertificateKey{record.Authority, record.Serial}); !c.Revoked || c.Closed != 1 {
		t.Errorf("certificate %+v", c)
	}
	// The client hears of it first.
	var found []Attempt
	for end := time.Now().Add(10 * time.Second); len(found) == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		found = r.Refused(clientID, frontendID, "revoked", 10)
	}
	if len(found) != 1 || found[0].Serial != record.Serial {
		t.Errorf("refused %+v", found)
	}
	fmt.Fprint(other, "y")
	if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
		t.Errorf("the other certificate's connection: %v", err)
	}

	// A client that is disabled, a frontend that is deleted.
	r.apply(r.store.UpdateClient(t.Context(), clientID, func(c *store.Client) error { c.Disabled = true; return nil }))
	if _, err := other.Read(make([]byte, 1)); err == nil {
		t.Error("a disabled client's connection goes on")
	}
	r.apply(r.store.DeleteFrontend(t.Context(), clientID, frontendID))
	if _, known := r.Status(frontendID); known || len(r.Statuses(clientID)) != 0 {
		t.Error("a deleted frontend has a status")
	}
	var m Metrics
	r.ReadMetrics(&m)
	if m.Clients != 1 || len(m.Frontends) != 0 || m.Accepted < 3 {
		t.Errorf("metrics %+v", m)
	}
}

// What is in the store already is in force when New returns, and defaults stand for a record without options.
func TestNewReadsWhatThereIs(t *testing.T) {
	r := start(t)
	frontend := store.Frontend{UUID: frontendID, ClientID: clientID, Active: true, RouteTimeoutSec: 5, AccessKey: accessKey, Routes: []store.Route{{Dest: "127.0.0.1:1"}}}
	r.apply(r.store.CreateFrontend(t.Context(), frontend, 0))
	again, err := New(t.Context(), r.cfg)
	must(t, err)
	defer again.Balancer().Close()
	record, known := again.Frontend(frontendID)
	if !known || record.Options.QueueLimit != 10 || again.Clients() != 1 || again.Revision() != r.Revision() {
		t.Errorf("%+v, %d clients, revision %d", record, again.Clients(), again.Revision())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := again.WaitFor(ctx, again.Revision()+1); !errors.Is(err, ErrNotYet) || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("a revision that does not come: %v", err)
	}
}

// stubbornEngine cannot be read while it fails.
type stubbornEngine struct {
	store.Engine
	fails atomic.Bool
	asked atomic.Int32
}

func (e *stubbornEngine) View(ctx context.Context, fn func(store.Reader) error) error {
	if e.fails.Load() {
		e.asked.Add(1)
		return store.ErrFailed
	}
	return e.Engine.View(ctx, fn)
}

// Whoever fell behind reads everything again, and tries until the store can be read.
func TestFollowTriesAgainUntilTheStoreCanBeRead(t *testing.T) {
	badger, err := store.OpenBadger(filepath.Join(t.TempDir(), "store"), store.BadgerConfig{WatchLog: 4})
	must(t, err)
	defer badger.Close()
	engine := &stubbornEngine{Engine: badger}
	records, err := store.New(engine)
	must(t, err)
	cfg := start(t).cfg
	cfg.Store = records
	l, err := New(t.Context(), cfg)
	must(t, err)
	defer l.Balancer().Close()
	var last uint64
	for i := range 20 { // more than the engine remembers for those who watch
		last, err = records.CreateClient(t.Context(), store.Client{UUID: fmt.Sprintf("c%d", i), Name: "client"})
		must(t, err)
	}
	engine.fails.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Follow(ctx) }()
	for end := time.Now().Add(5 * time.Second); engine.asked.Load() < 3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has tried %d times, want 3 and on", engine.asked.Load())
		}
	}
	engine.fails.Store(false)
	must(t, l.WaitFor(t.Context(), last))
	if l.Clients() != 20 {
		t.Errorf("it knows %d clients, want 20", l.Clients())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v, want nil", err)
	}
}
