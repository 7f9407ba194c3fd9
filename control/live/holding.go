package live

import (
	"container/heap"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// holdings is what each client has, so that nothing that happens for one client walks what belongs to all.
type holdings struct {
	seed   maphash.Seed
	shards [64]holdingShard // by client
}

type holdingShard struct {
	mu      sync.Mutex
	clients map[string]*holding
}

// holding is what one client has.
type holding struct {
	frontends    map[string]*frontend // by uuid
	certificates map[CertificateKey]*Certificate
	good         map[string]*validity // by frontend
}

func newHoldings() *holdings { return &holdings{seed: maphash.MakeSeed()} }

func (h *holdings) shardOf(clientID string) *holdingShard {
	return &h.shards[maphash.String(h.seed, clientID)%uint64(len(h.shards))]
}

// with calls fn with what a client has, under a lock: fn must be quick. What is empty afterwards is forgotten.
func (h *holdings) with(clientID string, fn func(*holding)) {
	s := h.shardOf(clientID)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.clients[clientID]
	if one == nil {
		one = &holding{frontends: map[string]*frontend{}, certificates: map[CertificateKey]*Certificate{}, good: map[string]*validity{}}
	}
	fn(one)
	if len(one.frontends)+len(one.certificates) == 0 {
		delete(s.clients, clientID)
		return
	}
	if s.clients == nil {
		s.clients = map[string]*holding{}
	}
	s.clients[clientID] = one
}

func (h *holdings) setFrontend(f *frontend) {
	h.with(f.record.ClientID, func(one *holding) { one.frontends[f.record.UUID] = f })
}

func (h *holdings) removeFrontend(f *frontend) {
	h.with(f.record.ClientID, func(one *holding) { delete(one.frontends, f.record.UUID) })
}

// frontendsOf lists the frontends of a client, oldest first.
func (h *holdings) frontendsOf(clientID string) (all []*frontend) {
	h.with(clientID, func(one *holding) {
		for _, f := range one.frontends {
			all = append(all, f)
		}
	})
	slices.SortFunc(all, func(a, b *frontend) int { return a.record.CreatedAt.Compare(b.record.CreatedAt) })
	return all
}

func (h *holdings) setCertificate(key CertificateKey, c *Certificate) {
	h.with(c.ClientID, func(one *holding) {
		one.certificates[key] = c
		one.forget(key, c.FrontendID)
		if !c.Revoked {
			one.note(key, c)
		}
	})
}

func (h *holdings) removeCertificate(key CertificateKey, c *Certificate) {
	h.with(c.ClientID, func(one *holding) {
		delete(one.certificates, key)
		one.forget(key, c.FrontendID)
	})
}

func (one *holding) note(key CertificateKey, c *Certificate) {
	v := one.good[c.FrontendID]
	if v == nil {
		v = &validity{entries: map[CertificateKey]*expiring{}}
		one.good[c.FrontendID] = v
	}
	e := &expiring{key: key, notAfter: c.NotAfter}
	v.entries[key] = e
	heap.Push(&v.order, e)
}

func (one *holding) forget(key CertificateKey, frontendID string) {
	v := one.good[frontendID]
	if v == nil {
		return
	}
	v.remove(key)
	if len(v.order) == 0 {
		delete(one.good, frontendID)
	}
}

// goodOf is how many certificates of a frontend are neither revoked nor expired, and when the first of them expires,
// zero without any.
func (h *holdings) goodOf(clientID, frontendID string, now time.Time) (n int, next time.Time) {
	h.with(clientID, func(one *holding) { n, next = one.good[frontendID].at(now) })
	return n, next
}

// goodCertificates is how many certificates of a client are neither revoked nor expired.
func (h *holdings) goodCertificates(clientID string, now time.Time) (n int) {
	h.with(clientID, func(one *holding) {
		for _, v := range one.good {
			good, _ := v.at(now)
			n += good
		}
	})
	return n
}

// count is how many frontends and certificates a client has, whatever their state.
func (h *holdings) count(clientID string) (frontends, certificates int) {
	h.with(clientID, func(one *holding) {
		frontends = len(one.frontends)
		certificates = len(one.certificates)
	})
	return frontends, certificates
}

// validity is the certificates of a frontend that are not revoked, in the order in which they expire. Nil has none.
type validity struct {
	entries map[CertificateKey]*expiring
	order   expiryHeap
}

type expiring struct {
	key      CertificateKey
	notAfter time.Time
	index    int // in the heap
}

// at drops what has expired by now, and tells how many are left and when the first of them expires.
func (v *validity) at(now time.Time) (n int, next time.Time) {
	if v == nil {
		return 0, time.Time{}
	}
	for len(v.order) > 0 && !now.Before(v.order[0].notAfter) {
		v.remove(v.order[0].key)
	}
	if len(v.order) == 0 {
		return 0, time.Time{}
	}
	return len(v.order), v.order[0].notAfter
}

func (v *validity) remove(key CertificateKey) {
	if e := v.entries[key]; e != nil {
		delete(v.entries, key)
		heap.Remove(&v.order, e.index)
	}
}

// expiryHeap has the one that expires first on top.
type expiryHeap []*expiring

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].notAfter.Before(h[j].notAfter) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index = i
	h[j].index = j
}

// Push implements heap.Interface.
func (h *expiryHeap) Push(x any) {
	e := x.(*expiring)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil // the array must not keep it
	*h = (*h)[:last]
	return e
}
