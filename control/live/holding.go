package live

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/xdire/xlb/internal/heap"
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

// with calls fn with what a client has, under a lock: fn must be quick. What is empty afterwards is forgotten, so that
// clients who come and go leave nothing.
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
		if !c.Revoked && !c.Retired {
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
		v.order = heap.New(func(a, b *expiring) bool { return a.notAfter.Before(b.notAfter) }, func(e *expiring) *int { return &e.index })
		one.good[c.FrontendID] = v
	}
	e := &expiring{key: key, notAfter: c.NotAfter}
	v.entries[key] = e
	v.order.Push(e)
}

func (one *holding) forget(key CertificateKey, frontendID string) {
	v := one.good[frontendID]
	if v == nil {
		return
	}
	v.remove(key)
	if v.order.Len() == 0 {
		delete(one.good, frontendID)
	}
}

// goodOf is how many certificates of a frontend are neither revoked nor expired, and when the first of them expires,
// zero without any.
func (h *holdings) goodOf(clientID, frontendID string, now time.Time) (n int, next time.Time) {
	h.with(clientID, func(one *holding) { n, next = one.good[frontendID].at(now) })
	return n, next
}

// expiring lists the certificates of a frontend that are not revoked and expire before a moment, in no order.
func (h *holdings) expiring(clientID, frontendID string, before time.Time) (all []expiring) {
	h.with(clientID, func(one *holding) {
		v := one.good[frontendID]
		if v == nil {
			return
		}
		for _, e := range v.entries {
			if e.notAfter.Before(before) {
				all = append(all, *e)
			}
		}
	})
	return all
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
	order   *heap.Heap[*expiring]
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
	for v.order.Len() > 0 && !now.Before(v.order.Top().notAfter) {
		v.remove(v.order.Top().key)
	}
	if v.order.Len() == 0 {
		return 0, time.Time{}
	}
	return v.order.Len(), v.order.Top().notAfter
}

func (v *validity) remove(key CertificateKey) {
	if e := v.entries[key]; e != nil {
		delete(v.entries, key)
		v.order.Remove(e)
	}
}
