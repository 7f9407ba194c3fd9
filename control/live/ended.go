package live

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/xdire/xlb/lb"
)

// Ended is a connection that was let in and has ended.
type Ended struct {
	At                time.Time // of its end
	FrontendID        string
	Serial, Name      string // of its certificate; the name may be empty, and is only in what Live.Ended returns
	Source            netip.AddrPort
	Route             string // empty when none took it
	Lasted            time.Duration
	BytesIn, BytesOut int64  // from the client and to it
	Reason            string // a code, as in the log
}

const (
	// EndedPerClient is how many ended connections are remembered for each client, in memory.
	EndedPerClient = 1000
	// endedClients is for how many clients, in each of the shards; the one of which none has ended for the longest time is
	// forgotten for another. All together have at most about 60 MB.
	endedClients = 6
)

// endings are the last connections that have ended, by client. Every connection is written here, so clients do not share
// a lock. Make one with newEndings.
type endings struct {
	seed   maphash.Seed
	shards [64]endedShard
}

type endedShard struct {
	mu      sync.Mutex
	clients map[string]*endedRing
}

type endedRing struct {
	all    []Ended
	oldest int // once it is full
}

func newEndings() *endings { return &endings{seed: maphash.MakeSeed()} }

func (e *endings) shardOf(clientID string) *endedShard {
	return &e.shards[maphash.String(e.seed, clientID)%uint64(len(e.shards))]
}

func (e *endings) add(clientID string, one Ended) {
	s := e.shardOf(clientID)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.clients[clientID]
	if r == nil {
		if s.clients == nil {
			s.clients = map[string]*endedRing{}
		}
		s.makeRoom()
		r = &endedRing{}
		s.clients[clientID] = r
	}
	r.add(one)
}

func (s *endedShard) makeRoom() {
	if len(s.clients) < endedClients {
		return
	}
	quiet := ""
	for id, r := range s.clients {
		if quiet == "" || r.nth(0).At.Before(s.clients[quiet].nth(0).At) {
			quiet = id
		}
	}
	delete(s.clients, quiet)
}

func (r *endedRing) add(one Ended) {
	if len(r.all) < EndedPerClient {
		r.all = append(r.all, one)
		return
	}
	r.all[r.oldest] = one
	r.oldest = (r.oldest + 1) % len(r.all)
}

// nth is the i-th newest, from 0.
func (r *endedRing) nth(i int) *Ended {
	n := len(r.all)
	return &r.all[(r.oldest+n-1-i)%n]
}

// of returns those of a client's frontend, newest first.
func (e *endings) of(clientID, frontendID string) []Ended {
	s := e.shardOf(clientID)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.clients[clientID]
	if r == nil {
		return nil
	}
	var all []Ended
	for i := range r.all {
		if one := r.nth(i); one.FrontendID == frontendID {
			all = append(all, *one)
		}
	}
	return all
}

func (e *endings) forget(clientID string) {
	s := e.shardOf(clientID)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, clientID)
}

// Ended lists the connections of a client's frontend that have ended, newest first, as far as they are remembered.
func (l *Live) Ended(clientID, frontendID string) []Ended {
	all := l.endings.of(clientID, frontendID)
	for i := range all {
		all[i].Name = l.certificateName(clientID, all[i].Serial)
	}
	return all
}

// noteEnded remembers a connection that has ended.
func (l *Live) noteEnded(b *Holder, e *lb.Event) {
	l.endings.add(b.ClientID, Ended{
		At: l.cfg.Now(), FrontendID: b.FrontendID, Serial: b.Certificate.Serial, Source: e.Remote, Route: e.Backend,
		Lasted: e.Duration, BytesIn: e.BytesIn, BytesOut: e.BytesOut, Reason: string(e.Reason),
	})
}
