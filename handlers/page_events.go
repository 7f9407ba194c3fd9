package handlers

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/control"
)

const (
	// renderEvery bounds how often one stream renders.
	renderEvery = time.Second
	// bytesPerSecond bounds how much one stream sends in the long run, so that a large page is sent less often: the table of
	// a hundred frontends whose routes come and go took a tenth of a core of the browser with each second's.
	bytesPerSecond = 24 << 10
	// longestRest keeps the largest page live.
	longestRest = 4 * time.Second
	// checkEvery is how often a stream that rests looks whether its session is still there: another tab may have logged out.
	checkEvery = renderEvery / 4
	// heartbeat keeps what is between from closing a quiet stream, and ages on the page right.
	heartbeat = 15 * time.Second
	// writeTimeout ends a stream whose reader has stopped reading.
	writeTimeout = 10 * time.Second
)

// events is the stream that keeps an open page live. It wakes on marks, reads the state again through
// control, and sends what the first page load would show, at most once a second and only what changed.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	view, exists := p.liveViews()[q.Get("view")]
	if !exists {
		return errNoView
	}
	marks, end, err := p.Control.Changes(r.Context())
	if err != nil {
		return err
	}
	defer end()
	s := &stream{w: w, out: http.NewResponseController(w), sent: map[string]string{}}
	first, err := p.newer(r, q, view, s)
	if err != nil {
		return err // an error page, not a stream
	}
	a := control.ActorFrom(r.Context())
	one, leave := p.streams.enter(a.ClientID, a.Session)
	defer leave()
	s.begin()
	if s.write("retry: 1000\nevent: build\ndata: "+p.Version+"\n\nevent: stream\ndata: "+one.id+"\n\n"+first) != nil {
		return nil
	}
	p.follow(r, q, view, s, marks, one)
	return nil
}

// turnStream has an open stream go on with another view: the page in its tab was replaced by another.
func (p *Pages) turnStream(w http.ResponseWriter, r *http.Request) error {
	a := control.ActorFrom(r.Context())
	q := r.PostForm
	if _, exists := p.liveViews()[q.Get("view")]; !exists || !p.streams.turn(a.ClientID, a.Session, q.Get("stream"), q) {
		return errNoView
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// follow sends until the reader leaves, the session ends or the server stops.
func (p *Pages) follow(r *http.Request, q url.Values, view liveView, s *stream, marks <-chan struct{}, one *openStream) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		if !p.rest(r.Context(), s.pause()) {
			s.write(gone)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-one.over:
			s.write(later)
			return
		case q = <-one.turns:
			view = p.liveViews()[q.Get("view")]
			clear(s.sent)
			s.view = q.Get("number")
		case <-ticker.C:
		case <-marks:
		}
		err := p.Control.CheckSession(r.Context())
		text := ""
		if err == nil {
			text, err = p.newer(r, q, view, s)
		}
		if control.KindOf(err) == control.KindUnavailable { // the page says that it tries again, and keeps what it shows
			return
		}
		if err != nil {
			s.write(gone)
			return
		}
		if s.write(text) != nil {
			return
		}
	}
}

// newer makes, in its turn, what is new since the last time.
func (p *Pages) newer(r *http.Request, q url.Values, view liveView, s *stream) (string, error) {
	if err := p.rendering.Take(r.Context(), control.ActorFrom(r.Context()).ClientID); err != nil {
		return "", err
	}
	defer p.rendering.Pass()
	fragments, err := view(r, q)
	if err != nil {
		return "", err
	}
	return s.text(r.Context(), fragments)
}

// later has the page come back in a while: other tabs have all the streams there may be.
const later = "event: later\ndata: 60\n\n"

// gone has the page ask the server what has become of it.
const gone = "event: gone\ndata: \n\n"

// rest waits between two renderings, and returns false when the session has ended meanwhile.
func (p *Pages) rest(ctx context.Context, pause time.Duration) (alive bool) {
	for end := time.Now().Add(pause); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return true // follow sees it
		case <-time.After(checkEvery):
		}
		if control.KindOf(p.Control.CheckSession(ctx)) == control.KindUnauthenticated {
			return false
		}
	}
	return true
}

// stream writes server-sent events (WHATWG HTML, section 9.2) and remembers what it sent.
type stream struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	sent map[string]string
	size int    // of what was sent last, in bytes
	view string // a number to tell the page first: from there on the stream has another view; empty for none
}

// text is what to send of fragments: those that are not as they were, and a stamp.
func (s *stream) text(ctx context.Context, fragments []fragment) (string, error) {
	var text strings.Builder
	if n, err := strconv.Atoi(s.view); err == nil {
		fmt.Fprintf(&text, "event: view\ndata: %d\n\n", n)
	}
	s.view = ""
	for _, f := range fragments {
		var html bytes.Buffer
		if err := f.html.Render(ctx, &html); err != nil {
			return "", err
		}
		if s.sent[f.id] == html.String() {
			continue
		}
		s.sent[f.id] = html.String()
		fmt.Fprintf(&text, "event: %s\n", f.id)
		for line := range strings.Lines(html.String()) {
			fmt.Fprintf(&text, "data: %s\n", strings.TrimRight(line, "\r\n"))
		}
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "event: stamp\ndata: %s\n\n", time.Now().UTC().Format(time.RFC3339))
	return text.String(), nil
}

// begin says what comes, and lifts the request's deadlines: the answer lasts.
func (s *stream) begin() {
	s.out.SetReadDeadline(time.Time{})
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.Header().Set("X-Accel-Buffering", "no") // nginx would keep it until it ends
}

// pause is how long to rest after what was sent last.
func (s *stream) pause() time.Duration {
	return min(max(renderEvery, time.Duration(s.size)*time.Second/bytesPerSecond), longestRest)
}

func (s *stream) write(text string) error {
	s.size = len(text)
	s.out.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.out.SetWriteDeadline(time.Time{})
}

var errNoView = &control.Error{Kind: control.KindNotFound, Message: "There is no such view."}
