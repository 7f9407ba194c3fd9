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
	Newest                      Served    // the connection that FirstByte is of
	Attempts                    []Attempt // newest first
}

// Served is a connection as it was when the first byte of its route reached the client.
type Served struct {
	id      uint64 // of the connection
	From    netip.AddrPort
	Serial  string
	Resumed bool // its TLS session
	Route   string

	Handshake time.Duration // from accept
	Wait      time.Duration // for a free route
	Connect   time.Duration // to the route
	Took      time.Duration // from accept to the first byte, all of it

	// BytesIn are from the client, BytesOut to it: until then, and in all once it has ended. What the route has answered
	// already may not be counted yet.
	BytesIn, BytesOut int64
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
		Attempts: l.journal.recent(f.record.ClientID, id, from, since, most),
	}
	if newest := seen.newest.Load(); newest != nil && !p.FirstByte.IsZero() {
		p.Newest = *newest
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
