package live

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/lb"
)

// Attempt is a connection that was turned away, or accepted and then not served.
type Attempt struct {
	At         time.Time // the last of as many in a row
	First      time.Time // the first of them
	Code       string    // the reason, as in the log
	Detail     string
	Address    netip.AddrPort
	Serial     string
	Name       string // of the certificate, may be empty; only in what Refused returns
	Route      string
	FrontendID string // empty: it belongs to nobody
	Count      int    // how often the same happened in a row
}

// Bounds of what is remembered.
const (
	AttemptsPerClient = 1000 // that are remembered, in memory
	attemptsOfNobody  = 200
	// attemptClients is how many clients have attempts remembered; the one without a new attempt for the
	// longest time is forgotten for another.
	attemptClients = 1000
	// attemptText is the longest text of an attempt in bytes: strangers write some of them.
	attemptText = 200
	// sameAttempt is how close two equal attempts have to be to be counted as one.
	sameAttempt = time.Minute
)

// journal keeps the last attempts in memory: those of each client, and those of nobody, which are shown
// only to a reader at the same source address. It is bounded whoever fills it.
type journal struct {
	mu      sync.Mutex
	clients map[string]*ring
	nobody  ring
}

func newJournal() *journal {
	return &journal{clients: map[string]*ring{}, nobody: ring{most: attemptsOfNobody}}
}

func (j *journal) add(clientID string, a Attempt) {
	a.Detail, a.Serial = shorten(a.Detail), shorten(a.Serial)
	j.mu.Lock()
	defer j.mu.Unlock()
	if clientID == "" {
		j.nobody.add(a)
		return
	}
	r := j.clients[clientID]
	if r == nil {
		j.makeRoom()
		r = &ring{most: AttemptsPerClient}
		j.clients[clientID] = r
	}
	r.add(a)
}

// makeRoom forgets the client whose newest attempt is the oldest when there are as many as there may be.
func (j *journal) makeRoom() {
	if len(j.clients) < attemptClients {
		return
	}
	var quiet string
	var since time.Time
	for id, r := range j.clients {
		if at := r.last().At; quiet == "" || at.Before(since) {
			quiet = id
			since = at
		}
	}
	delete(j.clients, quiet)
}

// shorten cuts what is too long to be remembered, without holding on to the rest.
func shorten(text string) string {
	if len(text) <= attemptText {
		return text
	}
	return strings.ToValidUTF8(strings.Clone(text[:attemptText]), "") + "..."
}

// recent returns up to most attempts, newest first, of one frontend and of nobody at address.
func (j *journal) recent(clientID, frontendID string, address netip.Addr, since time.Time, most int) []Attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []Attempt
	if r := j.clients[clientID]; r != nil {
		found = r.newest(found, most, func(a Attempt) bool { return a.FrontendID == frontendID && a.At.After(since) })
	}
	found = j.nobody.newest(found, most, func(a Attempt) bool { return a.Address.Addr() == address && a.At.After(since) })
	sortNewest(found)
	return found[:min(len(found), most)]
}

// of returns up to most attempts of a client's frontend, newest first.
func (j *journal) of(clientID, frontendID, reason string, most int) []Attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.clients[clientID]
	if r == nil {
		return nil
	}
	return r.newest(nil, most, func(a Attempt) bool {
		return a.FrontendID == frontendID && (reason == "" || a.Code == reason)
	})
}

// since returns the attempts of a client since a moment, newest first.
func (j *journal) since(clientID string, at time.Time) []Attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.clients[clientID]
	if r == nil {
		return nil
	}
	return r.newest(nil, r.most, func(a Attempt) bool { return a.At.After(at) })
}

func (j *journal) forget(clientID string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.clients, clientID)
}

// ring is a list that forgets its oldest entry when it has most of them.
type ring struct {
	most    int
	entries []Attempt
	oldest  int // once it is full
}

func (r *ring) add(a Attempt) {
	if len(r.entries) > 0 {
		if last := r.last(); last.same(a) {
			last.Count++
			last.At = a.At
			return
		}
	}
	a.Count = 1
	a.First = a.At
	if len(r.entries) < r.most {
		r.entries = append(r.entries, a)
		return
	}
	r.entries[r.oldest] = a
	r.oldest = (r.oldest + 1) % r.most
}

// nth is the i-th newest entry, from 0.
func (r *ring) nth(i int) *Attempt {
	n := len(r.entries)
	return &r.entries[(r.oldest+n-1-i)%n]
}

func (r *ring) last() *Attempt { return r.nth(0) }

func (a Attempt) same(b Attempt) bool {
	return a.Code == b.Code && a.Serial == b.Serial && a.FrontendID == b.FrontendID && a.Route == b.Route &&
		a.Address.Addr() == b.Address.Addr() && b.At.Sub(a.At) < sameAttempt
}

func (r *ring) newest(into []Attempt, most int, wanted func(Attempt) bool) []Attempt {
	for i := 0; i < len(r.entries) && most > 0; i++ {
		if one := r.nth(i); wanted(*one) {
			into = append(into, *one)
			most--
		}
	}
	return into
}

// sightings is what was seen of a frontend's connections: how far they have come, for the connect page,
// and how many and how fast, for the charts.
type sightings struct {
	accepted, routed, firstByte atomic.Int64            // Unix nanoseconds of the newest, zero: never
	newest                      atomic.Pointer[Served]  // the one that firstByte is of
	noted                       atomic.Bool             // the first byte has been written down
	traffic                     atomic.Pointer[traffic] // nil before there was any
	meter                       meter
	checks                      checkLogs
	identities                  identities
}

// trace hears from the balancer about every connection. It must not block.
func (l *Live) trace(e lb.Event) {
	b, _ := e.Tag.(*Holder)
	l.tellProbe(b, &e)
	switch e.Kind {
	case lb.Accepted:
		b.frontend.seen.identities.add(b.Certificate, 1, l.cfg.Now())
		b.frontend.seen.accepted.Store(l.cfg.Now().UnixNano())
	case lb.Dialled:
		if b != nil {
			b.frontend.seen.meter.note(&e)
		}
		return
	case lb.EarlyClosed:
		return
	case lb.Routed:
		b.frontend.seen.routed.Store(l.cfg.Now().UnixNano())
	case lb.FirstByte:
		l.sawFirstByte(b, e)
	case lb.Refused:
		l.traceRefused(e)
		return
	case lb.Closed:
		l.traceClosed(b, e)
	}
	l.meter.note(&e, nil)
	if b != nil {
		b.frontend.seen.meter.note(&e)
		l.bus.mark(b.ClientID)
	}
}

func (l *Live) sawFirstByte(b *Holder, e lb.Event) {
	seen := b.frontend.seen
	seen.newest.Store(&Served{
		id: e.ID, From: e.Remote, Serial: b.Certificate.Serial, Resumed: e.Resumed, Route: e.Backend,
		Handshake: e.Handshake, Wait: e.Wait, Connect: e.Connect, Took: e.Duration, BytesIn: e.BytesIn, BytesOut: e.BytesOut,
	})
	seen.firstByte.Store(l.cfg.Now().UnixNano())
	if !b.frontend.record.FirstByteAt.IsZero() || seen.noted.Swap(true) {
		return
	}
	select {
	case l.firsts <- b.FrontendID:
	default:
		seen.noted.Store(false) // the next connection says it again
	}
}

// ended notes what went through the connection that is shown stage by stage.
func (s *sightings) ended(e lb.Event) {
	newest := s.newest.Load()
	if newest == nil || newest.id != e.ID {
		return
	}
	all := *newest
	all.BytesIn = e.BytesIn
	all.BytesOut = e.BytesOut
	s.newest.CompareAndSwap(newest, &all)
}

// traceRefused writes down a connection that was turned away before it had a pool.
func (l *Live) traceRefused(e lb.Event) {
	clientID, frontendID, serial := l.owner(e.Leaf)
	l.meter.note(&e, l.meterOf(frontendID))
	if l.lines.Allow(refusalKind{e.Reason, clientID}, l.cfg.Now()) {
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "refused connection",
			slog.Uint64("id", e.ID), slog.String("reason", string(e.Reason)), slog.String("detail", shorten(e.Detail)),
			slog.String("client", clientID), slog.String("frontend", frontendID), slog.String("serial", shorten(serial)),
			slog.String("source", e.Remote.String()), slog.Duration("total", e.Duration))
	}
	l.journal.add(clientID, Attempt{
		At: l.cfg.Now(), Code: string(e.Reason), Detail: e.Detail, Address: e.Remote, Serial: serial, FrontendID: frontendID,
	})
	if clientID == "" {
		l.bus.mark(sourceMark(e.Remote.Addr()))
		return
	}
	l.bus.mark(clientID)
}

// refusalKind is what lines about refused connections are counted by. They need no key: whoever has seen a certificate
// can show it, so those with an owner are bounded too.
type refusalKind struct {
	reason lb.Reason
	client string
}

// CountLines writes how many lines about refused connections were left out since the last call.
func (l *Live) CountLines(ctx context.Context) {
	for kind, n := range l.lines.Skipped() {
		l.log.LogAttrs(ctx, slog.LevelInfo, "lines left out", slog.String("of", "refused connection"),
			slog.String("reason", string(kind.reason)), slog.String("client", kind.client), slog.Int("count", n))
	}
}

// notServed are the ends of a connection that its owner should hear about.
var notServed = map[lb.Reason]bool{
	lb.ReasonNoBackend: true, lb.ReasonAllFull: true, lb.ReasonBackendRefused: true, lb.ReasonBackendTimeout: true,
	lb.ReasonBackendDNS: true, lb.ReasonBackendPolicy: true, lb.ReasonBackendTLS: true, lb.ReasonBackendClosed: true,
	lb.ReasonConnLimit: true, lb.ReasonRateLimit: true, lb.ReasonServerLimit: true,
}

func (l *Live) traceClosed(b *Holder, e lb.Event) {
	if b == nil {
		return
	}
	b.frontend.seen.ended(e)
	b.frontend.seen.identities.add(b.Certificate, -1, l.cfg.Now())
	l.noteEnded(b, &e)
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "connection",
		slog.Uint64("id", e.ID), slog.String("reason", string(e.Reason)), slog.String("client", b.ClientID),
		slog.String("frontend", b.FrontendID), slog.String("serial", b.Certificate.Serial), slog.String("source", e.Remote.String()),
		slog.String("route", e.Backend), slog.Int64("bytesIn", e.BytesIn), slog.Int64("bytesOut", e.BytesOut),
		slog.Int64("unackedIn", e.UnackedIn), slog.Int64("unackedOut", e.UnackedOut),
		slog.Duration("wait", e.Wait), slog.Duration("connect", e.Connect), slog.Duration("total", e.Duration))
	if notServed[e.Reason] {
		l.journal.add(b.ClientID, Attempt{
			At: l.cfg.Now(), Code: string(e.Reason), Detail: e.Detail, Address: e.Remote, Serial: b.Certificate.Serial,
			Route: e.Backend, FrontendID: b.FrontendID,
		})
	}
}

// Refused returns up to most attempts of a client's frontend, newest first, of one reason or of all.
func (l *Live) Refused(clientID, frontendID, reason string, most int) []Attempt {
	return l.named(clientID, l.journal.of(clientID, frontendID, reason, most))
}

// named adds the names of certificates to attempts.
func (l *Live) named(clientID string, found []Attempt) []Attempt {
	for i := range found {
		found[i].Name = l.certificateName(clientID, found[i].Serial)
	}
	return found
}

// certificateName is the name of a certificate of a client; empty when it has none, or there is no such certificate.
func (l *Live) certificateName(clientID, serial string) string {
	if cert, known := l.bySerial(serial); known && cert.ClientID == clientID {
		return cert.Name
	}
	return ""
}

// RefusedSince returns the attempts of all frontends of a client since a moment, newest first.
func (l *Live) RefusedSince(clientID string, since time.Time) []Attempt {
	return l.named(clientID, l.journal.since(clientID, since))
}

// IsReason tells whether there is such a reason.
func IsReason(text string) bool {
	_, known := reasonIndex[lb.Reason(text)]
	return known
}
