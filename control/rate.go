package control

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/xdire/xlb/internal/source"
)

// rates bounds how often each key may do something. It remembers at most maxRateKeys keys: a new one makes it forget
// the one that has been quiet for the longest time. Strangers never share a bucket, so whoever fills the table only
// makes it forget, which locks nobody out. The zero value allows everything.
type rates struct {
	perMinute int
	burst     int // how many at once; a key that has been quiet has all of them

	mu    sync.Mutex
	keys  map[string]*list.Element // of *bucket
	order list.List                // the quietest first
}

type bucket struct {
	key     string
	limiter *rate.Limiter
}

const maxRateKeys = 16384

func newRates(perMinute, burst int) *rates {
	return &rates{perMinute: perMinute, burst: burst, keys: map[string]*list.Element{}}
}

// newPerMinute allows a minute's worth at once.
func newPerMinute(n int) *rates { return newRates(n, n) }

// take uses one of key's events and returns zero, or returns how long to wait for one.
func (r *rates) take(key string, now time.Time) time.Duration {
	if r == nil || r.perMinute <= 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.limiter(key)
	if l.AllowN(now, 1) {
		return 0
	}
	missing := 1 - l.TokensAt(now)
	return time.Duration(math.Ceil(missing/float64(l.Limit()))) * time.Second
}

// limiter is the key's own. The caller holds the lock.
func (r *rates) limiter(key string) *rate.Limiter {
	if e := r.keys[key]; e != nil {
		r.order.MoveToBack(e)
		return e.Value.(*bucket).limiter
	}
	if len(r.keys) >= maxRateKeys {
		quietest := r.order.Remove(r.order.Front()).(*bucket)
		delete(r.keys, quietest.key)
	}
	b := &bucket{key: key, limiter: rate.NewLimiter(rate.Limit(float64(r.perMinute)/60), r.burst)}
	r.keys[key] = r.order.PushBack(b)
	return b.limiter
}

// sourceKey is the key of a source in rates.
func sourceKey(addr netip.Addr) string { return source.Of(addr).String() }
