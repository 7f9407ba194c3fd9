package web

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/relay"
)

// reloadWait is how long a new process may take to begin.
const reloadWait = time.Minute

// reload has a new process take over. The answer comes when that waits for the store; what goes wrong before has changed
// nothing. Whoever asked then waits until it is the new process that answers here.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	out.SetReadDeadline(time.Now().Add(reloadWait))
	out.SetWriteDeadline(time.Now().Add(reloadWait))
	if s.cfg.Reload == nil {
		s.refuse(w, r, http.StatusNotImplemented, "This server cannot hand over to another process.")
		return
	}
	if err := s.cfg.Reload(r.Context()); err != nil {
		s.log.ErrorContext(r.Context(), "no new process takes over", "error", err, "request", control.ActorFrom(r.Context()).RequestID)
		s.refuse(w, r, http.StatusConflict, err.Error())
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// changes tells a process that had the store before what is changed now.
func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	conn, from, err := relay.Accept(w, r)
	if err != nil && conn == nil {
		s.refuse(w, r, http.StatusBadRequest, err.Error())
		return
	}
	defer conn.Close()
	if err == nil {
		s.log.InfoContext(r.Context(), "a process that drains follows", "from", from)
		err = s.control.ServeFollower(r.Context(), conn, from)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, relay.ErrMissed) {
		s.log.WarnContext(r.Context(), "a process that drains cannot follow any longer", "error", err)
		return
	}
	s.log.InfoContext(r.Context(), "a process that drained has ended, or follows another one")
}
