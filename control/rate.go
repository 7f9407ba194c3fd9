package control

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates bounds how often each key may do something. It holds at most maxRateKeys keys; when it is full
// the ones that have recovered are forgotten, and while none has, unknown keys share one bucket, so
// that an attacker with many addresses neither fills the memory nor locks out the known ones.
// The zero value allows everything.
type rates struct {
	perMinute int
	burst     int // how many at once; a key that has been quiet has all of them

	mu     sync.Mutex
	keys   map[string]*rate.Limiter
	shared *rate.Limiter
	swept  time.Time // when the recovered ones were last forgotten
}

const maxRateKeys = 16384

func newRates(perMinute, burst int) *rates {
	return &rates{perMinute: perMinute, burst: burst, keys: map[string]*rate.Limiter{}}
}

// newPerMinute allows a minute's worth at once.
func newPerMinute(n int) *rates { return newRates(n, n) }

// take uses one of key's events and returns zero, or returns how long to wait for one.
func (r *rates) take(key string, now time.Time) time.Duration {
	if r == nil || r.perMinute <= 0 {
		return 0
	}
	l := r.limiter(key, now)
	if l.AllowN(now, 1) {
		return 0
	}
	return r.wait(l, now)
}

// peek returns how long key has to wait, zero when it need not. It uses nothing up.
func (r *rates) peek(key string, now time.Time) time.Duration {
	if r == nil || r.perMinute <= 0 {
		return 0
	}
	l := r.limiter(key, now)
	if l.TokensAt(now) >= 1 {
		return 0
	}
	return r.wait(l, now)
}

func (r *rates) wait(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	return time.Duration(math.Ceil(missing/float64(l.Limit()))) * time.Second
}

func (r *rates) limiter(key string, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.keys[key]; l != nil {
		return l
	}
	if len(r.keys) >= maxRateKeys {
		r.forgetRecovered(now)
	}
	if len(r.keys) >= maxRateKeys {
		if r.shared == nil {
			r.shared = r.fresh()
		}
		return r.shared
	}
	l := r.fresh()
	r.keys[key] = l
	return l
}

func (r *rates) fresh() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(r.perMinute)/60), r.burst)
}

// recovery is how long a bucket takes to fill up. To look more often would find little, and would let
// an attacker make every request cost a walk over all keys.
const recovery = time.Minute

func (r *rates) forgetRecovered(now time.Time) {
	if now.Sub(r.swept) < recovery {
		return
	}
	r.swept = now
	for key, l := range r.keys {
		if l.TokensAt(now) >= float64(r.burst) {
			delete(r.keys, key)
		}
	}
}
