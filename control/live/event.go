package live

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/xdire/xlb/store"
)

// Kinds of events.
const (
	EventFrontendCreated     = "frontend.created"
	EventFrontendChanged     = "frontend.changed"
	EventFrontendDeleted     = "frontend.deleted"
	EventFrontendState       = "frontend.state"
	EventRouteState          = "route.state"
	EventCertificateIssued   = "certificate.issued"
	EventCertificateRevoked  = "certificate.revoked"
	EventCertificateExpiring = "certificate.expiring"
	EventClientChanged       = "client.changed"
	EventLimit               = "limit"
)

// Event is something that has happened to what a client has.
type Event struct {
	Seq  uint64 // counts the events of a log; zero for what was so before somebody listened
	At   time.Time
	Kind string

	Frontend, Name string // uuid and name, of events about a frontend or what it has
	Route          string
	Serial         string // of a certificate, with its name in Name
	State          State  // of *.state
	Reason, Detail string // of a route that is down, or a certificate that was revoked
	Until          time.Time
	Limit          string // near, or no more
	Max            int
}

const (
	// EventReaders is how many may read a client's events at once.
	EventReaders = 8
	// keptEvents is how many a reader that comes back may have missed.
	keptEvents = 1000
	// eventsKept is for how long it may be away.
	eventsKept = 10 * time.Minute
	// statesEvery bounds how often the states of a client's things are compared with what they were.
	statesEvery = time.Second
	// nearLimit is from what part on a limit is nearly used, in percent.
	nearLimit = 90
)

// eventLogs are the events of the clients that somebody listens to, or did a little while ago.
type eventLogs struct {
	mu      sync.RWMutex
	clients map[string]*eventLog
}

// eventLog is the events of one client. Changes are added as they are applied; states are compared when a reader asks,
// because what they come from is spread over pools, and most clients have nobody who listens.
type eventLog struct {
	id string // other than that of every log before, so that a number of an older one is not taken for one of this

	mu       sync.Mutex
	events   []Event // the newest keptEvents
	seq      uint64
	readers  int
	left     time.Time // when the last reader left
	compared time.Time
	states   map[string]Event // what was told last about each thing, by a name for it
}

// tell notes a change for those who listen to the client, and wakes them.
func (l *Live) tell(clientID string, e Event) {
	l.events.add(clientID, e, l.cfg.Now())
	l.bus.mark(clientID)
}

func (l *eventLogs) add(clientID string, e Event, now time.Time) {
	l.mu.RLock()
	log := l.clients[clientID]
	l.mu.RUnlock()
	if log == nil {
		return
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	log.add(e, now)
}

func (log *eventLog) add(e Event, now time.Time) {
	log.seq++
	e.Seq = log.seq
	e.At = now
	if len(log.events) == keptEvents {
		log.events = log.events[:copy(log.events, log.events[1:])]
	}
	log.events = append(log.events, e)
}

// forget drops the logs that nobody has come back to.
func (l *eventLogs) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.clients, func(_ string, log *eventLog) bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		return log.readers == 0 && now.Sub(log.left) > eventsKept
	})
}

// EventReader reads the events of a client, in order. It is for one goroutine, which closes it.
type EventReader struct {
	live     *Live
	clientID string
	log      *eventLog
	next     uint64 // number of the event to go on with; zero: first what is so now
}

// ReadEvents begins to read a client's events: after the one that last names, or with what is so now when it names none
// that is still there. It returns false when as many read as may.
func (l *Live) ReadEvents(clientID, last string) (*EventReader, bool) {
	now := l.cfg.Now()
	l.events.mu.Lock()
	defer l.events.mu.Unlock()
	log := l.events.clients[clientID]
	if log == nil {
		log = &eventLog{id: rand.Text()[:10], states: map[string]Event{}}
		if l.events.clients == nil {
			l.events.clients = map[string]*eventLog{}
		}
		l.events.clients[clientID] = log
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.readers >= EventReaders {
		return nil, false
	}
	log.readers++
	log.left = now
	return &EventReader{live: l, clientID: clientID, log: log, next: log.after(last)}, true
}

// after is the number that follows the event with an id, or zero when what follows is not there any more.
func (log *eventLog) after(id string) uint64 {
	var name string
	var seq uint64
	if _, err := fmt.Sscanf(id, "%10s-%d", &name, &seq); err != nil || name != log.id || seq > log.seq {
		return 0
	}
	if log.seq-seq > uint64(len(log.events)) {
		return 0
	}
	return seq + 1
}

// Close ends the reading.
func (r *EventReader) Close() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.log.readers--
	r.log.left = r.live.cfg.Now()
}

// ID is what names an event to whoever reads on from it.
func (r *EventReader) ID(seq uint64) string { return fmt.Sprintf("%s-%d", r.log.id, seq) }

// Events is what a reader got to know at once.
type Events struct {
	Items []Event
	// Now is set when the items are what is so now, and not what has happened: at the beginning, and after more was missed
	// than is kept. Last is the number to go on after.
	Now  bool
	Last uint64
	// Again tells that states were compared so recently that there may be more in a second.
	Again bool
}

// Next returns what has happened since the last call. The first call of a reader that does not go on from somewhere
// returns what is so now.
func (r *EventReader) Next() (got Events) {
	now := r.live.cfg.Now()
	log := r.log
	log.mu.Lock()
	defer log.mu.Unlock()
	if ago := now.Sub(log.compared); r.next > 0 && ago >= 0 && ago < statesEvery {
		got.Again = true
	} else {
		log.compare(r.live.statesNow(r.clientID, now), now)
	}
	if r.next == 0 || r.next+uint64(len(log.events)) <= log.seq { // a new one, or one that was too slow
		for _, name := range slices.Sorted(maps.Keys(log.states)) {
			got.Items = append(got.Items, log.states[name])
		}
		got.Now = true
	} else if missing := log.seq + 1 - r.next; missing > 0 {
		got.Items = slices.Clone(log.events[uint64(len(log.events))-missing:])
	}
	r.next = log.seq + 1
	got.Last = log.seq
	return got
}

// compare adds an event for each thing that is other than what was told last.
func (log *eventLog) compare(states map[string]Event, now time.Time) {
	first := log.compared.IsZero() // nobody was told anything yet: all of it is what is so now
	log.compared = now
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state := states[name]
		old, known := log.states[name]
		if known {
			state.At = old.At
			if state == old {
				continue
			}
		}
		state.At = now
		log.states[name] = state
		if !first {
			log.add(state, now)
		}
	}
	for name, old := range log.states {
		if _, still := states[name]; still {
			continue
		}
		delete(log.states, name)
		if old.Kind == EventLimit { // the others have gone with what they were about
			over := old
			over.State = LimitFree
			log.add(over, now)
		}
	}
}

// States of a limit.
const (
	LimitNear State = "near"
	LimitFree State = "free"
)

// statesNow is what is so of a client's things now, by a name for each.
func (l *Live) statesNow(clientID string, now time.Time) map[string]Event {
	states := map[string]Event{}
	most := 0
	frontends := l.holdings.frontendsOf(clientID)
	for _, f := range frontends {
		s := l.statusOf(f)
		about := Event{Frontend: s.Record.UUID, Name: s.Record.Name}
		state := about
		state.Kind = EventFrontendState
		state.State = s.State
		states["frontend/"+about.Frontend] = state
		for _, r := range s.Routes {
			route := about
			route.Kind = EventRouteState
			route.Route = r.Dest
			route.State = r.State
			route.Reason = r.Reason
			route.Detail = r.Detail
			states["frontend/"+about.Frontend+"/"+r.Dest] = route
		}
		most = max(most, len(s.Record.Routes))
		if !s.NextExpiry.IsZero() && s.NextExpiry.Sub(now) < l.cfg.ExpirySoon {
			l.expiringOf(states, about, now)
		}
	}
	l.nearLimits(states, clientID, len(frontends), most)
	return states
}

// expiringOf adds the certificates of a frontend that expire soon.
func (l *Live) expiringOf(states map[string]Event, about Event, now time.Time) {
	f, known := l.frontends.get(about.Frontend)
	if !known {
		return
	}
	for _, one := range l.holdings.expiring(f.record.ClientID, about.Frontend, now.Add(l.cfg.ExpirySoon)) {
		e := about
		e.Kind = EventCertificateExpiring
		e.Serial = one.key.Serial
		e.Until = one.notAfter
		if c, known := l.certificates.get(one.key); known {
			e.Name = c.Name
		}
		states["certificate/"+e.Serial+"/"+one.key.Authority] = e
	}
}

// IsNearLimit tells that so much of what may be is used that somebody should know. No bound is never near.
func IsNearLimit(used, most int) bool { return most > 0 && used*100 >= most*nearLimit }

// nearLimits adds the limits of a client that are nearly used. How much exactly is told when it is told, and not each time
// that it changes.
func (l *Live) nearLimits(states map[string]Event, clientID string, frontends, routes int) {
	limits := l.Limits(clientID)
	for name, used := range map[string]int{
		"frontends": frontends, "routesPerFrontend": routes, "certificates": l.GoodCertificates(clientID), "connections": l.ConnectionsInUse(clientID),
	} {
		most := limits.byName(name)
		if IsNearLimit(used, most) {
			states["limit/"+name] = Event{Kind: EventLimit, Limit: name, State: LimitNear, Max: most}
		}
	}
}

// ForgetEvents drops the events of clients to whom nobody has listened for a while.
func (l *Live) ForgetEvents() { l.events.forget(l.cfg.Now()) }

// ownedOf is a client without what the server notes in it by itself.
func ownedOf(r store.Client) store.Client {
	r.Frontends = 0
	r.UnusedUntil = time.Time{}
	r.Revision = 0
	r.APIKeys = slices.Clone(r.APIKeys)
	for i := range r.APIKeys {
		r.APIKeys[i].LastUsedAt = time.Time{}
		r.APIKeys[i].LastUsedBy = ""
	}
	return r
}

// tellFrontend notes that a frontend was made or changed by its owner; what the server notes in it is nobody's news.
func (l *Live) tellFrontend(r store.Frontend, old *frontend) {
	e := Event{Kind: EventFrontendCreated, Frontend: r.UUID, Name: r.Name}
	switch {
	case old == nil:
	case old.record.Number == r.Number:
		return
	default:
		e.Kind = EventFrontendChanged
	}
	l.tell(r.ClientID, e)
}

// tellCertificate notes that a certificate was issued or revoked.
func (l *Live) tellCertificate(r store.Certificate, old *Certificate) {
	e := Event{Kind: EventCertificateIssued, Frontend: r.FrontendID, Serial: r.Serial, Name: r.Name, Until: r.NotAfter}
	switch {
	case r.RevokedAt != nil && (old == nil || !old.Revoked):
		e.Kind = EventCertificateRevoked
		e.Reason = r.RevokedReason
	case old != nil:
		return
	}
	l.tell(r.ClientID, e)
}
