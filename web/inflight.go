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
		next.ServeHTTP(w, r)
	})
}
