package handlers

import (
	"container/list"
	"crypto/rand"
	"net/url"
	"sync"
)

// Bounds on event streams that are open: a browser closes those of tabs that are hidden.
const (
	streamsPerSession = 8
	streamsPerClient  = 32
)

// streamTable knows the event streams that are open. One more than there may be ends the oldest. The zero value is
// empty.
type streamTable struct {
	mu      sync.Mutex
	clients map[string]*list.List // of *openStream, oldest first
}

type openStream struct {
	id, session string
	over        chan struct{}   // closed when it has to make room
	turns       chan url.Values // the view that its page has come to, with what that needs; the latest only
}

// enter opens a stream. The caller calls leave at its end, and ends it when over is closed.
func (t *streamTable) enter(clientID, session string) (_ *openStream, leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.clients[clientID]
	if all == nil {
		if t.clients == nil {
			t.clients = map[string]*list.List{}
		}
		all = list.New()
		t.clients[clientID] = all
	}
	var oldest *list.Element
	ofSession := 0
	for e := all.Front(); e != nil; e = e.Next() {
		if e.Value.(*openStream).session != session {
			continue
		}
		ofSession++
		if oldest == nil {
			oldest = e
		}
	}
	switch {
	case ofSession >= streamsPerSession:
		end(all, oldest)
	case all.Len() >= streamsPerClient:
		end(all, all.Front())
	}
	one := &openStream{id: rand.Text(), session: session, over: make(chan struct{}), turns: make(chan url.Values, 1)}
	at := all.PushBack(one)
	return one, func() { t.leave(clientID, all, at) }
}

// turn tells a stream of a session the view that its page has come to, and returns false when there is no such stream.
func (t *streamTable) turn(clientID, session, id string, q url.Values) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.clients[clientID]
	if all == nil {
		return false
	}
	for e := all.Front(); e != nil; e = e.Next() {
		one := e.Value.(*openStream)
		if one.id != id || one.session != session {
			continue
		}
		select {
		case <-one.turns: // one that it has not come to
		default:
		}
		one.turns <- q // no one else sends: the table is locked
		return true
	}
	return false
}

// end tells a stream to make room.
func end(all *list.List, e *list.Element) {
	close(e.Value.(*openStream).over)
	all.Remove(e)
}

// leave is harmless for one that had to make room.
func (t *streamTable) leave(clientID string, all *list.List, at *list.Element) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all.Remove(at)
	if all.Len() == 0 && t.clients[clientID] == all {
		delete(t.clients, clientID)
	}
}
