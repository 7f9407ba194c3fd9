package loop

import (
	"sync"
	"time"
)

// Set is the loops of a server. Make one with [NewSet].
type Set struct {
	loops   []*Loop
	running sync.WaitGroup
	closing sync.Once
}

// NewSet starts n loops, which run until Close.
func NewSet(n int) (*Set, error) {
	s := &Set{}
	for range n {
		l, err := newLoop()
		if err != nil {
			s.Close()
			return nil, err
		}
		s.loops = append(s.loops, l)
		s.running.Go(l.run)
	}
	return s, nil
}

// Add gives a connection to the loop that has least to do. The ways are set up by it but for From and To, and are the loop's
// from now on.
func (s *Set) Add(m Mover, up, down *Way, has bool) error {
	return s.idlest().add(m, up, down, has)
}

func (s *Set) idlest() *Loop {
	best := s.loops[0]
	for _, l := range s.loops[1:] {
		if l.held.Load() < best.held.Load() {
			best = l
		}
	}
	return best
}

// Close ends the loops, which have no connections by then, and waits for them.
func (s *Set) Close() { s.closing.Do(s.close) }

func (s *Set) close() {
	for _, l := range s.loops {
		l.mu.Lock()
		l.closing = true
		l.mu.Unlock()
		l.ring()
	}
	s.running.Wait()
	for _, l := range s.loops {
		l.close()
	}
}

// Stats is what a loop is doing.
type Stats struct {
	Connections int
	Busy        time.Duration // of work, since the start
	Longest     time.Duration // turn since the start
}
