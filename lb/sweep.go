package lb

import "time"

const (
	slowestSweep = time.Second
	fastestSweep = 10 * time.Millisecond
)

// sweep closes connections whose time is over, until the server is closed: one goroutine that looks at
// all, instead of a timer for each read.
func (s *Server) sweep() {
	ticker := time.NewTicker(s.sweepEvery())
	defer ticker.Stop()
	for {
		select {
		case <-s.base.Done():
			return
		case now := <-ticker.C:
			for _, c := range s.live.all() {
				if e, over := c.over(now); over {
					c.abort(e)
				}
				c.settle()
			}
		}
	}
}

// sweepEvery keeps every timeout to an eighth of its length, or to a second.
func (s *Server) sweepEvery() time.Duration {
	every := slowestSweep
	for _, timeout := range []time.Duration{s.cfg.IdleTimeout, s.cfg.CloseTimeout} {
		if timeout > 0 {
			every = min(every, timeout/8)
		}
	}
	return max(every, fastestSweep)
}

// over tells whether and why the connection has to be closed now.
func (c *conn) over(now time.Time) (ending, bool) {
	if d := c.deadline.Load(); d != nil && !now.Before(d.at) {
		return ending{reason: d.reason, detail: d.detail}, true
	}
	if !c.streams.Load() {
		return ending{}, false
	}
	if detail := c.leaseOver(now); detail != "" {
		return ending{reason: ReasonKilled, detail: detail}, true
	}
	timeout := orElse(c.admission.IdleTimeout, c.server.cfg.IdleTimeout)
	if c.half.Load() {
		timeout = orElse(c.admission.CloseTimeout, c.server.cfg.CloseTimeout)
	}
	if timeout > 0 && c.idle() >= timeout {
		return ending{reason: ReasonIdle}, true
	}
	return ending{}, false
}

func orElse(own, general time.Duration) time.Duration {
	if own != 0 {
		return own
	}
	return general
}

// leaseOver says why the backend's connections have to end now, empty when they may go on.
func (c *conn) leaseOver(now time.Time) string {
	c.mu.Lock()
	lease := c.lease
	routed := c.start.Add(c.routed)
	c.mu.Unlock()
	if lease == nil {
		return ""
	}
	if by := lease.closeBy.Load(); by != 0 && now.UnixNano() >= by {
		return "the backend was removed"
	}
	if routed.UnixNano() < lease.cutOff.Load() {
		return "the backend is down"
	}
	return ""
}
