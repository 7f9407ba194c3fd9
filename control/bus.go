package control

import "sync"

// bus tells listeners that something of a client has changed. A mark carries nothing and never blocks:
// whoever wakes reads the state again.
type bus struct {
	mu        sync.Mutex
	listeners map[string]map[chan struct{}]struct{} // by client
}

func newBus() *bus { return &bus{listeners: map[string]map[chan struct{}]struct{}{}} }

func (b *bus) mark(clientID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ch := range b.listeners[clientID] {
		select {
		case ch <- struct{}{}:
		default: // a mark is waiting already
		}
	}
}

// subscribe returns a channel of marks and a func that ends it.
func (b *bus) subscribe(clientID string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners[clientID] == nil {
		b.listeners[clientID] = map[chan struct{}]struct{}{}
	}
	b.listeners[clientID][ch] = struct{}{}
	return ch, func() { b.end(clientID, ch) }
}

func (b *bus) end(clientID string, ch chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners[clientID], ch)
	if len(b.listeners[clientID]) == 0 {
		delete(b.listeners, clientID)
	}
}
