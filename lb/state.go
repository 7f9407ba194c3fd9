package lb

import "time"

// State is what the operator wants of a backend.
type State int

// The states of a backend.
const (
	Ready       State = iota // it gets connections
	Drain                    // it gets no new ones; those it has are closed after PoolConfig.DrainTimeout
	Maintenance              // it gets no new ones and those it has are closed
)

// HealthState is how a backend was seen to be.
type HealthState int

// The states of health. Backends that are Unknown or Up are healthy.
const (
	Unknown HealthState = iota // nobody has looked
	Up
	Down    // found unable to serve, by a check
	Ejected // taken out for some time, because connections to it failed
)

// Health is what is known about how a backend is: by checks, SetHealth, or the connects of clients.
type Health struct {
	State  HealthState
	Reason Reason    // why it is Down or Ejected
	Detail string    // the same for people
	Since  time.Time // when it came into the state
}

func (h Health) healthy() bool { return h.State != Down && h.State != Ejected }

// arrange works out who the candidates are, after any change but the one of a number of connections, and
// serves those in the queue who can be served now. The caller holds the lock.
func (p *Pool) arrange() {
	for _, b := range p.backends {
		b.at = -1
	}
	p.candidates, p.spares, p.panics = usable(p.backends, p.cfg.PanicPercent)
	p.free = 0
	for i, b := range p.candidates {
		b.at = i
		if !b.full() {
			p.free++
		}
	}
	p.weigh(time.Now())
	p.serveQueue()
}

// usable returns the backends among which to pick: the healthy primaries, or all of them in a panic, or
// the backups. The spares are the healthy backups behind healthy primaries.
func usable(all []*backend, panicPercent int) (candidates, spares []*backend, panics bool) {
	var primaries, backups group
	for _, b := range all {
		switch {
		case b.state != Ready:
		case b.backup:
			backups.add(b)
		default:
			primaries.add(b)
		}
	}
	switch {
	case len(backups.healthy) > 0 || len(primaries.all) > 0 && !primaries.panics(panicPercent):
		if len(primaries.healthy) > 0 {
			return primaries.healthy, backups.healthy, false
		}
		return backups.healthy, nil, false
	case panicPercent < 0:
		return nil, nil, false
	case len(primaries.all) > 0:
		return primaries.all, nil, true
	}
	return backups.all, nil, len(backups.all) > 0
}

// group is backends that are ready.
type group struct{ all, healthy []*backend }

func (g *group) add(b *backend) {
	g.all = append(g.all, b)
	if b.health.healthy() {
		g.healthy = append(g.healthy, b)
	}
}

func (g *group) panics(percent int) bool { return len(g.healthy)*100 < percent*len(g.all) }

const (
	coldest   = 0.1 // of its weight is what a backend starts slowly with
	warmSteps = 100 // in which the weight grows, as not every pick can weigh all backends
)

// weigh works out what the weights are now. The caller holds the lock.
func (p *Pool) weigh(now time.Time) {
	p.warming = false
	for _, b := range p.backends {
		b.warmth = 1
		if age := now.Sub(b.warmFrom); !b.warmFrom.IsZero() && age < p.cfg.SlowStart {
			b.warmth = coldest + (1-coldest)*float64(age)/float64(p.cfg.SlowStart)
			p.warming = true
		}
		b.share = float64(b.weight) * b.warmth
	}
	p.nextWeigh = now.Add(p.cfg.SlowStart / warmSteps)
	p.policy.reset(p.backends, p.candidates)
}

// warm lets the weights grow of those that start slowly. The caller holds the lock.
func (p *Pool) warm() {
	if !p.warming {
		return
	}
	if now := time.Now(); !now.Before(p.nextWeigh) {
		p.weigh(now)
	}
}
