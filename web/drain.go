package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connStates are the connections of a server. The zero value has none.
type connStates struct {
	mu  sync.Mutex
	all map[net.Conn]http.ConnState
}

func (c *connStates) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[net.Conn]http.ConnState{}
	}
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.all, conn)
		return
	}
	c.all[conn] = state
}

// busy tells whether a request is being answered, or may be on its way on a connection that was just made.
func (c *connStates) busy(early bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range c.all {
		if state == http.StateActive || early && state == http.StateNew {
			return true
		}
	}
	return false
}

// serveUntil runs serve and stops srv when ctx ends.
func (s *Server) serveUntil(ctx context.Context, srv *http.Server, serve func() error) error {
	stopped := make(chan struct{})
	var conns connStates
	srv.ConnState = conns.note
	cancel := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.stop(ctx, srv, &conns)
	})
	err := serve()
	if cancel() { // ctx has not ended: serving failed
		return err
	}
	<-stopped
	return nil
}

const (
	// drainStep is how often is looked whether connections have nothing to do any more.
	drainStep = 50 * time.Millisecond
	// newTime is how long a connection that was just made may take to begin with its request.
	newTime = 500 * time.Millisecond
)

// stop ends srv: requests may finish for a while. Idle connections are told and closed; net/http would wait a second for those
// of HTTP/2 to go, and the next process with it.
func (s *Server) stop(ctx context.Context, srv *http.Server, conns *connStates) {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(max(s.cfg.DrainTimeout, 0), maxDrain))
	defer cancel()
	defer srv.Close()
	for began := time.Now(); ; {
		step, cancel := context.WithTimeout(drain, drainStep)
		err := srv.Shutdown(step)
		cancel()
		switch {
		case err == nil:
			return
		case drain.Err() != nil:
			s.log.Debug("requests were cut", "error", err)
			return
		case !conns.busy(time.Since(began) < newTime):
			return
		}
	}
}
