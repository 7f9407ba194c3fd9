package lb

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/lb/internal/record"
)

// Limit bounds connections at once, new connections in a second and bytes in a second, both directions
// together. One Limit may be shared by many pools and admissions, and changed at any time. The zero
// value and nil have no bound. It is safe for concurrent use.
type Limit struct {
	max, inUse atomic.Int64
	rate       bucket // connections
	bandwidth  pacer  // bytes
}

// NewLimit returns a limit of most connections at once; 0 and negative are no bound.
func NewLimit(most int) *Limit {
	l := &Limit{}
	l.SetMax(most)
	return l
}

// SetMax changes the bound for connections to come; those that exist stay. 0 and negative are no bound.
func (l *Limit) SetMax(most int) { l.max.Store(int64(most)) }

// SetRate bounds new connections per second; a second's worth may come at once. 0 and negative are no
// bound. A connection too many is closed with ReasonRateLimit.
func (l *Limit) SetRate(perSecond int) { l.rate.set(int64(perSecond)) }

// SetBandwidth bounds bytes per second; what a twentieth of a second brings may come at once. Streams that share
// it get even shares. 0 and negative are no bound.
// Streams that are too fast are slowed down, open ones too.
func (l *Limit) SetBandwidth(perSecond int64) { l.bandwidth.perSecond.Store(perSecond) }

// Max is the bound on connections at once, 0 or less for none.
func (l *Limit) Max() int { return int(l.max.Load()) }

// InUse is how many connections there are.
func (l *Limit) InUse() int { return int(l.inUse.Load()) }

// acquire takes one connection, or returns why there is none.
func (l *Limit) acquire() Reason {
	if n, most := l.inUse.Add(1), l.max.Load(); most > 0 && n > most {
		l.inUse.Add(-1)
		return ReasonConnLimit
	}
	if !l.rate.take(1, time.Now()) {
		l.inUse.Add(-1)
		return ReasonRateLimit
	}
	return ""
}

func (l *Limit) release() { l.inUse.Add(-1) }

// acquireAll takes one connection of each limit, or none of them and returns why.
func acquireAll(limits []*Limit) Reason {
	for i, l := range limits {
		if l == nil {
			continue
		}
		if reason := l.acquire(); reason != "" {
			releaseAll(limits[:i])
			return reason
		}
	}
	return ""
}

func releaseAll(limits []*Limit) {
	for _, l := range limits {
		if l != nil {
			l.release()
		}
	}
}

// pauseFor counts n bytes that have moved and returns how long to wait before the next ones, and whether
// these have to be few.
func pauseFor(limits []*Limit, n int) (longest time.Duration, small bool) {
	for _, l := range limits {
		if l != nil && l.bandwidth.perSecond.Load() > 0 {
			longest = max(longest, l.bandwidth.owe(n, time.Now()))
			small = small || l.bandwidth.small()
		}
	}
	return longest, small
}

// bucket is a token bucket that holds a second's worth. Without a rate it is not asked for the time.
type bucket struct {
	perSecond atomic.Int64 // 0 and negative are no bound

	mu     sync.Mutex
	tokens float64
	asOf   time.Time // when tokens was right; zero: never, the bucket is full
}

func (b *bucket) set(perSecond int64) { b.perSecond.Store(perSecond) }

// refill brings tokens up to date. The caller holds the lock.
func (b *bucket) refill(rate float64, now time.Time) {
	if b.asOf.IsZero() {
		b.tokens = rate
	} else if passed := now.Sub(b.asOf).Seconds(); passed > 0 {
		b.tokens = min(rate, b.tokens+passed*rate)
	}
	b.asOf = now
}

// take takes n tokens if they are there.
func (b *bucket) take(n float64, now time.Time) bool {
	rate := float64(b.perSecond.Load())
	if rate <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(rate, now)
	if b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// pacer spaces bytes out. Every stream that has moved some waits until they are paid for, in the order in
// which they moved, so that streams with pieces of the same size get the same.
type pacer struct {
	perSecond atomic.Int64 // 0 and negative are no bound

	mu   sync.Mutex
	paid time.Time // until when all that has moved is paid for
}

const (
	burst    = time.Second / 20
	maxPiece = time.Second / 100
)

// owe counts n bytes and returns how long it takes until they are paid for.
func (p *pacer) owe(n int, now time.Time) time.Duration {
	rate := p.perSecond.Load()
	if rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if earliest := now.Add(-burst); p.paid.Before(earliest) {
		p.paid = earliest
	}
	p.paid = p.paid.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return max(0, p.paid.Sub(now))
}

// small tells whether streams have to move small pieces to get even shares.
func (p *pacer) small() bool {
	rate := p.perSecond.Load()
	return rate > 0 && time.Duration(record.LargeBlock)*time.Second/time.Duration(rate) > maxPiece
}
