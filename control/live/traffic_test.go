package live

import (
	"math"
	"testing"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

func TestQuickTellsAMedianToAnEighth(t *testing.T) {
	for d := 20 * time.Microsecond; d < 50*time.Second; d = d * 5 / 4 {
		var q quick
		q.observe(d)
		var counts quickCounts
		q.read(&counts)
		got := counts.quantile(0.5)
		if off := math.Abs(got/d.Seconds() - 1); off > 0.125 {
			t.Errorf("%v is told as %.6f s, %.0f %% off; want at most 12.5", d, got, 100*off)
		}
	}
	var none quickCounts
	if got := none.quantile(0.5); got == got {
		t.Errorf("without any the median is %v, want none", got)
	}
	var q quick
	q.observe(-1)
	q.observe(time.Hour)
	for range 98 {
		q.observe(time.Millisecond)
	}
	var counts quickCounts
	q.read(&counts)
	if low, high := counts.quantile(0.5), counts.quantile(0.99); math.Abs(low-0.001) > 0.0002 || high < 50 {
		t.Errorf("the median of 98 ms, 0 and an hour is %v and the highest %v, want 0.001 and about a minute", low, high)
	}
}

// follow has a frontend's traffic take a reading each second.
func (t *traffic) follow(from time.Time, readings ...reading) time.Time {
	for i := range readings {
		t.add(from, &readings[i])
		from = from.Add(time.Second)
	}
	return from
}

func TestTrafficOfEachSecond(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	var one traffic
	one.follow(start,
		reading{active: 2, fresh: 2, in: 100}, reading{active: 4, fresh: 5, failed: 1, in: 300, wait: 0.5}, reading{active: 4, fresh: 5, failed: 1, in: 300})
	got := one.read(FiveMinutes)
	if got.Step != time.Second || len(got.Points) != 2 || !got.Began.Equal(start) {
		t.Fatalf("%+v, want two points of 1 s from %v on", got, start)
	}
	want := []Point{
		{At: start, Active: 2, New: 5, Failed: 1, In: 300, Wait: 0.5}, // what came before the first reading is in its second
		{At: start.Add(time.Second), Active: 4, Wait: 0.5},
	}
	for i, w := range want {
		p := got.Points[i]
		p.Median, p.High = 0, 0
		if p != w {
			t.Errorf("second %d: %+v, want %+v", i, p, w)
		}
	}
}

func TestTrafficOfLongerSteps(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	var one traffic
	at := start
	for i := range 241 {
		at = one.follow(at, reading{active: 10, fresh: int64(3 * i), out: int64(1000 * i)})
	}
	for span, want := range map[Span]int{FiveMinutes: 240, OneHour: 24, OneDay: 2} {
		got := one.read(span)
		if len(got.Points) != want {
			t.Errorf("%d points of %v, want %d", len(got.Points), got.Step, want)
			continue
		}
		last := got.Points[len(got.Points)-1]
		if steps := got.Step.Seconds(); last.Active != 10 || last.New != 3*steps || last.Out != 1000 {
			t.Errorf("the last of %v: %+v, want 10 connections, %v new and 1000 bytes a second", got.Step, last, 3*steps)
		}
	}
}

func TestGapsStayGaps(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	var one traffic
	at := one.follow(start, reading{active: 1}, reading{active: 1})
	one.follow(at.Add(time.Second), reading{active: 1, fresh: 6}) // a timer that was a moment late
	for _, p := range one.read(FiveMinutes).Points[1:] {
		if p.Active != 1 || p.New != 3 {
			t.Errorf("after a second that was stepped over: %+v, want 1 connection and half of the 6 new ones", p)
		}
	}
	one.follow(at.Add(time.Minute), reading{active: 1, fresh: 6})
	gaps := 0
	for _, p := range one.read(FiveMinutes).Points {
		if math.IsNaN(p.Active) {
			gaps++
		}
	}
	if gaps != 59 {
		t.Errorf("%d seconds without a reading are known as such, want 59", gaps)
	}
	one.follow(at.Add(48*time.Hour), reading{active: 7})
	for span := range spans {
		points := one.read(span).Points
		if n := len(points); n == 0 || !math.IsNaN(points[n-1].Active) {
			t.Errorf("%v: the last of %d points is not a gap after two days", span, n)
		}
	}
}

// frontendOf is a frontend of a client as the sampler sees it.
func frontendOf(clientID string) *frontend {
	f := &frontend{record: store.Frontend{ClientID: clientID}, pool: lb.NewPool(lb.PoolConfig{}), seen: &sightings{}}
	f.seen.meter.used.Store(true)
	return f
}

func TestTrafficIsRememberedWithinItsMemory(t *testing.T) {
	most := trafficMemory / trafficCost
	if most < 1000 {
		t.Fatalf("there is room for %d frontends of %d bytes, want at least 1000", most, trafficCost)
	}
	now := time.Unix(1_800_000_000, 0)
	s := &sampler{live: &Live{bus: newBus()}}
	for i := range most {
		s.frontends = append(s.frontends, frontendOf([]string{"a", "b", "c", "d", "e"}[i%5]))
	}
	again := func(at time.Time) {
		s.count()
		for _, f := range s.frontends {
			s.one(f, at)
		}
	}
	again(now)
	if s.all != most {
		t.Fatalf("%d frontends are remembered, want %d", s.all, most)
	}
	fresh := frontendOf("f")
	s.frontends = append(s.frontends, fresh)
	again(now.Add(time.Minute))
	if fresh.seen.traffic.Load() != nil || s.all != most {
		t.Error("one more took the memory of one that had traffic a minute ago")
	}
	again(now.Add(trafficQuiet + time.Minute))
	if fresh.seen.traffic.Load() == nil || s.all != most {
		t.Errorf("one more has no memory although others were quiet; %d are remembered, want %d", s.all, most)
	}
	forgotten := s.frontends[0]
	for _, f := range s.frontends {
		if f.seen.traffic.Load() == nil {
			forgotten = f
		}
	}
	if forgotten.seen.meter.used.Load() {
		t.Error("the one that made room asks for it again before there is traffic")
	}
}

func TestOneClientDoesNotHaveAllOfTheMemory(t *testing.T) {
	most := trafficMemory / trafficCost
	s := &sampler{live: &Live{bus: newBus()}}
	for range most {
		s.frontends = append(s.frontends, frontendOf("greedy"))
	}
	s.count()
	for _, f := range s.frontends {
		s.one(f, time.Unix(1_800_000_000, 0))
	}
	if s.all != most/trafficShare {
		t.Errorf("one client's frontends have %d of %d places, want %d", s.all, most, most/trafficShare)
	}
}

func TestRecentTrafficOfARoute(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := &meter{}
	b := lb.BackendStats{Addr: "10.0.0.1:80"}
	if got := m.traffic(now, &b); got != (RouteTraffic{}) {
		t.Errorf("before anything: %+v, want nothing", got)
	}
	for i := range int64(400) {
		b.Total = 2 * i
		b.BytesIn = 100 * i
		if i < 60 {
			b.Failed = i
		}
		m.route(b.Addr).recent.connects.observe(2 * time.Millisecond)
		m.mark(now.Add(time.Duration(i)*time.Second), []lb.BackendStats{b})
		if i == 60 {
			if got := m.traffic(now.Add(60*time.Second), &b); got.Failed != 59 {
				t.Errorf("%d failed in the first minute, want 59", got.Failed)
			}
		}
	}
	got := m.traffic(now.Add(399*time.Second), &b)
	if math.Abs(got.New-2) > 0.2 || math.Abs(got.Bytes-100) > 10 || got.Failed != 0 {
		t.Errorf("%+v, want 2 new and 100 bytes a second, and no failure of more than 5 minutes ago", got)
	}
	if got.Median < 1700*time.Microsecond || got.Median > 2300*time.Microsecond {
		t.Errorf("the median is %v, want 2 ms", got.Median)
	}
	m.keep(nil)
	if got := m.traffic(now, &b); got != (RouteTraffic{}) {
		t.Errorf("of a route that is gone: %+v, want nothing", got)
	}
}
