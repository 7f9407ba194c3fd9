package loop

import (
	"math"
	"runtime"
	"sync"
	"time"
)

// Set is the loops of a server. Make one with [NewSet].
type Set struct {
	loops   []*Loop
	running sync.WaitGroup
	closing sync.Once

	mu sync.Mutex // of the loops' shares
	at time.Time  // when they were measured
}

// NewSet starts n loops, which run until Close; 0 is one for each processor.
func NewSet(n int) (*Set, error) {
	processors := runtime.GOMAXPROCS(0)
	if n == 0 {
		n = processors
	}
	s := &Set{}
	for range n {
		l, err := newLoop(n >= processors)
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

// idlest is the loop with the fewest connections, where those of one that is full of work count eleven times.
func (s *Set) idlest() *Loop {
	if len(s.loops) == 1 {
		return s.loops[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measure(time.Now())
	best, least := s.loops[0], int64(math.MaxInt64)
	for _, l := range s.loops {
		if load := (l.held.Load() + 1) * (100 + l.share); load < least {
			best = l
			least = load
		}
	}
	return best
}

// measured is for how long the share of time that a loop is busy counts.
const measured = 100 * time.Millisecond

// measure brings the loops' shares up to date. The caller holds the lock.
func (s *Set) measure(now time.Time) {
	passed := now.Sub(s.at)
	if passed < measured {
		return
	}
	s.at = now
	for _, l := range s.loops {
		busy := l.busy.Load()
		l.share = min(1000*(busy-l.before)/int64(passed), 1000)
		l.before = busy
	}
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
	Longest     time.Duration // turn of the last ten seconds, or of the ten before
}

// Stats returns the numbers of this moment, loop by loop.
func (s *Set) Stats() []Stats {
	all := make([]Stats, len(s.loops))
	for i, l := range s.loops {
		all[i] = Stats{Connections: int(l.held.Load()), Busy: time.Duration(l.busy.Load()), Longest: l.turns.longest(time.Now())}
	}
	return all
}
