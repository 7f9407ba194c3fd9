package web

import (
	"net/http"
	"time"

	"github.com/xdire/xlb/control"
)

// backupWait is how long a reader of a backup may not read: the records are held at one revision for it.
const backupWait = 30 * time.Second

// backup answers with a backup of the server, on the operator's socket alone. What is cut off has no end, and its reader
// sees that.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	out := &patientWriter{w: w, out: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Cache-Control", "no-store")
	err := s.control.Backup(r.Context(), s.cfg.Version, out)
	switch {
	case err == nil:
	case out.began:
		s.log.WarnContext(r.Context(), "a backup was not finished", "error", err, "request", control.ActorFrom(r.Context()).RequestID)
		panic(http.ErrAbortHandler)
	default:
		s.log.ErrorContext(r.Context(), "a backup was not begun", "error", err, "request", control.ActorFrom(r.Context()).RequestID)
		s.refuse(w, r, http.StatusInternalServerError, "")
	}
}

// patientWriter gives each write a time of its own.
type patientWriter struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	began bool
}

func (p *patientWriter) Write(data []byte) (int, error) {
	p.began = true
	if err := p.out.SetWriteDeadline(time.Now().Add(backupWait)); err != nil {
		return 0, err
	}
	return p.w.Write(data)
}
