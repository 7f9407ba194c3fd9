package live

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/xdire/xlb/lb"
)

// Span is how far back the traffic of a frontend is shown.
type Span int

// The spans, each with steps of its own.
const (
	FiveMinutes Span = iota // steps of 1 s
	OneHour                 // of 10 s
	OneDay                  // of 2 min
	spans
)

var spanSteps = [spans]struct {
	seconds int64
	most    int
}{{1, 300}, {10, 360}, {120, 720}}

// Step is the time between two points.
func (s Span) Step() time.Duration { return time.Duration(spanSteps[s].seconds) * time.Second }

// Length is how far back it reaches.
func (s Span) Length() time.Duration { return s.Step() * time.Duration(spanSteps[s].most) }

const (
	// trafficMemory bounds what all frontends together remember of their traffic, in bytes.
	trafficMemory = 64 << 20
	// trafficShare is the part of it that one client's frontends may have: one in so many.
	trafficShare = 4
	// trafficQuiet is how long a frontend has had no traffic that makes room for another.
	trafficQuiet = 5 * time.Minute
)

var trafficCost = func() int {
	n := int(unsafe.Sizeof(traffic{}))
	for _, s := range spanSteps {
		n += s.most * int(unsafe.Sizeof(cell{}))
	}
	return n
}()

// traffic is what a frontend remembers of its traffic, from its first connection on.
type traffic struct {
	mu    sync.Mutex
	began time.Time
	all   [spans]series
	last  reading
	moved time.Time // when something was last different
}

// Point is a step of a frontend's traffic. What is not known is NaN.
type Point struct {
	At           time.Time // its beginning
	Active       float64   // connections, on average
	New, Failed  float64   // connections that a route took, and connects that failed
	In, Out      float64   // bytes from clients and to them, each second
	Median, High float64   // half of the connects to routes took at most this, and 99 of 100; seconds
	Wait         float64   // the longest for a free route; seconds
}

// Traffic is the recent traffic of a frontend.
type Traffic struct {
	Step   time.Duration
	Began  time.Time // from when on it is known; zero: there was none
	Points []Point   // oldest first
}

// add takes a reading and tells whether anything moved since the one before.
func (t *traffic) add(now time.Time, r *reading) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() {
		t.began = now
		t.moved = now
	}
	for i := range t.all {
		t.all[i].add(now.Unix()/spanSteps[i].seconds, spanSteps[i].most, &t.last, r)
	}
	moved := r.active != t.last.active || r.fresh != t.last.fresh || r.failed != t.last.failed || r.in != t.last.in || r.out != t.last.out
	if moved {
		t.moved = now
	}
	t.last = *r
	return moved
}

func (t *traffic) quietSince() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moved
}

// read returns the points of a span.
func (t *traffic) read(span Span) Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	step := spanSteps[span].seconds
	s := &t.all[span]
	found := Traffic{Step: span.Step(), Began: t.began, Points: make([]Point, 0, s.known)}
	s.each(func(number int64, c *cell) {
		found.Points = append(found.Points, Point{
			At: time.Unix(number*step, 0), Active: float64(c.active), New: float64(c.fresh), Failed: float64(c.failed),
			In: float64(c.in) / float64(step), Out: float64(c.out) / float64(step),
			Median: float64(c.median), High: float64(c.high), Wait: float64(c.wait),
		})
	})
	return found
}

// Traffic is the recent traffic of a frontend through this process.
func (l *Live) Traffic(id string, span Span) (Traffic, bool) {
	f, known := l.frontends.get(id)
	if !known {
		return Traffic{}, false
	}
	t := f.seen.traffic.Load()
	if t == nil {
		return Traffic{Step: span.Step()}, true
	}
	return t.read(span), true
}

// samplePoints is how many points a small picture of the last minutes has.
const samplePoints = 150

// Sample is one point of a frontend's recent traffic; the rates are per second.
type Sample struct {
	At           time.Time
	Active       float64
	New, In, Out float64
}

// samples are the last 5 minutes for a small picture, oldest first, one every two seconds.
func (s *sightings) samples() []Sample {
	t := s.traffic.Load()
	if t == nil {
		return nil
	}
	points := t.read(FiveMinutes).Points
	points = points[len(points)%2:] // the newest second always has its pair
	all := make([]Sample, 0, samplePoints)
	for i := 0; i+1 < len(points); i += 2 {
		a := &points[i]
		b := &points[i+1]
		all = append(all, Sample{
			At: a.At, Active: known(a.Active+b.Active) / 2, New: (a.New + b.New) / 2, In: (a.In + b.In) / 2, Out: (a.Out + b.Out) / 2,
		})
	}
	return all
}

func known(v float64) float64 {
	if v != v {
		return 0
	}
	return v
}

// sampler takes readings of all frontends. Only one goroutine uses it.
type sampler struct {
	live      *Live
	frontends []*frontend
	stats     lb.PoolStats
	kept      map[string]int // frontends that remember their traffic, by client
	all       int
}

// SampleTraffic takes a reading of every frontend each second, until ctx ends.
func (l *Live) SampleTraffic(ctx context.Context) error {
	s := &sampler{live: l}
	return Every(ctx, time.Second, func() { s.sample(l.cfg.Now()) })
}

func (s *sampler) sample(now time.Time) {
	s.frontends = s.live.frontends.values(s.frontends[:0])
	s.count()
	for _, f := range s.frontends {
		s.one(f, now)
	}
	clear(s.frontends) // a frontend that ends must not be held until the next time
}

// count sees who remembers: frontends come and go.
func (s *sampler) count() {
	s.kept = map[string]int{}
	s.all = 0
	for _, f := range s.frontends {
		if f.seen.traffic.Load() != nil {
			s.kept[f.record.ClientID]++
			s.all++
		}
	}
}

func (s *sampler) one(f *frontend, now time.Time) {
	t := f.seen.traffic.Load()
	if t == nil && !f.seen.meter.used.Load() {
		return // most of thousands have no traffic
	}
	f.pool.ReadStats(&s.stats)
	meter := &f.seen.meter
	meter.keep(s.stats.Backends)
	meter.mark(now, s.stats.Backends)
	if t == nil {
		if !s.room(f.record.ClientID, now) {
			return
		}
		t = &traffic{}
		if meter.forgot.Swap(false) {
			t.last = s.reading(meter)
		}
		f.seen.traffic.Store(t)
		s.kept[f.record.ClientID]++
		s.all++
	}
	r := s.reading(meter)
	if t.add(now, &r) {
		s.live.bus.mark(f.record.ClientID)
	}
}

// reading is what a frontend has counted until now.
func (s *sampler) reading(m *meter) reading {
	r := reading{active: s.stats.Active, fresh: s.stats.Total, failed: m.failed.Load(), in: s.stats.BytesIn, out: s.stats.BytesOut}
	m.connects.read(&r.connects)
	r.wait = max(time.Duration(m.longestWait.Swap(0)), s.stats.OldestWait).Seconds()
	return r
}

// room tells whether one more frontend of a client may remember its traffic, and has the one forget it that has had
// none for the longest time.
func (s *sampler) room(clientID string, now time.Time) bool {
	most := trafficMemory / trafficCost
	if s.kept[clientID] >= most/trafficShare {
		return false
	}
	if s.all < most {
		return true
	}
	var quiet *frontend
	since := now.Add(-trafficQuiet)
	for _, f := range s.frontends {
		if t := f.seen.traffic.Load(); t != nil && t.quietSince().Before(since) {
			quiet = f
			since = t.quietSince()
		}
	}
	if quiet == nil {
		return false
	}
	quiet.seen.traffic.Store(nil)
	quiet.seen.meter.used.Store(false)
	quiet.seen.meter.forgot.Store(true)
	s.kept[quiet.record.ClientID]--
	s.all--
	return true
}

// maxDuration keeps the longest of what it is given.
type maxDuration struct{ atomic.Int64 }

func (m *maxDuration) observe(d time.Duration) {
	for {
		longest := m.Load()
		if int64(d) <= longest || m.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}
