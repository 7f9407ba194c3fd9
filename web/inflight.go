package web

import (
	"net/http"
	"sync"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/source"
)

// Bounds on the requests that are being answered at once. Each of them holds a goroutine, and a body while it comes.
const (
	inFlightPerClient = 64
	inFlightPerSource = 32  // of those who are not logged in
	inFlightStrangers = 256 // all sources together
)

// inFlight counts the requests that are being answered, by who asks.
type inFlight struct {
	mu        sync.Mutex
	by        map[string]int
	strangers int
}

// enter lets a request in, or not. The caller calls leave when it is answered.
func (f *inFlight) enter(a control.Actor) (leave func(), ok bool) {
	key, most := "client "+a.ClientID, inFlightPerClient
	isStranger := a.ClientID == ""
	if isStranger {
		key, most = "source "+source.Of(a.Address).String(), inFlightPerSource
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[key] >= most || isStranger && f.strangers >= inFlightStrangers {
		return nil, false
	}
	if f.by == nil {
		f.by = map[string]int{}
	}
	f.by[key]++
	if isStranger {
		f.strangers++
	}
	return func() { f.leave(key, isStranger) }, true
}

func (f *inFlight) leave(key string, isStranger bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if isStranger {
		f.strangers--
	}
	if f.by[key]--; f.by[key] == 0 {
		delete(f.by, key)
	}
}

// importsAtOnce bounds what is held of their files, which have up to 16 MB: one of each client, and of all so many.
const importsAtOnce = 4

// imports are the clients whose import is under way.
type imports struct {
	mu sync.Mutex
	of map[string]bool
}

func (i *imports) enter(clientID string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.of[clientID] || len(i.of) >= importsAtOnce {
		return false
	}
	if i.of == nil {
		i.of = map[string]bool{}
	}
	i.of[clientID] = true
	return true
}

func (i *imports) leave(clientID string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.of, clientID)
}

// boundInFlight refuses what is more than a share. It comes before anything reads a body. Event streams have bounds of
// their own.
func (s *Server) boundInFlight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := control.ActorFrom(r.Context())
		if isStream(r.URL.Path) && a.ClientID != "" {
			next.ServeHTTP(w, r)
			return
		}
		leave, ok := s.inFlight.enter(a)
		if !ok {
			w.Header().Set("Retry-After", "1")
			s.refuse(w, r, http.StatusTooManyRequests, "Too many requests at once. Wait for the answers.")
			return
		}
		defer leave()
		if isImport(r) && a.ClientID != "" {
			if !s.imports.enter(a.ClientID) {
				w.Header().Set("Retry-After", "5")
				s.refuse(w, r, http.StatusTooManyRequests, "Another import is under way. Wait for its end.")
				return
			}
			defer s.imports.leave(a.ClientID)
		}
		next.ServeHTTP(w, r)
	})
}
