package lb

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limit bounds connections at once, new connections in a second and bytes in a second, both directions
// together. One Limit may be shared by many pools and admissions, and changed at any time. The zero
// value and nil have no bound. It is safe for concurrent use.
type Limit struct {
	max, inUse atomic.Int64
	rate       bucket // connections
	bandwidth  bucket // bytes
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

// SetBandwidth bounds bytes per second; a second's worth may come at once. 0 and negative are no bound.
// Streams that are too fast are slowed down, open ones too.
func (l *Limit) SetBandwidth(perSecond int64) { l.bandwidth.set(perSecond) }

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

// pauseFor counts n bytes that have moved and returns how long to wait before the next ones.
func pauseFor(limits []*Limit, n int) time.Duration {
	var longest time.Duration
	for _, l := range limits {
		if l != nil && l.bandwidth.perSecond.Load() > 0 {
			longest = max(longest, l.bandwidth.owe(int64(n), time.Now()))
		}
	}
	return longest
}

// bucket is a token bucket that holds a second's worth. Without a rate it is not asked for the time.
type bucket struct {
	perSecond atomic.Int64 // 0 and negative are no bound

	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was right; zero: never, the bucket is full
}

func (b *bucket) set(perSecond int64) { b.perSecond.Store(perSecond) }

// refill brings tokens up to date. The caller holds the lock.
func (b *bucket) refill(rate float64, now time.Time) {
	if b.at.IsZero() {
		b.tokens = rate
	} else if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.tokens = min(rate, b.tokens+passed*rate)
	}
	b.at = now
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

// owe takes n tokens, there or not, and returns how long it takes until none is owed.
func (b *bucket) owe(n int64, now time.Time) time.Duration {
	rate := float64(b.perSecond.Load())
	if rate <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(rate, now)
	b.tokens -= float64(n)
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / rate * float64(time.Second))
}
