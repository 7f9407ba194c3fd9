package lb

import "net/netip"

// Strategy is how a pool picks a backend. Every strategy passes over backends that are not usable, are
// full, or that the connection has tried in vain.
type Strategy int

// The strategies. A value that is none of them is RoundRobin.
const (
	// RoundRobin takes one after the other, whatever their weights. One that starts slowly misses turns.
	RoundRobin Strategy = iota
	// LeastConnections takes the one with the fewest connections for its weight, in turn among equals.
	LeastConnections
	// WeightedRoundRobin takes them in turn as often as their weights say, well mixed: while none is passed
	// over, as many connections as the weights add up to go out exactly by weight.
	WeightedRoundRobin
	// TwoChoices draws two by weight and takes the one with fewer connections for its weight. Close to
	// LeastConnections, and several balancers that do it do not all run to the same idle backend.
	TwoChoices
	// Random draws one by weight.
	Random
	// SourceHash keeps a client's address on one backend, and when backends come and go few addresses
	// move (Maglev hashing). A backend's share of the addresses goes by its weight, to a few percent. When
	// it cannot be picked, its addresses are spread over the others, always in the same way. Balancers
	// with the same backends agree. To one that starts slowly its addresses come back little by little.
	SourceHash
	// IdentityHash does the same with Admission.HashKey.
	IdentityHash
)

// pickKey is what the hashing strategies know of a connection.
type pickKey struct {
	address  netip.Addr
	identity string
}

// policy picks by one strategy. The pool's lock guards it.
type policy interface {
	// reset tells of all backends of the pool and of the candidates among them, in the order of the
	// configuration, whenever one of these sets or a weight has changed. at is set by then.
	reset(all, candidates []*backend)
	// pick chooses an open candidate, nil when there is none.
	pick(key pickKey, tried attempts) *backend
	// moved tells that the number of connections of a candidate has changed.
	moved(b *backend)
}

func newPolicy(s Strategy) policy {
	switch s {
	case LeastConnections:
		return &leastConnections{ranking{before: lessLoaded}}
	case WeightedRoundRobin:
		return &weightedRoundRobin{ranking: ranking{before: earlierTurn}}
	case TwoChoices:
		return &twoChoices{}
	case Random:
		return &random{}
	case SourceHash:
		return &hashing{hashOf: hashOfAddress}
	case IdentityHash:
		return &hashing{hashOf: hashOfIdentity}
	}
	return &roundRobin{}
}

// roundRobin is the RoundRobin strategy.
type roundRobin struct {
	list   []*backend
	cursor int // whose turn is next
}

// reset leaves the turn with the backend that has it, or with the first one after it that is still there.
func (r *roundRobin) reset(_, candidates []*backend) {
	cursor := 0
	for i := range r.list {
		if b := r.list[(r.cursor+i)%len(r.list)]; b.at >= 0 {
			cursor = b.at
			break
		}
	}
	r.list = candidates
	r.cursor = cursor
}

func (r *roundRobin) pick(_ pickKey, tried attempts) *backend {
	var cold *backend // an open one that misses this turn, unless there is no other
	for range r.list {
		b := r.list[r.cursor]
		r.cursor = (r.cursor + 1) % len(r.list)
		switch {
		case !b.open(tried):
		case b.hasTurn():
			return b
		case cold == nil:
			cold = b
		}
	}
	if cold != nil {
		r.cursor = (cold.at + 1) % len(r.list)
	}
	return cold
}

// hasTurn gives a backend that starts slowly as many turns of its own as it is warm.
func (b *backend) hasTurn() bool {
	b.credit += b.warmth
	if b.credit < 1 {
		return false
	}
	b.credit--
	return true
}

func (r *roundRobin) moved(*backend) {}
