package lb

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// hashing is the strategies SourceHash and IdentityHash. The table holds all backends of the pool, usable
// or not: when one goes down only its own keys move, and they find it again when it is back.
type hashing struct {
	hashOf     func(pickKey) uint64
	table      maglev
	all        []*backend
	backends   []*backend // the same by address, as in the table
	candidates []*backend
}

// probes is how many slots of the table are looked at for an open backend. It takes more when hardly any
// is open; the search goes through the candidates then.
const probes = 128

func (h *hashing) reset(all, candidates []*backend) {
	h.candidates = candidates
	if !slices.Equal(all, h.all) {
		h.all = all
		h.backends = slices.SortedFunc(slices.Values(all), func(a, b *backend) int { return strings.Compare(a.addr, b.addr) })
	}
	nodes := make([]node, len(h.backends))
	for i, b := range h.backends {
		nodes[i] = node{name: b.addr, weight: b.weight}
	}
	h.table.build(nodes)
}

func (h *hashing) pick(key pickKey, tried attempts) *backend {
	if len(h.candidates) == 0 {
		return nil
	}
	hash := h.hashOf(key)
	lot := float64(hash>>11) / (1 << 53) // of the key, the same for each of its connections
	for i := range uint64(probes) {
		if b := h.backends[h.table.at(hash+i)]; b.at >= 0 && b.open(tried) && lot < b.warmth {
			return b
		}
	}
	n := uint64(len(h.candidates))
	for i := range n {
		if b := h.candidates[(hash%n+i)%n]; b.open(tried) {
			return b
		}
	}
	return nil
}

func (h *hashing) moved(*backend) {}

// hashOfAddress gives a connection whose address is not known, because its listener is not TCP, a random
// hash: one backend would get all of these otherwise.
func hashOfAddress(key pickKey) uint64 {
	if !key.address.IsValid() {
		return rand.Uint64()
	}
	bytes := key.address.As16()
	return hashOf(bytes[:], 0)
}

func hashOfIdentity(key pickKey) uint64 {
	if key.identity == "" {
		return hashOfAddress(key)
	}
	return hashOf(key.identity, 0)
}
