package live

import (
	"sync"
	"time"

	"github.com/xdire/xlb/lb"
)

const (
	recentStep  = 10 * time.Second
	recentMarks = 31 // 5 minutes
	recentTurn  = 150 * time.Second
)

// recent is what a route did in the last 5 minutes. The zero value is empty.
type recent struct {
	connects quick // of this turn

	mu     sync.Mutex
	before quickCounts // of the turn before
	turned time.Time
	marks  []routeMark // the newest last
}

// routeMark is what a route had counted at a moment.
type routeMark struct {
	at                   time.Time
	total, failed, bytes int64
}

func markOf(now time.Time, b *lb.BackendStats) routeMark {
	return routeMark{now, b.Total, b.Failed, b.BytesIn + b.BytesOut}
}

// mark notes what routes have counted.
func (m *meter) mark(now time.Time, backends []lb.BackendStats) {
	for i := range backends {
		if b := &backends[i]; b.Total > 0 || b.Failed > 0 {
			m.route(b.Addr).recent.mark(markOf(now, b))
		}
	}
}

func (r *recent) mark(m routeMark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.at.Sub(r.turned) >= recentTurn {
		r.connects.read(&r.before) // one that is counted in between is lost: nothing is paid by these
		r.connects.clear()
		r.turned = m.at
	}
	if n := len(r.marks); n == 0 {
		r.marks = append(r.marks, routeMark{at: m.at.Add(-recentStep)}) // it began when it was first used
	} else if m.at.Sub(r.marks[n-1].at) < recentStep {
		return
	}
	if len(r.marks) == recentMarks {
		copy(r.marks, r.marks[1:])
		r.marks = r.marks[:recentMarks-1]
	}
	r.marks = append(r.marks, m)
}

// RouteTraffic is what a route did in the last minutes.
type RouteTraffic struct {
	New    float64       // connections each second, of the last 10 to 20 s
	Bytes  float64       // both ways, each second, of the same time
	Failed int64         // connects, in 5 minutes
	Median time.Duration // half of the connects of 2.5 to 5 minutes took at most this; zero without any
}

// traffic is what a route did, by what it has counted until now.
func (m *meter) traffic(now time.Time, b *lb.BackendStats) RouteTraffic {
	route := m.has(b.Addr)
	if route == nil {
		return RouteTraffic{}
	}
	r := &route.recent
	r.mu.Lock()
	defer r.mu.Unlock()
	var counts quickCounts
	r.connects.read(&counts)
	counts.add(&r.before)
	var t RouteTraffic
	if median := counts.quantile(0.5); median == median {
		t.Median = time.Duration(median * float64(time.Second))
	}
	n := len(r.marks)
	if n == 0 {
		return t
	}
	until := markOf(now, b)
	t.Failed = until.failed - r.marks[0].failed
	from := r.marks[max(0, n-2)]
	if seconds := until.at.Sub(from.at).Seconds(); seconds > 0 {
		t.New = float64(until.total-from.total) / seconds
		t.Bytes = float64(until.bytes-from.bytes) / seconds
	}
	return t
}
