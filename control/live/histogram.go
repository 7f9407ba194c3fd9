package live

import (
	"sync/atomic"
	"time"
)

// Upper bounds of the buckets, for what is measured. A scrape carries every bucket of every frontend and
// route, so there are as few as still tell a local network from a far one and a fault from both.
var (
	connectBounds   = newBounds(500*time.Microsecond, time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond, time.Second, 5*time.Second)
	waitBounds      = newBounds(time.Millisecond, 10*time.Millisecond, 100*time.Millisecond, time.Second, 5*time.Second, 30*time.Second)
	durationBounds  = newBounds(10*time.Millisecond, 100*time.Millisecond, time.Second, 10*time.Second, time.Minute, 10*time.Minute, time.Hour, 24*time.Hour)
	handshakeBounds = newBounds(time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 250*time.Millisecond, time.Second, 5*time.Second)
)

// maxBounds is how many bounds a histogram has room for.
const maxBounds = 10

// bounds are the upper bounds of a histogram's buckets, each inclusive, smallest first.
type bounds struct {
	durations []time.Duration
	seconds   []float64
}

func newBounds(durations ...time.Duration) bounds {
	b := bounds{durations: durations}
	for _, d := range durations {
		b.seconds = append(b.seconds, d.Seconds())
	}
	return b
}

// histogram counts durations in buckets. It takes no lock. The zero value is empty; all calls of one
// histogram are made with the same bounds.
type histogram struct {
	buckets [maxBounds + 1]atomic.Uint64 // the one after the last bound takes the rest
	sum     atomic.Int64                 // nanoseconds
}

func (h *histogram) observe(b bounds, d time.Duration) {
	i := 0
	for i < len(b.durations) && d > b.durations[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Histogram is how often a duration was at most each bound.
type Histogram struct {
	Bounds []float64 // seconds, shared by all histograms of a kind: not to be changed
	Counts []uint64  // for each bound, those of the bounds before it included; empty when Count is 0
	Count  uint64    // all, also above the last bound
	Sum    float64   // seconds
}

func (h *histogram) isEmpty() bool {
	for i := range h.buckets {
		if h.buckets[i].Load() > 0 {
			return false
		}
	}
	return true
}

// read reads the histogram into memory that the caller has. The sum may be an observation ahead of the counts or behind
// them; the counts always agree among themselves.
func (h *histogram) read(b bounds, into *Histogram) {
	*into = Histogram{Bounds: b.seconds, Counts: into.Counts[:0]}
	if h.isEmpty() {
		return // most of thousands are, and their counts would be most of a scrape's memory
	}
	for i := range b.durations {
		into.Count += h.buckets[i].Load()
		into.Counts = append(into.Counts, into.Count)
	}
	into.Count += h.buckets[len(b.durations)].Load()
	into.Sum = time.Duration(h.sum.Load()).Seconds()
}
