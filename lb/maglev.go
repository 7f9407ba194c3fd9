package lb

import "slices"

// maglev is the look-up table of Maglev hashing (Eisenbud and others, NSDI 2016): a slot for each hash, each
// slot a node. Every node has an order of its own in which it would like the slots, and they take slots in
// turn; so when nodes change most slots stay with theirs.
type maglev struct {
	nodes []node
	slots []uint16
}

// node is what a table is made of. The table depends on nothing else, so all who know the same nodes in
// the same order have the same table.
type node struct {
	name   string
	weight int
}

const (
	maglevSlots  = 65537 // a prime, so that every step through the slots meets all of them
	maglevUnused = 1<<16 - 1
)

// at returns the node of a hash.
func (m *maglev) at(hash uint64) int { return int(m.slots[hash%maglevSlots]) }

// build fills the table, unless it is for these nodes already. More than 65,535 nodes do not fit: the
// others get no slot.
func (m *maglev) build(nodes []node) {
	if slices.Equal(nodes, m.nodes) {
		return
	}
	m.nodes = nodes
	m.slots = slices.Repeat([]uint16{maglevUnused}, maglevSlots)
	seekers := newSeekers(nodes[:min(len(nodes), maglevUnused)])
	for left := maglevSlots; len(seekers) > 0; {
		for i := range seekers {
			if !seekers[i].mayTake() {
				continue
			}
			m.slots[seekers[i].next(m.slots)] = uint16(i)
			if left--; left == 0 {
				return
			}
		}
	}
}

// seeker is a node that takes its slots.
type seeker struct {
	slot, step uint32
	// The heaviest takes a slot in each round, the others when their weights of several rounds add up to it.
	weight, heaviest, credit int
}

func newSeekers(nodes []node) []seeker {
	heaviest := 1
	for _, n := range nodes {
		heaviest = max(heaviest, n.weight)
	}
	all := make([]seeker, len(nodes))
	for i, n := range nodes {
		all[i] = seeker{
			slot:   uint32(hashOf(n.name, 1) % maglevSlots),
			step:   uint32(hashOf(n.name, 2)%(maglevSlots-1)) + 1,
			weight: n.weight, heaviest: heaviest,
		}
	}
	return all
}

func (s *seeker) mayTake() bool {
	s.credit += s.weight
	if s.credit < s.heaviest {
		return false
	}
	s.credit -= s.heaviest
	return true
}

// next returns the first slot in the seeker's order that nobody has.
func (s *seeker) next(slots []uint16) uint32 {
	for {
		slot := s.slot
		s.slot = (s.slot + s.step) % maglevSlots
		if slots[slot] == maglevUnused {
			return slot
		}
	}
}

// hashOf is FNV-1a and a final mix, as FNV alone leaves similar texts close together. It is the same in
// every process, which hash/maphash is not.
func hashOf[T string | []byte](text T, seed uint64) uint64 {
	h := uint64(14695981039346656037) ^ seed
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
