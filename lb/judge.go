package lb

import (
	"time"

	"github.com/xdire/xlb/lb/health"
)

// A pool judges its backends by three things: what a Checker finds, or a caller of SetHealth says; whether
// connects of clients come about; and what probes find of those that it has ejected. All of it happens under
// the pool's own lock, with the backend in hand.

// SetHealth tells the pool how a backend is, from the next connection on; those that exist stay. Since is
// filled in when it is zero: the moment is that of the last change of State. An address that is not a
// backend of the pool is ignored. A backend that becomes Up after it was not healthy starts slowly, see
// PoolConfig.SlowStart. It is for pools without a PoolConfig.Checker, which would say otherwise.
func (p *Pool) SetHealth(addr string, h Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.backends {
		if b.addr != addr {
			continue
		}
		if h.Since.IsZero() {
			h.Since = time.Now()
			if h.State == b.checked.State {
				h.Since = b.checked.Since
			}
		}
		b.checked = h
		p.judge(b)
		return
	}
}

// checkedBy hears of every check of a backend.
func (p *Pool) checkedBy(b *backend, r health.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cfg.Checked != nil && b.watched {
		p.cfg.Checked(b.addr, r)
	}
	found := Health{State: Up, Since: r.Since}
	if !r.Up {
		found = Health{State: Down, Reason: Reason(r.Reason), Detail: r.Detail, Since: r.Since}
	}
	if !b.watched || found.State == b.checked.State && found.Reason == b.checked.Reason {
		return // one that was under way when checks were switched off, or nothing new
	}
	goesDown := b.checked.State == Up && found.State == Down
	b.checked = found
	p.judge(b)
	if goesDown && p.cfg.CloseOnDown {
		b.cutOff.Store(time.Now().UnixNano())
	}
}

// probed hears of every probe of a backend that is ejected.
func (p *Pool) probed(b *backend, r health.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Up && b.passive.State == Ejected && p.eject.succeeded(&b.account, time.Now()) {
		p.back(b, Health{State: Up, Since: r.Since})
	}
}

// served is called when a backend has sent something or taken something and not ended early. It says more than
// a connect does.
func (p *Pool) served(b *backend) {
	if !b.byteCounts.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.succeeded(b)
}

// endedEarly is called when a backend has ended a connection as EarlyClosed says.
func (p *Pool) endedEarly(b *backend) {
	if !b.byteCounts.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed(b, ReasonBackendClosed)
}

// succeeded ends the ejection of a backend that works. The caller holds the lock.
func (p *Pool) succeeded(b *backend) {
	if !b.gone && p.eject.succeeded(&b.account, time.Now()) {
		p.back(b, Health{})
	}
}

// failed may eject a backend. The caller holds the lock.
func (p *Pool) failed(b *backend, reason Reason) {
	if b.gone {
		return
	}
	if b.passive.State == Up { // what a probe found once is over
		b.passive = Health{}
		p.judge(b)
	}
	now := time.Now()
	if !p.eject.failed(&b.account, now) {
		return
	}
	until := b.account.until
	b.passive = Health{State: Ejected, Reason: reason, Detail: "until " + until.UTC().Format(time.TimeOnly), Since: now}
	b.rest = time.AfterFunc(until.Sub(now), func() { p.rested(b, until) })
	p.judge(b)
	p.probe()
}

// rested ends an ejection whose time is over.
func (p *Pool) rested(b *backend, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !b.gone && b.account.out() && b.account.until.Equal(until) {
		p.eject.release(&b.account, until)
		p.back(b, Health{})
	}
}

// back uses a backend again whose ejection has ended. The caller holds the lock.
func (p *Pool) back(b *backend, found Health) {
	b.rest.Stop()
	b.passive = found
	p.judge(b)
	p.probe()
}

// verdict is what is known about the backend. An ejection says more than a check that passes.
func (b *backend) verdict() Health {
	ejected := b.passive.State == Ejected && b.checked.State != Down
	probed := b.passive.State == Up && b.checked.State == Unknown
	if ejected || probed {
		return b.passive
	}
	return b.checked
}

// judge brings the health of a backend up to date, and whether it gets connections. The caller holds the lock.
func (p *Pool) judge(b *backend) {
	was := b.health
	b.health = b.verdict()
	if b.health.healthy() != was.healthy() {
		b.warmFrom = time.Time{}
		if b.health.State == Up {
			b.warmFrom = time.Now()
		}
		p.arrange()
	}
	newer := b.health.State != was.State || b.health.Reason != was.Reason
	forgotten := b.health.State == Unknown && was.healthy()
	if newer && !forgotten && p.cfg.Changed != nil {
		p.cfg.Changed(b.addr, b.health)
	}
}

// probeOwner owns the targets that a checker probes because the pool has ejected them.
type probeOwner struct{ of *Pool }

// watch gives the checker the backends to check and to probe. The caller holds the lock.
func (p *Pool) watch() {
	if p.cfg.Checker == nil {
		return
	}
	var targets []health.Target
	for _, b := range p.backends {
		if b.watched = b.check.Kind != health.None; b.watched {
			targets = append(targets, health.Target{Addr: b.addr, Group: p.cfg.Group, Check: b.prefaced(b.check), Report: func(r health.Result) { p.checkedBy(b, r) }})
		}
	}
	p.cfg.Checker.Set(p, targets)
	p.probe()
}

// prefaced is a check that begins as the backend expects it: with a PROXY header of the balancer's own connections.
func (b *backend) prefaced(check health.Check) health.Check {
	if b.proxy != 0 {
		check.Preface = AppendProxyHeader(nil, b.proxy, ProxyHeader{})
	}
	return check
}

// probe has the checker look at the backends that are ejected, and at no others. The caller holds the lock.
func (p *Pool) probe() {
	if p.cfg.Checker == nil || p.eject.ejected == 0 && p.probing == 0 {
		return
	}
	var targets []health.Target
	for _, b := range p.backends {
		if b.passive.State == Ejected && b.passive.Reason != ReasonBackendClosed { // connects to that one do come about
			targets = append(targets, health.Target{
				Addr: b.addr, Group: p.cfg.Group, Report: func(r health.Result) { p.probed(b, r) },
				Check: b.prefaced(health.Check{Kind: health.TCP, Interval: probeEvery, Timeout: probeEvery, Rise: 1}),
			})
		}
	}
	p.probing = len(targets)
	p.cfg.Checker.Set(probeOwner{p}, targets)
}

// unwatch ends what a checker does for the pool.
func (p *Pool) unwatch(c *health.Checker) {
	c.Remove(p)
	c.Remove(probeOwner{p})
	p.probing = 0
	for _, b := range p.backends {
		b.watched = false
	}
}

// recount fits the ejections to the configuration: fewer may be ejected now. The caller holds the lock.
func (p *Pool) recount() {
	p.eject.cfg = p.cfg.Eject.withDefaults()
	p.eject.of = len(p.backends)
	p.eject.ejected = 0
	for _, b := range p.backends {
		if b.account.out() {
			p.eject.ejected++
		}
	}
	for p.eject.ejected > p.eject.most() {
		b := p.nextBack()
		p.eject.release(&b.account, time.Now())
		b.rest.Stop()
		b.passive = Health{}
	}
}

// nextBack is the ejected backend whose time is over first.
func (p *Pool) nextBack() (first *backend) {
	for _, b := range p.backends {
		if b.account.out() && (first == nil || b.account.until.Before(first.account.until)) {
			first = b
		}
	}
	return first
}
