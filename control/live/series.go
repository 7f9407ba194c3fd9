package live

import "math"

// missing stands for what was not measured.
var missing = math.NaN()

// cell is what happened in one step of a series.
type cell struct {
	active        float32 // connections, on average; NaN when nothing is known of the step
	fresh, failed float32 // connections that a route took, and connects that failed
	in, out       float32 // bytes
	median, high  float32 // of the time to connect, in seconds; NaN without any
	wait          float32 // the longest for a free route, in seconds
}

// gap is a step of which nothing is known: the process did not come to look.
var gap = cell{active: float32(missing), median: float32(missing), high: float32(missing)}

// reading is what a frontend has counted up to a moment.
type reading struct {
	active                 int
	fresh, failed, in, out int64
	connects               quickCounts
	wait                   float64 // the longest since the reading before, in seconds
}

// series is the last steps of one length. The zero value is empty; at is what tells its length.
type series struct {
	cells   []cell // a ring, by the number of the step
	current int64  // number of the step that is not over: Unix time divided by its length
	known   int    // steps that are over, at most len(cells)

	before reading // at the beginning of the current step
	sum    float64 // of the connections that were open at each reading in it
	count  int
	wait   float64
}

// late is how many steps a reading may miss. Those count as measured: a timer that comes a moment late steps over one.
const late = 3

// add takes a reading in the step with this number, of a series of so many steps that begins with an earlier reading.
func (s *series) add(number int64, most int, began, r *reading) {
	if s.cells == nil {
		s.cells = make([]cell, most)
		s.current = number
		s.before = *began
	}
	if number > s.current {
		s.finish(number, r)
	}
	s.sum += float64(r.active)
	s.count++
	s.wait = max(s.wait, r.wait)
}

// finish ends the steps before this one.
func (s *series) finish(number int64, r *reading) {
	steps := number - s.current
	one := gap
	if steps <= late {
		one = s.over(r, float32(steps))
	}
	for range min(steps, int64(len(s.cells))) {
		s.cells[s.current%int64(len(s.cells))] = one
		s.current++
		s.known = min(s.known+1, len(s.cells))
	}
	if s.current < number { // longer ago than all that is kept
		s.current = number
		for i := range s.cells {
			s.cells[i] = gap
		}
	}
	s.before = *r
	s.sum = 0
	s.count = 0
	s.wait = 0
}

// over is what happened since the current step began, divided among so many.
func (s *series) over(r *reading, steps float32) cell {
	connects := r.connects.since(&s.before.connects)
	return cell{
		active: float32(s.sum / float64(max(s.count, 1))),
		fresh:  float32(r.fresh-s.before.fresh) / steps, failed: float32(r.failed-s.before.failed) / steps,
		in: float32(r.in-s.before.in) / steps, out: float32(r.out-s.before.out) / steps,
		median: float32(connects.quantile(0.5)), high: float32(connects.quantile(0.99)),
		wait: float32(max(s.wait, r.wait)),
	}
}

// each calls fn with the steps that are over, oldest first, and their numbers.
func (s *series) each(fn func(number int64, c *cell)) {
	for i := s.current - int64(s.known); i < s.current; i++ {
		fn(i, &s.cells[i%int64(len(s.cells))])
	}
}
