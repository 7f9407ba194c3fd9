package live

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Progress is how far connections of a frontend have come since a moment.
type Progress struct {
	Accepted, Routed, FirstByte time.Time // zero: not yet
	Took                        time.Duration
	Route                       string
	Attempts                    []Attempt // newest first
}

// Progress tells how far connections of a frontend have come since a moment, with at most so many attempts that
// failed: its own, and those of nobody from an address.
func (l *Live) Progress(id string, from netip.Addr, since time.Time, most int) (Progress, bool) {
	f, known := l.frontends.get(id)
	if !known {
		return Progress{}, false
	}
	seen := f.seen
	p := Progress{
		Accepted: after(&seen.accepted, since), Routed: after(&seen.routed, since), FirstByte: after(&seen.firstByte, since),
		Took:     time.Duration(seen.took.Load()),
		Attempts: l.journal.recent(f.record.ClientID, id, from, since, most),
	}
	if route := seen.route.Load(); route != nil {
		p.Route = *route
	}
	return p, true
}

func after(at *atomic.Int64, since time.Time) time.Time {
	if n := at.Load(); n != 0 && n >= since.UnixNano() {
		return time.Unix(0, n)
	}
	return time.Time{}
}

func sortNewest(all []Attempt) {
	slices.SortStableFunc(all, func(a, b Attempt) int { return b.At.Compare(a.At) })
}
