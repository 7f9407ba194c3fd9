package lb

import "sync/atomic"

// Limit bounds how many connections there are at once. One Limit may be shared by many pools and
// admissions. The zero value and nil have no bound. It is safe for concurrent use.
type Limit struct{ max, inUse atomic.Int64 }

// NewLimit returns a limit of most connections; 0 and negative are no bound.
func NewLimit(most int) *Limit {
	l := &Limit{}
	l.SetMax(most)
	return l
}

// SetMax changes the bound for connections to come; those that exist stay. 0 and negative are no bound.
func (l *Limit) SetMax(most int) { l.max.Store(int64(most)) }

// Max is the bound, 0 or less for none.
func (l *Limit) Max() int { return int(l.max.Load()) }

// InUse is how many connections there are.
func (l *Limit) InUse() int { return int(l.inUse.Load()) }

func (l *Limit) acquire() bool {
	if n, most := l.inUse.Add(1), l.max.Load(); most > 0 && n > most {
		l.inUse.Add(-1)
		return false
	}
	return true
}

func (l *Limit) release() { l.inUse.Add(-1) }

// acquireAll takes one of each limit or none of them.
func acquireAll(limits []*Limit) bool {
	for i, l := range limits {
		if l != nil && !l.acquire() {
			releaseAll(limits[:i])
			return false
		}
	}
	return true
}

func releaseAll(limits []*Limit) {
	for _, l := range limits {
		if l != nil {
			l.release()
		}
	}
}
