package live

import (
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

	mu     sync.Mutex
	routes map[string]*histogram // time to connect, by address
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
	case lb.Routed:
		m.wait.observe(waitBounds, e.Wait)
		m.connect(e.Backend).observe(connectBounds, e.Connect)
	case lb.Closed:
		m.closed.add(e.Reason)
		if e.Backend != "" {
			m.duration.observe(durationBounds, e.Duration)
		} else {
			m.wait.observe(waitBounds, e.Wait) // it waited and got nothing
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

// connect returns the histogram of a route, made at its first connection.
func (m *meter) connect(route string) *histogram {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.routes[route]
	if h == nil {
		if m.routes == nil {
			m.routes = map[string]*histogram{}
		}
		h = &histogram{}
		m.routes[route] = h
	}
	return h
}

// readConnect reads the histogram of a route, empty when it has had no connection.
func (m *meter) readConnect(route string, into *Histogram) {
	m.mu.Lock()
	h := m.routes[route]
	m.mu.Unlock()
	if h == nil {
		h = &noConnects
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
	kept := make(map[string]*histogram, len(m.routes))
	for _, b := range backends {
		if h := m.routes[b.Addr]; h != nil {
			kept[b.Addr] = h
		}
	}
	m.routes = kept
}
