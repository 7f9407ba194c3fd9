package live

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	quietCheck = 2 * time.Second
	quietAfter = 2 // checks in a row without a new connection
	// worthwhile is how many connections must have come since the last time: a collection is not free.
	worthwhile = 100
)

// HandBack returns memory to the system when new connections have stopped coming, until ctx ends. What a
// handshake leaves behind is as large as what the connection holds, and nothing else would collect it
// soon: idle connections allocate nothing. While they come, garbage is collected less often as long as there is little of it.
func (l *Live) HandBack(ctx context.Context) error {
	pace := newGCPace()
	defer pace.restore()
	var seen, collected int64
	quiet := 0
	return Every(ctx, quietCheck, func() {
		pace.adjust()
		accepted := l.balancer.Stats().Accepted
		if accepted != seen {
			seen = accepted
			quiet = 0
			return
		}
		if quiet++; quiet == quietAfter && accepted-collected >= worthwhile {
			collected = accepted
			debug.FreeOSMemory()
		}
	})
}

// A handshake leaves some 80 kB behind, and the heap of a balancer with few connections is small: at Go's 100 % it would be
// collected after every two hundred, which took a twentieth of a handshake's time.
const (
	usualPercent = 100
	mostPercent  = 400
	headroom     = 64 << 20 // bytes of garbage that may gather whatever the percentage; a heap larger than that goes by Go's own
)

// gcPace adapts the percentage of garbage (GOGC) to the size of the heap.
type gcPace struct {
	ours    bool // nobody has chosen another one
	percent int
	live    []metrics.Sample
}

func newGCPace() *gcPace {
	p := &gcPace{percent: debug.SetGCPercent(usualPercent), live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	p.ours = p.percent == usualPercent
	if !p.ours {
		debug.SetGCPercent(p.percent)
	}
	return p
}

func (p *gcPace) adjust() {
	if !p.ours {
		return
	}
	metrics.Read(p.live)
	if want := percentFor(p.live[0].Value.Uint64()); want != p.percent {
		p.percent = want
		debug.SetGCPercent(want)
	}
}

func (p *gcPace) restore() {
	if p.ours {
		debug.SetGCPercent(usualPercent)
	}
}

// percentFor is good for a heap with so many live bytes.
func percentFor(live uint64) int {
	percent := headroom * 100 / max(live, 1)
	return int(min(max(percent/usualPercent*usualPercent, usualPercent), mostPercent))
}
