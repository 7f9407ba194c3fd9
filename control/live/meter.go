package live

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xdire/xlb/lb"
)

// reasons is the closed list; each has a counter at its place, whatever is not in the list shares the one
// after the last.
var reasons = Reasons()

const (
	reasonSlots = 40 // room for all of them
	reasonOther = "other"
)

var reasonIndex = func() map[lb.Reason]int {
	index := make(map[lb.Reason]int, len(reasons))
	for i, r := range reasons {
		index[r] = i
	}
	return index
}()

// reasonCounts counts by reason. The zero value is empty.
type reasonCounts [reasonSlots]atomic.Uint64

func (c *reasonCounts) add(r lb.Reason) {
	i, known := reasonIndex[r]
	if !known {
		i = len(reasons)
	}
	c[i].Add(1)
}

// ReasonCount is how often something ended for a reason.
type ReasonCount struct {
	Reason string
	Count  uint64
}

// appendTo adds the reasons that have occurred to all.
func (c *reasonCounts) appendTo(all []ReasonCount) []ReasonCount {
	for i := range c {
		n := c[i].Load()
		if n == 0 {
			continue
		}
		reason := reasonOther
		if i < len(reasons) {
			reason = string(reasons[i])
		}
		all = append(all, ReasonCount{reason, n})
	}
	return all
}

// meter is what is counted of one frontend beside what its pool counts. It lives and ends with the
// frontend. The zero value is ready.
type meter struct {
	accepted        atomic.Uint64
	closed, refused reasonCounts
	wait, duration  histogram

	used        atomic.Bool // there was a connection: its traffic is worth remembering
	forgot      atomic.Bool // what it remembered has made room for another's
	failed      atomic.Int64
	connects    quick
	longestWait maxDuration // since it was last asked for

	mu     sync.Mutex
	routes map[string]*routeMeter // by address
	kept   []string               // used by keep
}

// routeMeter is what is counted of one route.
type routeMeter struct {
	connect histogram // time to connect
	recent  recent
}

// serverMeter is what is counted of all connections together, those of nobody too. Deleting a frontend
// takes nothing out of it.
type serverMeter struct {
	refused, refusedNobody reasonCounts
	handshake, resumed     histogram
}

// note counts an event of a frontend's connection.
func (m *meter) note(e *lb.Event) {
	switch e.Kind {
	case lb.Accepted:
		m.accepted.Add(1)
		m.used.Store(true)
	case lb.Dialled:
		if e.Reason != "" {
			m.failed.Add(1)
		}
	case lb.Routed:
		m.wait.observe(waitBounds, e.Wait)
		m.longestWait.observe(e.Wait)
		m.connects.observe(e.Connect)
		route := m.route(e.Backend)
		route.connect.observe(connectBounds, e.Connect)
		route.recent.connects.observe(e.Connect)
	case lb.Closed:
		m.closed.add(e.Reason)
		if e.Backend != "" {
			m.duration.observe(durationBounds, e.Duration)
		} else {
			m.wait.observe(waitBounds, e.Wait) // it waited and got nothing
			m.longestWait.observe(e.Wait)
		}
	}
}

// note counts an event of any connection; frontend is the meter of whose it is, nil when it is nobody's.
func (m *serverMeter) note(e *lb.Event, frontend *meter) {
	switch {
	case e.Kind == lb.Accepted && e.Resumed:
		m.resumed.observe(handshakeBounds, e.Handshake)
	case e.Kind == lb.Accepted:
		m.handshake.observe(handshakeBounds, e.Handshake)
	case e.Kind == lb.Refused && frontend == nil:
		m.refusedNobody.add(e.Reason)
	case e.Kind == lb.Refused:
		m.refused.add(e.Reason)
		frontend.refused.add(e.Reason)
	}
}

// route returns the meter of a route, made when there is first something to count.
func (m *meter) route(addr string) *routeMeter {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.routes[addr]
	if r == nil {
		if m.routes == nil {
			m.routes = map[string]*routeMeter{}
		}
		r = &routeMeter{}
		m.routes[addr] = r
	}
	return r
}

// has is the meter of a route, nil when nothing was counted.
func (m *meter) has(addr string) *routeMeter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.routes[addr]
}

// readConnect reads the histogram of a route, empty when it has had no connection.
func (m *meter) readConnect(route string, into *Histogram) {
	h := &noConnects
	if r := m.has(route); r != nil {
		h = &r.connect
	}
	h.read(connectBounds, into)
}

var noConnects histogram

// keep forgets the routes that the pool does not have any more.
func (m *meter) keep(backends []lb.BackendStats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.routes) == 0 {
		return
	}
	m.kept = m.kept[:0]
	for i := range backends {
		m.kept = append(m.kept, backends[i].Addr)
	}
	maps.DeleteFunc(m.routes, func(addr string, _ *routeMeter) bool { return !slices.Contains(m.kept, addr) })
}
