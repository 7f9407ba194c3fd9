package live

import (
	"strings"
	"sync"
)

// destinations are what frontends use as routes, by destination and, of names, by each address that they stand for. It is
// for finding out who else uses one, when a frontend is saved.
type destinations struct {
	mu   sync.Mutex
	uses map[string]map[string]destinationUse // by destination and frontend
}

// destinationUse is how a frontend uses a destination.
type destinationUse struct {
	clientID string
	proxied  bool // it gets a PROXY header
}

// destinationsOf are the names under which the routes of a frontend are found.
func destinationsOf(f *frontend) (all []string) {
	for _, r := range f.record.Routes {
		all = append(all, strings.ToLower(r.Dest))
		all = append(all, f.addresses[r.Dest]...)
	}
	return all
}

// replace makes the index agree with a frontend; before and after may be nil.
func (d *destinations) replace(before, after *frontend) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before != nil {
		for _, dest := range destinationsOf(before) {
			if delete(d.uses[dest], before.record.UUID); len(d.uses[dest]) == 0 {
				delete(d.uses, dest)
			}
		}
	}
	if after == nil {
		return
	}
	use := destinationUse{after.record.ClientID, after.record.Options.Proxy > 0}
	for _, dest := range destinationsOf(after) {
		if d.uses == nil {
			d.uses = map[string]map[string]destinationUse{}
		}
		if d.uses[dest] == nil {
			d.uses[dest] = map[string]destinationUse{}
		}
		d.uses[dest][after.record.UUID] = use
	}
}

// UsedOtherwise tells whether another client uses one of the destinations in the other way: with a PROXY header where the
// client would not send one, or without one. A route that believes XLB's headers would believe those that a client makes
// itself, and one that expects none would take a header for a client's words.
func (l *Live) UsedOtherwise(clientID string, proxied bool, dests ...string) bool {
	d := &l.destinations
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, dest := range dests {
		for _, use := range d.uses[strings.ToLower(dest)] {
			if use.clientID != clientID && use.proxied != proxied {
				return true
			}
		}
	}
	return false
}

// Expansion is what a destination of a client's frontends stands for now: itself, or an address for each of its name's.
func (l *Live) Expansion(clientID, dest string) []string { return l.names.Expand(clientID, dest) }
