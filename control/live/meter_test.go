package live

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xdire/xlb/lb"
)

func TestHistogramPutsDurationsUnderTheirBounds(t *testing.T) {
	var h histogram
	b := newBounds(time.Millisecond, time.Second)
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Second, time.Minute} {
		h.observe(b, d)
	}
	got := h.snapshot(b)
	if !slices.Equal(got.Counts, []uint64{2, 4}) || got.Count != 5 {
		t.Errorf("counts are %v of %d", got.Counts, got.Count)
	}
	if want := 61.002; got.Sum < want || got.Sum > want+0.001 {
		t.Errorf("the sum is %v s, want %v", got.Sum, want)
	}
}

func TestHistogramIsExactUnderConcurrency(t *testing.T) {
	var h histogram
	var observers sync.WaitGroup
	for range 8 {
		observers.Go(func() {
			for range 1000 {
				h.observe(connectBounds, time.Millisecond)
			}
		})
	}
	for range 100 {
		if s := h.snapshot(connectBounds); len(s.Counts) > 0 && s.Counts[len(s.Counts)-1] > s.Count {
			t.Fatal("more under the last bound than there are")
		}
	}
	observers.Wait()
	if s := h.snapshot(connectBounds); s.Count != 8000 || s.Sum < 7.999 || s.Sum > 8.001 {
		t.Errorf("%d with %v s, want 8000 with 8 s", s.Count, s.Sum)
	}
}

func TestBoundsRiseAndFit(t *testing.T) {
	for _, b := range []bounds{connectBounds, waitBounds, durationBounds, handshakeBounds} {
		if len(b.durations) > maxBounds || !slices.IsSorted(b.durations) {
			t.Errorf("got %v, want a bounded list in order", b.durations)
		}
	}
}

func TestEveryReasonOfTheBalancerIsCounted(t *testing.T) {
	var c reasonCounts
	for i, r := range Reasons() {
		for range i + 1 {
			c.add(r)
		}
	}
	counted := map[string]uint64{}
	for _, one := range c.snapshot() {
		counted[one.Reason] = one.Count
	}
	for i, r := range Reasons() {
		if counted[string(r)] != uint64(i+1) {
			t.Errorf("%s has counted %d, want %d", r, counted[string(r)], i+1)
		}
	}
	if len(reasons) >= reasonSlots {
		t.Errorf("%d reasons, room for %d", len(reasons), reasonSlots-1)
	}
}

func TestUnknownReasonsShareACounter(t *testing.T) {
	var c reasonCounts
	c.add(lb.ReasonDone)
	c.add("news")
	c.add("more-news")
	want := []ReasonCount{{"done", 1}, {"other", 2}}
	if got := c.snapshot(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMeterCountsConnections(t *testing.T) {
	var m meter
	m.note(&lb.Event{Kind: lb.Accepted})
	m.note(&lb.Event{Kind: lb.Routed, Backend: "a:1", Connect: 2 * time.Millisecond})
	m.note(&lb.Event{Kind: lb.Closed, Backend: "a:1", Reason: lb.ReasonDone, Duration: time.Second})
	m.note(&lb.Event{Kind: lb.Accepted})
	m.note(&lb.Event{Kind: lb.Closed, Reason: lb.ReasonAllFull, Wait: time.Second})
	if n := m.accepted.Load(); n != 2 {
		t.Errorf("%d accepted, want 2", n)
	}
	if n := m.wait.snapshot(waitBounds).Count; n != 2 {
		t.Errorf("%d waits, want one for each connection", n)
	}
	if n := m.duration.snapshot(durationBounds).Count; n != 1 {
		t.Errorf("%d durations, want that of the served connection alone", n)
	}
	if h := m.connectTimes("a:1"); h.Count != 1 || h.Sum != 0.002 {
		t.Errorf("time to connect: %+v", h)
	}
	if h := m.connectTimes("b:1"); h.Count != 0 || len(h.Counts) != 0 {
		t.Errorf("a route without connections: %+v", h)
	}
}

func TestMeterForgetsRoutesThatThePoolForgot(t *testing.T) {
	var m meter
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		m.note(&lb.Event{Kind: lb.Routed, Backend: addr})
	}
	m.keep([]lb.BackendStats{{Addr: "b:1"}, {Addr: "new:1"}})
	if len(m.routes) != 1 || m.connectTimes("b:1").Count != 1 {
		t.Errorf("left are %v", m.routes)
	}
}

func TestServerMeterTellsWhoseARefusalIs(t *testing.T) {
	var s serverMeter
	var frontend meter
	s.note(&lb.Event{Kind: lb.Refused, Reason: ReasonRevoked}, &frontend)
	s.note(&lb.Event{Kind: lb.Refused, Reason: lb.ReasonNotTLS}, nil)
	s.note(&lb.Event{Kind: lb.Accepted, Handshake: time.Millisecond}, nil)
	s.note(&lb.Event{Kind: lb.Accepted, Handshake: time.Millisecond, Resumed: true}, nil)
	revoked, notTLS := []ReasonCount{{"revoked", 1}}, []ReasonCount{{"not-tls", 1}}
	if !slices.Equal(s.refused.snapshot(), revoked) || !slices.Equal(frontend.refused.snapshot(), revoked) || !slices.Equal(s.refusedNobody.snapshot(), notTLS) {
		t.Errorf("known %v, of the frontend %v, nobody's %v", s.refused.snapshot(), frontend.refused.snapshot(), s.refusedNobody.snapshot())
	}
	if s.handshake.snapshot(handshakeBounds).Count != 1 || s.resumed.snapshot(handshakeBounds).Count != 1 {
		t.Error("full and resumed handshakes are not told apart")
	}
}

func BenchmarkTrace(b *testing.B) {
	var s serverMeter
	var m meter
	b.ReportAllocs()
	for b.Loop() { // all events of one connection
		for _, kind := range []lb.EventKind{lb.Accepted, lb.Routed, lb.FirstByte, lb.Closed} {
			e := lb.Event{Kind: kind, Backend: "10.0.0.1:80", Reason: lb.ReasonDone, Connect: time.Millisecond, Duration: time.Second}
			s.note(&e, nil)
			m.note(&e)
		}
	}
}

func (h *histogram) snapshot(b bounds) (s Histogram)     { h.read(b, &s); return s }
func (m *meter) connectTimes(route string) (s Histogram) { m.readConnect(route, &s); return s }
func (c *reasonCounts) snapshot() []ReasonCount          { return c.appendTo(nil) }
