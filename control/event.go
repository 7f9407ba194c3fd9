package control

import (
	"context"
	"slices"
	"time"

	"github.com/xdire/xlb/control/live"
)

// Event is something that has happened to what a client has, see package live.
type Event = live.Event

// EventStream reads the events of the actor's client, as far as it may see them. It is for one goroutine, which closes it.
type EventStream struct {
	control *Control
	actor   Actor
	reader  *live.EventReader
	marks   <-chan struct{}
	end     func()
}

// Events begins to read the events of the actor's client: after the one that last names, or with what is so now when it is
// empty or names one that is not known any more.
func (c *Control) Events(ctx context.Context, last string) (*EventStream, error) {
	_, a, err := c.may(ctx, actEventRead, "")
	if err != nil {
		return nil, err
	}
	marks, end := c.live.Subscribe(a.ClientID)
	reader, ok := c.live.ReadEvents(a.ClientID, last)
	if !ok {
		end()
		return nil, tooMany("All event streams of this client are in use: there may be 8.", 10*time.Second)
	}
	return &EventStream{control: c, actor: a, reader: reader, marks: marks, end: end}, nil
}

// Close ends the reading.
func (s *EventStream) Close() {
	s.end()
	s.reader.Close()
}

// Marks is marked when there may be something to read.
func (s *EventStream) Marks() <-chan struct{} { return s.marks }

// ID is what names an event to whoever goes on after it.
func (s *EventStream) ID(seq uint64) string { return s.reader.ID(seq) }

// Next is what has happened since the last call. It is an error when the credential that the stream came with has ended.
func (s *EventStream) Next() (live.Events, error) {
	if err := s.check(); err != nil {
		return live.Events{}, err
	}
	got := s.reader.Next()
	got.Items = slices.DeleteFunc(got.Items, func(e Event) bool { return !s.actor.reachesEvent(e) })
	return got, nil
}

// reachesEvent tells whether an actor may know of an event. A key that is bound to frontends learns of nothing else.
func (a Actor) reachesEvent(e Event) bool {
	return len(a.Frontends) == 0 || e.Frontend != "" && a.reaches(e.Frontend)
}

// check tells whether the credential is still good: a stream lasts longer than one request.
func (s *EventStream) check() error {
	if s.actor.APIKey != "" {
		_, key, known := s.control.live.APIKey(s.actor.APIKey)
		if !known || !s.control.cfg.Now().Before(key.ExpiresAt) {
			return &Error{Kind: KindUnauthenticated, Message: "The API key has expired or was revoked."}
		}
		_, active := s.control.clientNow(s.actor.ClientID)
		if !active {
			return errDisabled
		}
		return nil
	}
	return s.control.checkToken(s.actor.token)
}
