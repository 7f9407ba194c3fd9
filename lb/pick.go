package lb

import (
	"context"
	"slices"
	"time"
)

// attempts are the backends that one connection has tried in vain.
type attempts []*backend

func (a attempts) has(b *backend) bool { return slices.Contains(a, b) }

// pick takes a slot of a backend that was not tried yet, the spares last, or returns nil. full tells that there are such
// backends and that all of them are full. The caller holds the lock.
func (p *Pool) pick(key pickKey, tried attempts) (picked *backend, full bool) {
	p.warm()
	if p.free > 0 {
		picked = p.policy.pick(key, tried)
	}
	if picked == nil && p.untried(tried) {
		return nil, true
	}
	if picked == nil {
		if picked, full = p.spare(tried); picked == nil {
			return nil, full
		}
	}
	p.picks++
	picked.turn = p.picks
	p.occupy(picked, 1)
	return picked, false
}

// spare returns the spare with the fewest connections for its weight that was not tried. full tells that
// there are such, and that all of them are full.
func (p *Pool) spare(tried attempts) (best *backend, full bool) {
	for _, b := range p.spares {
		switch {
		case tried.has(b):
		case b.full():
			full = true
		case best == nil || b.active*best.weight < best.active*b.weight:
			best = b
		}
	}
	return best, full
}

// untried tells whether there are candidates that were not tried.
func (p *Pool) untried(tried attempts) bool {
	left := len(p.candidates)
	for _, b := range tried {
		if b.at >= 0 {
			left--
		}
	}
	return left > 0
}

// others tells whether a connection that has tried some backends could still try another.
func (p *Pool) others(tried attempts) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	spare, full := p.spare(tried)
	return p.untried(tried) || spare != nil || full
}

// acquire takes a slot of a backend that was not tried yet, and waits in the queue while all of them are
// full. The caller gives the slot back with release. The error is a *Refusal: ReasonNoBackend when nothing
// is left to try, ReasonAllFull when none became free before ctx ended or the queue was full.
func (p *Pool) acquire(ctx context.Context, key pickKey, tried attempts) (*backend, error) {
	p.mu.Lock()
	b, full := p.pick(key, tried)
	if b != nil {
		p.mu.Unlock()
		return b, nil
	}
	if !full {
		p.mu.Unlock()
		return nil, &Refusal{Reason: ReasonNoBackend}
	}
	if p.queue.len >= p.cfg.QueueLimit {
		p.mu.Unlock()
		return nil, &Refusal{Reason: ReasonAllFull, Detail: "the queue is full"}
	}
	w := &waiter{key: key, tried: tried, since: time.Now(), ready: make(chan struct{})}
	p.queue.push(w)
	p.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
		p.mu.Lock()
		p.queue.remove(w)
		p.mu.Unlock()
	}
	return w.result(ctx)
}

// serveQueue gives free slots to those who wait, first come, first served, and sends those away for whom
// nothing is left since the pool was changed. The caller holds the lock.
func (p *Pool) serveQueue() {
	for w := p.queue.first; w != nil; {
		next := w.next
		b, full := p.pick(w.key, w.tried)
		if full && len(w.tried) == 0 {
			return // nothing is free for anybody
		}
		if !full {
			w.backend = b
			p.queue.remove(w)
			close(w.ready)
		}
		w = next
	}
}

// waiter is one connection in the queue. The pool's lock guards it until ready is closed.
type waiter struct {
	key        pickKey
	tried      attempts
	since      time.Time
	backend    *backend
	ready      chan struct{}
	prev, next *waiter
	queued     bool
}

// result is called when ready is closed or the waiter has left the queue: nobody else touches it then.
func (w *waiter) result(ctx context.Context) (*backend, error) {
	switch {
	case w.backend != nil:
		return w.backend, nil
	case ctx.Err() != nil:
		return nil, &Refusal{Reason: ReasonAllFull, Err: ctx.Err()}
	}
	return nil, &Refusal{Reason: ReasonNoBackend}
}

// queue is a list of waiters in the order they came. The zero value is empty.
type queue struct {
	first, last *waiter
	len         int
}

func (q *queue) push(w *waiter) {
	w.prev = q.last
	w.queued = true
	if q.last != nil {
		q.last.next = w
	} else {
		q.first = w
	}
	q.last = w
	q.len++
}

// oldest is how long the first has waited.
func (q *queue) oldest() time.Duration {
	if q.first == nil {
		return 0
	}
	return time.Since(q.first.since)
}

// remove takes w out, if it is still in.
func (q *queue) remove(w *waiter) {
	if !w.queued {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.last = w.prev
	}
	w.prev = nil
	w.next = nil
	w.queued = false
	q.len--
}
