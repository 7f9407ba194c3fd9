package live

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// quickBuckets is how many durations a quick histogram tells apart: four for each doubling, from 4 µs to a minute.
const quickBuckets = 96

// quick counts durations finely enough to tell a median, to about an eighth of it. It takes no lock. The zero value is
// empty.
type quick [quickBuckets]atomic.Uint32

// quickCounts is a quick histogram as it was at a moment.
type quickCounts [quickBuckets]uint32

func (q *quick) observe(d time.Duration) { q[quickBucket(d)].Add(1) }

func (q *quick) read(into *quickCounts) {
	for i := range q {
		into[i] = q[i].Load()
	}
}

func (q *quick) clear() {
	for i := range q {
		q[i].Store(0)
	}
}

// quickBucket: four buckets of one width, then four of twice that width, and so on.
func quickBucket(d time.Duration) int {
	units := uint64(max(d, 0)) >> 12
	if units < 4 {
		return int(units)
	}
	doubled := bits.Len64(units) - 3
	return min(4*doubled+int(units>>doubled), quickBuckets-1)
}

// middleOf is the middle of a bucket, in seconds.
func middleOf(bucket int) float64 {
	first := uint64(bucket)
	width := uint64(1)
	if bucket >= 4 {
		doubled := bucket/4 - 1
		first = uint64(4+bucket%4) << doubled
		width = 1 << doubled
	}
	return (time.Duration((2*first+width)<<11) * time.Nanosecond).Seconds()
}

// since is what came after an earlier reading. Counts may have run over.
func (c *quickCounts) since(before *quickCounts) quickCounts {
	var fresh quickCounts
	for i := range c {
		fresh[i] = c[i] - before[i]
	}
	return fresh
}

func (c *quickCounts) add(other *quickCounts) {
	for i := range c {
		c[i] += other[i]
	}
}

// quantile is the duration in seconds that a share of all did not exceed; NaN without any.
func (c *quickCounts) quantile(share float64) float64 {
	all := uint64(0)
	for _, n := range c {
		all += uint64(n)
	}
	left := uint64(share * float64(all))
	for i, n := range c {
		if uint64(n) > left {
			return middleOf(i)
		}
		left -= uint64(n)
	}
	return missing
}
