package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/xdire/xlb/control"
)

// EventsURL is the stream of a client's events.
const EventsURL = apiPrefix + "/events"

// eventsEvery is the least time between two writes of one stream: what happens at once goes out together.
const eventsEvery = 250 * time.Millisecond

type eventsInput struct {
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was received: the stream goes on after it"`
}

// eventBody is the data of an event. What it is not about is left out.
type eventBody struct {
	Type      string     `json:"type" enum:"frontend.created,frontend.changed,frontend.deleted,frontend.state,route.state,certificate.issued,certificate.revoked,certificate.expiring,client.changed,limit"`
	At        timestamp  `json:"at"`
	Frontend  string     `json:"frontend,omitempty" doc:"uuid"`
	Name      string     `json:"name,omitempty" doc:"Of the frontend, or of the certificate that it is about"`
	Route     string     `json:"route,omitempty" doc:"host:port"`
	Serial    string     `json:"serial,omitempty"`
	State     string     `json:"state,omitempty" doc:"Of a frontend or route, as in its status; of a limit near or free"`
	Reason    string     `json:"reason,omitempty" doc:"A code, of a route that does not work or a certificate that was revoked"`
	Detail    string     `json:"detail,omitempty" doc:"The same for people"`
	ExpiresAt *timestamp `json:"expiresAt,omitempty" doc:"Of a certificate"`
	Limit     string     `json:"limit,omitempty" doc:"Its name, as in the list of limits"`
	Max       int        `json:"max,omitempty" doc:"Of the limit"`
}

func (a *jsonAPI) registerEvent() {
	op := huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: EventsURL, Security: withBearer, Tags: []string{"Client"},
		Summary: "What happens to the client's things, as a stream of server-sent events that begins with how they are",
	}
	schema := huma.SchemaFromType(a.OpenAPI().Components.Schemas, reflect.TypeFor[eventBody]())
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Events; data is JSON of this form. After what is so now comes an event named ready, without data",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
	}}
	register(a, op, a.events)
}

// events answers with a stream. Who may not read gets an answer like any other.
func (a *jsonAPI) events(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	read, err := a.control.Events(ctx, in.LastEventID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer read.Close()
		w := ctx.BodyWriter().(http.ResponseWriter) // of the one adapter that serves
		s := &stream{w: w, out: http.NewResponseController(w)}
		s.begin()
		if s.write("retry: 1000\n\n") == nil {
			sendEvents(ctx.Context(), s, read)
		}
	}}, nil
}

// sendEvents sends until the reader leaves, its credential ends or the server stops.
func sendEvents(ctx context.Context, s *stream, read *control.EventStream) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		got, err := read.Next()
		if err != nil {
			s.write("event: end\ndata: " + oneLine(err.Error()) + "\n\n")
			return
		}
		text := ""
		for _, e := range got.Items {
			text += eventText(e, read)
		}
		if got.Now {
			text += fmt.Sprintf("id: %s\nevent: ready\ndata:\n\n", read.ID(got.Last))
		}
		if text != "" && s.write(text) != nil {
			return
		}
		soon := time.Duration(0)
		if got.Again {
			soon = time.Second
		}
		if !awaitEvents(ctx, s, read.Marks(), beat.C, soon) {
			return
		}
	}
}

// awaitEvents returns true when there may be something to send: after a mark, at a heartbeat, or soon when that is not zero.
func awaitEvents(ctx context.Context, s *stream, marks <-chan struct{}, beat <-chan time.Time, soon time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(eventsEvery):
	}
	var timer <-chan time.Time
	if soon > 0 {
		timer = time.After(soon)
	}
	select {
	case <-ctx.Done():
		return false
	case <-beat:
		return s.write(": still here\n\n") == nil
	case <-marks:
	case <-timer:
	}
	return true
}

// eventText is an event as it is sent. What was so before somebody listened has no id: it cannot be gone on from.
func eventText(e control.Event, read *control.EventStream) string {
	data, err := json.Marshal(eventBodyOf(e))
	if err != nil {
		return "" // numbers and texts: nothing that json cannot write
	}
	id := ""
	if e.Seq > 0 {
		id = "id: " + read.ID(e.Seq) + "\n"
	}
	return fmt.Sprintf("%sevent: %s\ndata: %s\n\n", id, e.Kind, data)
}

func eventBodyOf(e control.Event) eventBody {
	body := eventBody{
		Type: e.Kind, At: timestampOf(e.At), Frontend: e.Frontend, Name: e.Name, Route: e.Route, Serial: e.Serial, State: string(e.State),
		Reason: e.Reason, Detail: e.Detail, Limit: e.Limit, Max: e.Max,
	}
	if !e.Until.IsZero() {
		until := timestampOf(e.Until)
		body.ExpiresAt = &until
	}
	return body
}

func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}
