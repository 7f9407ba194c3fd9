package live

import (
	"context"
	"sync"
	"time"
)

const (
	sampleEvery = 2 * time.Second
	samplesKept = 150 // 5 minutes
)

// history is a frontend's recent traffic. The zero value is empty.
type history struct {
	mu             sync.Mutex
	samples        []Sample
	total, in, out int64 // at the last sample
	started        bool
}

// SampleTraffic takes one point of every frontend's traffic each interval, until ctx ends.
func (l *Live) SampleTraffic(ctx context.Context) error {
	return Every(ctx, sampleEvery, func() {
		now := l.cfg.Now()
		for _, f := range l.frontends.values(nil) {
			stats := f.pool.Stats()
			f.seen.meter.keep(stats.Backends)
			if f.seen.history.add(now, stats.Active, int64(stats.Total), stats.BytesIn, stats.BytesOut) {
				l.bus.mark(f.record.ClientID)
			}
		}
	})
}

// add takes a point and tells whether anything moved since the one before.
func (h *history) add(now time.Time, active int, total, in, out int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Sample{At: now, Active: active}
	if h.started {
		seconds := sampleEvery.Seconds()
		s.New = float64(total-h.total) / seconds
		s.In = float64(in-h.in) / seconds
		s.Out = float64(out-h.out) / seconds
	}
	moved := h.started && (total != h.total || in != h.in || out != h.out)
	if n := len(h.samples); n > 0 && h.samples[n-1].Active != active {
		moved = true
	}
	h.total = total
	h.in = in
	h.out = out
	h.started = true
	if len(h.samples) >= samplesKept {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:samplesKept-1]
	}
	h.samples = append(h.samples, s)
	return moved
}

func (h *history) points() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Sample(nil), h.samples...)
}
