package lb

import "time"

// EjectConfig says when a pool lets a backend rest because connections to it failed, and for how long. The zero
// value ejects none.
//
// A backend that rests comes back when a probe or a connection of a client reaches it, or when its time is over.
// Each time that it is ejected again is longer, and each Base without a failure makes up for one.
type EjectConfig struct {
	Failures int // connects in a row that have to fail; 0 and negative eject none
	// EarlyClose counts a connection as failed that the backend ends within a second, without a byte and
	// before the client. A connect proves nothing then: a byte does. Such a backend is not probed.
	EarlyClose bool
	Base       time.Duration // the first ejection lasts so long, the second twice as long, and so on; 0 and negative are 30 s
	Longest    time.Duration // most that one ejection lasts; 0 and negative are 300 s, less than Base is Base
	MaxPercent int           // of the backends, ejected at once; 0 is 50, more than 100 is 100. One of two or more may always be ejected: negative is no more than that one
}

const (
	defaultEjectBase       = 30 * time.Second
	defaultEjectLongest    = 300 * time.Second
	defaultEjectMaxPercent = 50

	probeEvery = 2 * time.Second // and as long may a probe of an ejected backend last
)

func (c EjectConfig) withDefaults() EjectConfig {
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
	return c
}

// ejector keeps account of the failures of a pool's backends. It has no clock and dials nothing: the pool tells
// it the time and does what it says. The pool's lock guards it.
type ejector struct {
	cfg     EjectConfig
	of      int // backends
	ejected int // of them, now
}

// suspect is the account of one backend. The zero value is a good one.
type suspect struct {
	failures int       // in a row
	count    int       // of ejections, less what good behaviour made up for
	calm     time.Time // since then there was no failure and no ejection, as far as count has taken it in
	since    time.Time // of the ejection; the zero time when it is not ejected
	until    time.Time
}

func (s *suspect) out() bool { return !s.since.IsZero() }

// most is how many backends may be ejected at once.
func (e *ejector) most() int {
	if e.cfg.Failures <= 0 || e.of < 2 {
		return 0
	}
	return max(e.of*e.cfg.MaxPercent/100, 1)
}

// failed notes a failed connect, and tells whether that ejects the backend. One that is ejected already is not
// ejected again.
func (e *ejector) failed(s *suspect, at time.Time) bool {
	if s.out() || e.cfg.Failures <= 0 {
		return false
	}
	s.count = e.countAt(s, at)
	s.calm = at
	s.failures++
	if s.failures < e.cfg.Failures || e.ejected >= e.most() {
		return false
	}
	s.count++
	e.ejected++
	s.since = at
	s.until = at.Add(e.lasts(s.count))
	return true
}

// countAt takes off one ejection for each Base that has passed calmly.
func (e *ejector) countAt(s *suspect, now time.Time) int {
	if s.out() {
		return s.count
	}
	calm := max(now.Sub(s.calm), 0) / e.cfg.Base
	return max(s.count-int(min(calm, time.Duration(s.count))), 0)
}

// lasts is the length of the n-th ejection.
func (e *ejector) lasts(n int) time.Duration {
	if time.Duration(n) > e.cfg.Longest/e.cfg.Base {
		return e.cfg.Longest
	}
	return time.Duration(n) * e.cfg.Base
}

// succeeded notes a connect that came about, and tells whether that ends an ejection.
func (e *ejector) succeeded(s *suspect, at time.Time) (back bool) {
	if s.out() {
		e.release(s, at)
		return true
	}
	s.failures = 0
	return false
}

// release ends an ejection.
func (e *ejector) release(s *suspect, at time.Time) {
	e.ejected--
	*s = suspect{count: s.count, calm: at}
}
