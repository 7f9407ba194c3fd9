package lb

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// EjectConfig says when an Ejector takes an address out, and for how long.
type EjectConfig struct {
	Failures   int           // failed connects in a row that eject an address; 0 is 5, negative ejects none
	Base       time.Duration // the first ejection lasts so long, the second twice as long, and so on; 0 and negative are 30 s
	Longest    time.Duration // most that one ejection lasts; 0 and negative are 300 s, less than Base is Base
	MaxPercent int           // of the addresses, ejected at once; 0 is 50, more than 100 is 100. One of two or more may always be ejected: negative is no more than that one
	ProbeEvery time.Duration // from one probe of an ejected address to the next; 0 and negative are 2 s
}

const (
	defaultEjectFailures   = 5
	defaultEjectBase       = 30 * time.Second
	defaultEjectLongest    = 300 * time.Second
	defaultEjectMaxPercent = 50
	defaultEjectProbeEvery = 2 * time.Second
)

func (c EjectConfig) withDefaults() EjectConfig {
	if c.Failures == 0 {
		c.Failures = defaultEjectFailures
	}
	if c.Base <= 0 {
		c.Base = defaultEjectBase
	}
	if c.Longest <= 0 {
		c.Longest = defaultEjectLongest
	}
	c.Longest = max(c.Longest, c.Base)
	if c.MaxPercent == 0 {
		c.MaxPercent = defaultEjectMaxPercent
	}
	c.MaxPercent = min(max(c.MaxPercent, 0), 100)
	if c.ProbeEvery <= 0 {
		c.ProbeEvery = defaultEjectProbeEvery
	}
	return c
}

// Ejector learns from the connects of one pool which addresses do not work, and says which ones to leave out
// for a while. It only keeps account: it dials nothing, has no goroutine and no clock, and the caller tells
// it the time and does what it says. The zero value knows no address until Update. It is safe for concurrent
// use.
//
// An ejected address comes back when a connect succeeds, which a probe is as well, or when its time is over.
// Each time that it is ejected again is longer, and each Base without a failure makes up for one.
type Ejector struct {
	mu      sync.Mutex
	cfg     EjectConfig
	addrs   map[string]*suspect
	ejected int
}

// suspect is what an Ejector knows about an address.
type suspect struct {
	failures int       // in a row
	count    int       // of ejections, less what good behaviour made up for
	calm     time.Time // since then there was no failure and no ejection, as far as count has taken it in
	since    time.Time // of the ejection; the zero time when it is not ejected
	until    time.Time
	probeAt  time.Time
}

func (s *suspect) out() bool { return !s.since.IsZero() }

// Update sets the configuration and the addresses of the pool. Those that stay keep their account. It returns
// the ejected ones that are to be used again, because fewer may be ejected now.
func (e *Ejector) Update(cfg EjectConfig, addrs []string, now time.Time) (back []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cfg = cfg.withDefaults()
	before := e.addrs
	e.addrs, e.ejected = make(map[string]*suspect, len(addrs)), 0
	for _, addr := range addrs {
		s := before[addr]
		if s == nil {
			s = &suspect{calm: now}
		}
		if e.addrs[addr] == nil && s.out() {
			e.ejected++
		}
		e.addrs[addr] = s
	}
	for e.ejected > e.most() {
		addr := e.nextBack()
		e.release(e.addrs[addr], now)
		back = append(back, addr)
	}
	return back
}

// most is how many addresses may be ejected at once.
func (e *Ejector) most() int {
	if e.cfg.Failures < 0 || len(e.addrs) < 2 {
		return 0
	}
	return max(len(e.addrs)*e.cfg.MaxPercent/100, 1)
}

// nextBack is the ejected address whose time is over first.
func (e *Ejector) nextBack() (first string) {
	for addr, s := range e.addrs {
		if s.out() && (first == "" || s.until.Before(e.addrs[first].until)) {
			first = addr
		}
	}
	return first
}

func (e *Ejector) release(s *suspect, now time.Time) {
	s.since, s.until, s.probeAt, s.failures, s.calm = time.Time{}, time.Time{}, time.Time{}, 0, now
	e.ejected--
}

// Failed notes a failed connect. When that ejects the address, eject is true and until is the end of it. A
// connect that failed for a fault of this machine (ReasonInternal) is not to be noted. An address that is
// ejected already, or unknown, is not ejected again.
func (e *Ejector) Failed(addr string, at time.Time) (eject bool, until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.addrs[addr]
	if s == nil || s.out() || e.cfg.Failures < 0 {
		return false, time.Time{}
	}
	s.count = e.countAt(s, at)
	s.calm = at
	s.failures++
	if s.failures < e.cfg.Failures || e.ejected >= e.most() {
		return false, time.Time{}
	}
	s.count++
	e.ejected++
	s.since, s.until, s.probeAt = at, at.Add(e.lasts(s.count)), at.Add(e.cfg.ProbeEvery)
	return true, s.until
}

// countAt takes off one ejection for each Base that has passed calmly.
func (e *Ejector) countAt(s *suspect, now time.Time) int {
	if s.out() {
		return s.count
	}
	calm := max(now.Sub(s.calm), 0) / e.cfg.Base
	return max(s.count-int(min(calm, time.Duration(s.count))), 0)
}

// lasts is the length of the n-th ejection.
func (e *Ejector) lasts(n int) time.Duration {
	if time.Duration(n) > e.cfg.Longest/e.cfg.Base {
		return e.cfg.Longest
	}
	return time.Duration(n) * e.cfg.Base
}

// Succeeded notes a connect that came about, of a client or a probe. It returns true when the address was
// ejected and is to be used again.
func (e *Ejector) Succeeded(addr string, at time.Time) (back bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.addrs[addr]
	if s == nil {
		return false
	}
	if s.out() {
		e.release(s, at)
		return true
	}
	s.failures = 0
	return false
}

// Due lists the ejected addresses to probe now, by a connect and nothing more, and takes it that they are
// probed. Tell Succeeded what came about; a probe that failed changes nothing. With a Checker nobody has to
// ask: give it the ejected addresses under an owner of their own.
func (e *Ejector) Due(now time.Time) []string {
	return e.list(func(s *suspect) bool {
		due := s.out() && !now.Before(s.probeAt) && now.Before(s.until)
		if due {
			s.probeAt = now.Add(e.cfg.ProbeEvery)
		}
		return due
	})
}

// Over lists the addresses whose time is over. They are to be used again, and not ejected any more.
func (e *Ejector) Over(now time.Time) []string {
	return e.list(func(s *suspect) bool {
		over := s.out() && !now.Before(s.until)
		if over {
			e.release(s, s.until)
		}
		return over
	})
}

// list returns the addresses for which keep is true, in order. Nothing ejected is the common case, which is
// over at once.
func (e *Ejector) list(keep func(*suspect) bool) (all []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ejected == 0 {
		return nil
	}
	for addr, s := range e.addrs {
		if keep(s) {
			all = append(all, addr)
		}
	}
	slices.Sort(all)
	return all
}

// Suspect is the account of an address that has failed lately.
type Suspect struct {
	Addr     string
	Failures int       // connects in a row; while it is ejected, those that led to it
	Count    int       // ejections that are not made up for yet
	Since    time.Time // of the ejection; the zero time when it is not ejected
	Until    time.Time // it is back by then at the latest; the zero time when it is not ejected
}

// Snapshot lists the addresses that are ejected, have been lately, or have failed since their last success,
// in order.
func (e *Ejector) Snapshot(now time.Time) []Suspect {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Suspect
	for addr, s := range e.addrs {
		if count := e.countAt(s, now); count > 0 || s.failures > 0 {
			all = append(all, Suspect{Addr: addr, Failures: s.failures, Count: count, Since: s.since, Until: s.until})
		}
	}
	slices.SortFunc(all, func(a, b Suspect) int { return strings.Compare(a.Addr, b.Addr) })
	return all
}
