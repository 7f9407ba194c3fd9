package lb

import "slices"

// ranking is a binary heap of the candidates, the one to pick first: a pick need not look at all of them.
type ranking struct {
	heap   []*backend
	before func(a, b *backend) bool // backends that are full come last
}

func (r *ranking) reset(_, candidates []*backend) {
	r.heap = slices.Clone(candidates)
	for i, b := range r.heap {
		b.rank = i
	}
	for i := len(r.heap)/2 - 1; i >= 0; i-- {
		r.down(i)
	}
}

// moved puts b where it belongs after what it is ranked by has changed.
func (r *ranking) moved(b *backend) {
	r.up(b.rank)
	r.down(b.rank)
}

func (r *ranking) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !r.before(r.heap[i], r.heap[parent]) {
			return
		}
		r.swap(i, parent)
		i = parent
	}
}

func (r *ranking) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(r.heap); child++ {
			if r.before(r.heap[child], r.heap[first]) {
				first = child
			}
		}
		if first == i {
			return
		}
		r.swap(i, first)
		i = first
	}
}

func (r *ranking) swap(i, j int) {
	r.heap[i], r.heap[j] = r.heap[j], r.heap[i]
	r.heap[i].rank = i
	r.heap[j].rank = j
}

// best returns the first open candidate, nil when there is none.
func (r *ranking) best(tried attempts) *backend {
	if b := r.untried(0, tried); b != nil && !b.full() {
		return b
	}
	return nil
}

// untried returns the first backend at or under a place of the heap that was not tried. It looks under
// those that were tried only, so the few of one connection make it look at a few.
func (r *ranking) untried(place int, tried attempts) *backend {
	if place >= len(r.heap) {
		return nil
	}
	if b := r.heap[place]; !tried.has(b) {
		return b
	}
	left := r.untried(2*place+1, tried)
	right := r.untried(2*place+2, tried)
	if left == nil || right != nil && r.before(right, left) {
		return right
	}
	return left
}

// leastConnections is the LeastConnections strategy.
type leastConnections struct{ ranking }

func (l *leastConnections) pick(_ pickKey, tried attempts) *backend { return l.best(tried) }

// lessLoaded ranks by connections for the weight; among equals by whose last turn is longer ago.
func lessLoaded(a, b *backend) bool {
	if a.full() != b.full() {
		return b.full()
	}
	if x, y := float64(a.active)*b.share, float64(b.active)*a.share; x != y {
		return x < y
	}
	if a.turn != b.turn {
		return a.turn < b.turn
	}
	return a.at < b.at
}

// weightedRoundRobin is the WeightedRoundRobin strategy. Time is counted in rounds, in each of which a
// backend of weight w has w turns at equal distances; the next turn of all is picked.
type weightedRoundRobin struct {
	ranking
	now     float64 // of the last turn
	started bool
}

// manyRounds bounds how far the clock goes, because the larger a float the coarser it is.
const manyRounds = 1024

// earlierTurn ranks by the time of the next turn.
func earlierTurn(a, b *backend) bool {
	if a.full() != b.full() {
		return b.full()
	}
	if x, y := a.lastTurn+1/a.share, b.lastTurn+1/b.share; x != y {
		return x < y
	}
	return a.at < b.at
}

// reset gives those who are new a turn at a time of their own, so that two of the same weight do not
// always follow each other.
func (w *weightedRoundRobin) reset(all, candidates []*backend) {
	for i, b := range candidates {
		distance := 1 / b.share
		if w.started && b.lastTurn <= w.now && b.lastTurn+distance >= w.now {
			continue
		}
		phase := (float64(i) + 0.5) / float64(len(candidates))
		b.lastTurn = w.now + (phase-1)*distance
	}
	w.started = true
	w.ranking.reset(all, candidates)
}

func (w *weightedRoundRobin) pick(_ pickKey, tried attempts) *backend {
	b := w.best(tried)
	if b == nil {
		return nil
	}
	// Turns that were missed while b was full are lost: it must not get all of them at once.
	w.now = max(w.now, b.lastTurn+1/b.share)
	b.lastTurn = w.now
	if w.now >= manyRounds {
		w.rewind()
	}
	return b
}

func (w *weightedRoundRobin) rewind() {
	for _, b := range w.heap {
		b.lastTurn -= manyRounds
	}
	w.now -= manyRounds
}
