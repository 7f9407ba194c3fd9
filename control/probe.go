package control

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
)

// The stages of a test, in order.
const (
	StageHandshake   = "handshake"
	StageCertificate = "certificate"
	StageFrontend    = "frontend"
	StageChosen      = "chosen"
	StageReached     = "reached"
	StageFirstByte   = "first-byte"
)

var testStages = [...]string{StageHandshake, StageCertificate, StageFrontend, StageChosen, StageReached, StageFirstByte}

// What a test sends after the handshake.
const (
	SendNothing  = "nothing"
	SendHTTP     = "http"
	SendPostgres = "postgres"
	SendRedis    = "redis"
)

// TestSends lists what a test may send.
var TestSends = []string{SendNothing, SendHTTP, SendPostgres, SendRedis}

var testPayloads = map[string]string{
	SendNothing:  "",
	SendHTTP:     "GET / HTTP/1.0\r\nHost: xlb-test\r\nConnection: close\r\n\r\n",
	SendPostgres: "\x00\x00\x00\x08\x04\xd2\x16\x2f", // SSLRequest: answered with one byte, and no session begins
	SendRedis:    "PING\r\n",
}

// TestNoAnswer is the reason of a test to which the route did not answer. It is no code of the log.
const TestNoAnswer = "silent"

const (
	testTimeout  = 10 * time.Second
	testSilence  = time.Second // for a first byte when nothing was sent: many programs wait for the other side
	testLast     = time.Second // for what the balancer has to say after the connection has ended
	testLifetime = time.Minute // of the certificate
	testName     = "test"
)

// TestStage is one stage of a test.
type TestStage struct {
	Name    string
	Reached bool
	Took    time.Duration
}

// TestResult is how a test went. There is never a byte of the answer in it.
type TestResult struct {
	At     time.Time
	Took   time.Duration
	Stages []TestStage
	Failed string // the stage at which it failed; empty when it passed
	Silent bool   // nothing was sent and nothing came, which is no failure
	Reason string // a code of the log, when it failed
	Detail string
	Route  string // that was chosen, or tried last
	Serial string // of the certificate that was made for it
}

// TestFrontend connects to XLB's own port with a certificate that is made for it and good for a minute, as a program
// would, and reports each stage. One client may do so once a second.
func (c *Control) TestFrontend(ctx context.Context, frontendID, send string) (TestResult, error) {
	_, a, err := c.may(ctx, actFrontendTest, frontendID)
	if err != nil {
		return TestResult{}, err
	}
	f, err := c.store.Frontend(ctx, a.ClientID, canonicalID(frontendID))
	if err != nil {
		return TestResult{}, fromStore(err, "frontend")
	}
	payload, known := testPayloads[send]
	if !known {
		return TestResult{}, invalid("send", "Use nothing, http, postgres or redis.")
	}
	if c.cfg.DataAddr == nil || !c.cfg.DataAddr().IsValid() {
		return TestResult{}, &Error{Kind: KindUnavailable, Message: "The port for programs is not open."}
	}
	if wait := c.tests.take(a.ClientID, c.cfg.Now()); wait > 0 {
		return TestResult{}, tooMany("A test can run once a second.", wait)
	}
	authority := c.issuer()
	certificate, err := c.testCertificate(authority, f)
	if err != nil {
		return TestResult{}, err
	}
	probe := c.live.StartProbe(f.ClientID, f.UUID, testName, authority.ID(), certificate.Leaf)
	defer probe.End()
	t := &test{control: c, payload: payload, certificate: certificate, began: time.Now()}
	return t.run(ctx, probe), nil
}

func (c *Control) testCertificate(authority *pki.Authority, f store.Frontend) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	leaf, err := authority.IssueClient(pki.ClientRequest{
		ClientID: f.ClientID, FrontendID: f.UUID, AccessKey: f.AccessKey, PublicKey: key.Public(), Lifetime: testLifetime, Now: c.cfg.Now(),
	})
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue a certificate for a test: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// test is one connection through the own port.
type test struct {
	control     *Control
	payload     string
	certificate tls.Certificate
	began       time.Time
	shaken      time.Time // the handshake, as the program sees it
	answered    time.Time // the first byte
}

func (t *test) run(ctx context.Context, probe *live.Probe) TestResult {
	ctx, cancel := context.WithDeadline(ctx, t.began.Add(testTimeout))
	defer cancel()
	err := t.connect(ctx)
	wait := testLast
	if err == nil {
		wait = 0 // what has happened before the answer has been told
	}
	events := gather(probe.Events, wait)
	r := TestResult{At: t.began, Serial: pki.FormatSerial(t.certificate.Leaf.SerialNumber)}
	t.stages(&r, events)
	var silent net.Error
	r.Silent = t.payload == "" && errors.As(err, &silent) && silent.Timeout() && r.Stages[4].Reached
	r.Took = time.Since(t.began)
	if err == nil {
		r.Took = t.answered.Sub(t.began)
	} else if !r.Silent {
		t.fail(&r, events, err)
	}
	return r
}

// connect does what a program does, up to the first byte of the answer, which is thrown away.
func (t *test) connect(ctx context.Context) error {
	addr := dialable(t.control.cfg.DataAddr())
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer raw.Close()
	deadline, _ := ctx.Deadline()
	raw.SetDeadline(deadline)
	if err := t.preface(raw, addr); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(t.control.AuthorityPEM())
	conn := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: t.serverName(), Certificates: []tls.Certificate{t.certificate},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	t.shaken = time.Now()
	if _, err := conn.Write([]byte(t.payload)); err != nil && t.payload != "" {
		return err
	}
	if t.payload == "" {
		raw.SetReadDeadline(time.Now().Add(testSilence))
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return err
	}
	t.answered = time.Now()
	return nil
}

// preface is the PROXY header that the port wants from this machine, if it does.
func (t *test) preface(raw net.Conn, to netip.AddrPort) error {
	from := raw.LocalAddr().(*net.TCPAddr).AddrPort()
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	for _, network := range t.control.cfg.ProxyFrom {
		if network.Contains(from.Addr()) {
			_, err := raw.Write(lb.AppendProxyHeader(nil, 1, lb.ProxyHeader{Source: from, Destination: to}))
			return err
		}
	}
	return nil
}

func (t *test) serverName() string {
	if names := t.control.cfg.Hostnames; len(names) > 0 {
		return names[0]
	}
	return "localhost"
}

// dialable is where a listener of all addresses is reached from this machine.
func dialable(addr netip.AddrPort) netip.AddrPort {
	switch {
	case !addr.Addr().IsUnspecified():
		return addr
	case addr.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port())
}

// gather takes the events that are there, and waits a while for the end of the connection when there is none.
func gather(from <-chan live.ProbeEvent, wait time.Duration) []live.ProbeEvent {
	var all []live.ProbeEvent
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case e := <-from:
			all = append(all, e)
			if e.Kind == lb.Closed || e.Kind == lb.Refused {
				return all
			}
			continue
		default:
		}
		select {
		case e := <-from:
			all = append(all, e)
			if e.Kind == lb.Closed || e.Kind == lb.Refused {
				return all
			}
		case <-timer.C:
			return all
		}
	}
}

// stages are how far it came, and when. The moments are of one clock: both ends are in this process.
func (t *test) stages(r *TestResult, events []live.ProbeEvent) {
	ends := map[string]time.Time{StageHandshake: t.shaken, StageFirstByte: t.answered}
	for _, e := range events {
		switch e.Kind {
		case lb.Accepted:
			ends[StageCertificate] = e.Start.Add(e.Handshake)
			ends[StageFrontend] = e.At
		case lb.Dialled:
			r.Route = e.Backend
		case lb.Routed:
			r.Route = e.Backend
			ends[StageChosen] = e.At.Add(-e.Connect)
			ends[StageReached] = e.At
		}
	}
	at := t.began
	for _, name := range testStages {
		stage := TestStage{Name: name, Reached: !ends[name].IsZero()}
		if stage.Reached {
			stage.Took = max(0, ends[name].Sub(at))
			if ends[name].After(at) {
				at = ends[name]
			}
		}
		r.Stages = append(r.Stages, stage)
	}
}

// fail says at which stage it ended, and why: what the balancer says, or else what the program saw.
func (t *test) fail(r *TestResult, events []live.ProbeEvent, err error) {
	for _, stage := range r.Stages {
		if !stage.Reached {
			r.Failed = stage.Name
			break
		}
	}
	for _, e := range events {
		if e.Kind != lb.Closed && e.Kind != lb.Refused {
			continue
		}
		r.Reason = string(e.Reason)
		r.Detail = e.Detail
		if e.Kind == lb.Refused {
			r.Failed = StageCertificate
			if aboutFrontend[e.Reason] {
				r.Failed = StageFrontend
			}
		} else if e.Backend != "" && !r.Stages[4].Reached {
			r.Failed = StageReached
		}
		return
	}
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout() && r.Stages[4].Reached:
		r.Reason = TestNoAnswer
	case r.Failed == StageHandshake:
		r.Detail = err.Error() // of this machine to itself: there is nothing of anybody else in it
	}
}

// aboutFrontend are the reasons to turn somebody away whose certificate is good.
var aboutFrontend = map[lb.Reason]bool{live.ReasonOff: true, live.ReasonGone: true, live.ReasonDisabled: true, lb.ReasonConnLimit: true, lb.ReasonRateLimit: true, lb.ReasonServerLimit: true}
