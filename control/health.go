package control

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/xdire/xlb/lb"
)

// health knows which routes work: from checks, and from connects that failed. It tells the pools.
type health struct {
	c       *Control
	checker *lb.Checker

	mu    sync.Mutex
	pools map[string]*poolHealth // by frontend
}

// poolHealth is what is known about the routes of one frontend.
type poolHealth struct {
	clientID    string
	pool        *lb.Pool
	closeOnDown bool
	earlyClose  bool // a connect proves nothing, a byte does
	proxy       int  // version of the PROXY header that the routes expect
	ejector     lb.Ejector
	checks      map[string]lb.Result // the last verdict of each route
	passive     map[string]lb.Health // of routes that are ejected, or were and have answered a probe since
	probed      int                  // addresses that the checker probes because they are ejected
}

func newHealth(c *Control) *health {
	h := &health{c: c, pools: map[string]*poolHealth{}}
	h.checker = lb.NewChecker(lb.CheckerConfig{Dialer: c.dialer, Report: h.checked})
	return h
}

// Owners of targets in the checker: a frontend's own checks, and the probes of its ejected routes.
const probeOwner = "probe/"

// put starts, changes or stops what is done for a frontend.
func (h *health) put(f Frontend, pool *lb.Pool, all addresses) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pools[f.ID]
	if p == nil {
		p = &poolHealth{checks: map[string]lb.Result{}, passive: map[string]lb.Health{}}
		h.pools[f.ID] = p
	}
	p.clientID, p.pool, p.closeOnDown = f.ClientID, pool, f.Options.CloseOnDown
	p.proxy, p.earlyClose = f.Options.Proxy, f.Options.EjectOn == EjectEarlyClose
	var targets []lb.Target
	addrs := make([]string, 0, len(f.Routes))
	for _, r := range f.Routes {
		check := h.c.checkOf(f.Options, nameOf(r.Dest))
		for _, addr := range all[r.Dest] {
			addrs = append(addrs, addr)
			if check.Kind != lb.CheckNone && f.Active {
				targets = append(targets, lb.Target{Addr: addr, Check: check})
			}
		}
	}
	if len(targets) == 0 {
		clear(p.checks)
	}
	h.checker.Set(f.ID, targets)
	for _, addr := range p.ejector.Update(lb.EjectConfig{Failures: orOff(f.Options.EjectAfter)}, addrs, h.c.cfg.Now()) {
		delete(p.passive, addr)
	}
	p.keepOnly(addrs)
	h.probe(f.ID, p)
	for _, addr := range addrs {
		p.tell(addr)
	}
}

// keepOnly forgets routes that are gone.
func (p *poolHealth) keepOnly(addrs []string) {
	stays := map[string]bool{}
	for _, addr := range addrs {
		stays[addr] = true
	}
	for addr := range p.checks {
		if !stays[addr] {
			delete(p.checks, addr)
		}
	}
	for addr := range p.passive {
		if !stays[addr] {
			delete(p.passive, addr)
		}
	}
}

func (h *health) remove(frontendID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pools, frontendID)
	h.checker.Remove(frontendID)
	h.checker.Remove(probeOwner + frontendID)
}

// tell passes on what is known about a route. An ejection says more than a check that passes.
func (p *poolHealth) tell(addr string) {
	verdict := lb.Health{State: lb.Unknown}
	if r, checked := p.checks[addr]; checked {
		verdict = lb.Health{State: lb.Up, Since: r.Since}
		if !r.Up {
			verdict = lb.Health{State: lb.Down, Reason: r.Reason, Detail: r.Detail, Since: r.Since}
		}
	}
	if passive, said := p.passive[addr]; said && (passive.State == lb.Ejected || verdict.State == lb.Unknown) && verdict.State != lb.Down {
		verdict = passive
	}
	p.pool.SetHealth(addr, verdict)
}

// checked hears of every check.
func (h *health) checked(owner, addr string, r lb.Result) {
	id, isProbe := strings.CutPrefix(owner, probeOwner)
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pools[id]
	if p == nil {
		return
	}
	if isProbe {
		if r.Up && p.ejector.Succeeded(addr, h.c.cfg.Now()) {
			p.passive[addr] = lb.Health{State: lb.Up, Since: r.Since}
			h.back(id, p, addr)
		}
		return
	}
	before, known := p.checks[addr]
	p.checks[addr] = r
	if known && before.Up == r.Up && before.Reason == r.Reason {
		return
	}
	p.tell(addr)
	h.note(id, p, addr, r.Up, string(r.Reason), r.Detail)
	if known && before.Up && !r.Up && p.closeOnDown {
		h.c.dropRoute(id, addr)
	}
}

// dialled hears of every connect to a route; the reason is why it failed, empty when it did not.
func (h *health) dialled(frontendID, addr string, reason lb.Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pools[frontendID]
	if p == nil || reason == lb.ReasonInternal || reason == lb.ReasonRoutePolicy { // neither is the route's fault
		return
	}
	switch {
	case reason != "":
		h.failed(frontendID, p, addr, reason)
	case !p.earlyClose:
		h.succeeded(frontendID, p, addr)
	}
}

// served hears of routes that have sent or taken something.
func (h *health) served(b *bearer, addr string) {
	if b.frontend.record.Options.EjectOn != EjectEarlyClose {
		return // its connect was good enough
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pools[b.frontendID]; p != nil && p.earlyClose {
		h.succeeded(b.frontendID, p, addr)
	}
}

// endedEarly hears of connections that the route ended at once, without a byte.
func (h *health) endedEarly(b *bearer, addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pools[b.frontendID]; p != nil && p.earlyClose {
		h.failed(b.frontendID, p, addr, lb.ReasonRouteClosed)
	}
}

// succeeded ends the ejection of a route that works. The caller holds the lock.
func (h *health) succeeded(id string, p *poolHealth, addr string) {
	if p.ejector.Succeeded(addr, h.c.cfg.Now()) {
		delete(p.passive, addr)
		h.back(id, p, addr)
	}
}

// failed may eject a route. The caller holds the lock.
func (h *health) failed(frontendID string, p *poolHealth, addr string, reason lb.Reason) {
	now := h.c.cfg.Now()
	if p.passive[addr].State == lb.Up { // what the probe found is over
		delete(p.passive, addr)
		p.tell(addr)
	}
	if eject, until := p.ejector.Failed(addr, now); eject {
		p.passive[addr] = lb.Health{State: lb.Ejected, Reason: reason, Detail: "until " + until.UTC().Format("15:04:05"), Since: now}
		p.tell(addr)
		h.probe(frontendID, p)
		h.note(frontendID, p, addr, false, string(reason), "ejected until "+until.UTC().Format(time.TimeOnly))
	}
}

// back uses a route again that was ejected. The caller holds the lock.
func (h *health) back(id string, p *poolHealth, addr string) {
	p.tell(addr)
	h.probe(id, p)
	h.note(id, p, addr, true, "", "")
}

// probe has the checker look at the ejected routes, and at no others. The caller holds the lock.
func (h *health) probe(id string, p *poolHealth) {
	if len(p.passive) == 0 && p.probed == 0 {
		return
	}
	var targets []lb.Target
	for addr, verdict := range p.passive {
		if verdict.State != lb.Ejected || verdict.Reason == lb.ReasonRouteClosed { // connects to that one do come about
			continue
		}
		targets = append(targets, lb.Target{Addr: addr, Check: lb.Check{Kind: lb.CheckTCP, Interval: 2 * time.Second, Timeout: 2 * time.Second, Rise: 1, ProxyProtocol: p.proxy}})
	}
	p.probed = len(targets)
	h.checker.Set(probeOwner+id, targets)
}

// note logs a change and wakes the pages that show it. The caller holds the lock.
func (h *health) note(id string, p *poolHealth, addr string, up bool, reason, detail string) {
	h.c.log.LogAttrs(context.Background(), slog.LevelInfo, "route changed", slog.String("client", p.clientID), slog.String("frontend", id),
		slog.String("route", addr), slog.Bool("up", up), slog.String("reason", reason), slog.String("detail", detail))
	h.c.bus.mark(p.clientID)
}

// run checks and ends ejections until ctx ends.
func (h *health) run(ctx context.Context) error { return h.checker.Run(ctx) }

// endEjections brings back the routes whose time is over, until ctx ends.
func (h *health) endEjections(ctx context.Context) error {
	return every(ctx, time.Second, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for id, p := range h.pools {
			for _, addr := range p.ejector.Over(h.c.cfg.Now()) {
				delete(p.passive, addr)
				h.back(id, p, addr)
			}
		}
	})
}

// checkOf is the check that a frontend's options ask for, of routes with that name, if they have one.
func (c *Control) checkOf(o Options, name string) lb.Check {
	k := o.Check
	check := lb.Check{
		Kind: checkKinds[k.Kind], Interval: seconds(k.IntervalSec), Timeout: seconds(k.TimeoutSec), Rise: k.Rise, Fall: k.Fall,
		Send: []byte(k.Send), Expect: []byte(k.Expect), Method: k.Method, Path: k.Path, Host: k.Host,
		Statuses: []lb.StatusRange{{From: k.StatusLow, To: k.StatusHigh}}, ProxyProtocol: o.Proxy,
	}
	if over := c.backendTLS(o.RouteTLS); over != nil {
		check.TLS = &tls.Config{ServerName: over.ServerName, RootCAs: over.RootCAs, InsecureSkipVerify: over.InsecureSkipVerify}
		if over.Certificate != nil {
			check.TLS.Certificates = []tls.Certificate{*over.Certificate}
		}
	}
	if name != "" && check.Host == "" {
		check.Host = name
	}
	if name != "" && check.TLS != nil && check.TLS.ServerName == "" {
		check.TLS.ServerName = name
	}
	return check
}

var checkKinds = map[string]lb.CheckKind{CheckTCP: lb.CheckTCP, CheckTLS: lb.CheckTLS, CheckSend: lb.CheckSend, CheckHTTP: lb.CheckHTTP}

// dropRoute closes the live connections of a frontend to one route.
func (c *Control) dropRoute(frontendID, addr string) {
	if c.balancer == nil {
		return // before it exists there are none
	}
	key := frontendKey(frontendID)
	for _, conn := range c.balancer.Connections(key) {
		if conn.Route == addr {
			c.balancer.Kill(key, conn.ID)
		}
	}
}
