package live

import (
	"context"
	"runtime/debug"
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
// soon: idle connections allocate nothing.
func (l *Live) HandBack(ctx context.Context) error {
	var seen, collected int64
	quiet := 0
	return Every(ctx, quietCheck, func() {
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
