package lb

import (
	"math/rand/v2"
	"slices"
)

// draws is how often a lot is drawn again because it fell on a backend that is not open. After that the
// next open one is taken, which favours those behind a row of full ones, but finds what is left.
const draws = 16

// random is the Random strategy.
type random struct {
	list []*backend
	sums []float64 // of the weights up to each of list
}

func (r *random) reset(_, candidates []*backend) {
	r.list = candidates
	r.sums = make([]float64, len(candidates))
	sum := 0.0
	for i, b := range candidates {
		sum += b.share
		r.sums[i] = sum
	}
}

func (r *random) pick(_ pickKey, tried attempts) *backend {
	if len(r.list) == 0 {
		return nil
	}
	at := 0
	for range draws {
		at = r.draw()
		if b := r.list[at]; b.open(tried) {
			return b
		}
	}
	return r.after(at, tried)
}

// draw returns a place in list, by weight.
func (r *random) draw() int {
	last := len(r.sums) - 1
	at, _ := slices.BinarySearch(r.sums, rand.Float64()*r.sums[last])
	return min(at, last)
}

// after returns the next open backend behind a place, the one at the place last, nil when none is open.
func (r *random) after(place int, tried attempts) *backend {
	for i := range r.list {
		if b := r.list[(place+1+i)%len(r.list)]; b.open(tried) {
			return b
		}
	}
	return nil
}

func (r *random) moved(*backend) {}

// twoChoices is the TwoChoices strategy. The weights count in the draw too, or idle backends would get
// the same whatever their weights.
type twoChoices struct{ random }

func (t *twoChoices) pick(key pickKey, tried attempts) *backend {
	first := t.random.pick(key, tried)
	if first == nil {
		return nil
	}
	second := t.random.pick(key, tried)
	if second == first {
		second = t.after(first.at, tried)
	}
	if float64(second.active)*first.share < float64(first.active)*second.share {
		return second
	}
	return first
}
