package live

import (
	"hash/maphash"
	"sync"
)

// bus tells listeners that something of a client has changed. A mark carries nothing and never blocks:
// whoever wakes reads the state again. Every connection marks a few times, so clients do not share a lock.
type bus struct {
	seed   maphash.Seed
	shards [64]busShard
}

type busShard struct {
	mu        sync.RWMutex
	listeners map[string]map[chan struct{}]struct{} // by client
}

func newBus() *bus { return &bus{seed: maphash.MakeSeed()} }

func (b *bus) shardOf(clientID string) *busShard {
	return &b.shards[maphash.String(b.seed, clientID)%uint64(len(b.shards))]
}

func (b *bus) mark(clientID string) {
	s := b.shardOf(clientID)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for ch := range s.listeners[clientID] {
		select {
		case ch <- struct{}{}:
		default: // a mark is waiting already
		}
	}
}

// subscribe returns a channel of the marks of some clients, or of what else can be marked, and a func that ends it.
func (b *bus) subscribe(of ...string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	for _, one := range of {
		b.shardOf(one).begin(one, ch)
	}
	return ch, func() {
		for _, one := range of {
			b.shardOf(one).end(one, ch)
		}
	}
}

func (s *busShard) begin(of string, ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners == nil {
		s.listeners = map[string]map[chan struct{}]struct{}{}
	}
	if s.listeners[of] == nil {
		s.listeners[of] = map[chan struct{}]struct{}{}
	}
	s.listeners[of][ch] = struct{}{}
}

func (s *busShard) end(clientID string, ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners[clientID], ch)
	if len(s.listeners[clientID]) == 0 {
		delete(s.listeners, clientID)
	}
}
