package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/config"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
	"github.com/xdire/xlb/web"
)

// server is all the parts of one that runs.
type server struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	engine  *store.Badger
	control *control.Control
	web     *web.Server
	sockets *sockets
	admin   net.Listener      // nil: none could be made
	public  publicCertificate // nil: none

	reloading chan struct{} // has room for one reload at a time
	next      chan *child   // that waits for the store
	passed    *copies       // of the sockets, set before
	followed  chan struct{} // closed by contact
	contact   func()        // once the next process is there

	// What runs, in the order in which it ends.
	front         *group // what brings changes
	writers       *group // what makes some by itself
	readers       *group // what needs the store
	drained       *group // what serves connections
	probes        *group // the operations port
	failed        context.Context
	stopAccepting func() // once; connections may finish then
	done          chan struct{}
}

// releaseTime bounds the wait until all that was written is in force everywhere.
const releaseTime = 10 * time.Second

// run serves until ctx ends, a task fails or another process takes over. Then requests end, the store is released, and
// connections may finish, from memory.
func (s *server) run(ctx context.Context) error {
	failed, fail := context.WithCancelCause(context.Background())
	defer fail(nil)
	s.failed = failed
	for _, g := range []**group{&s.front, &s.writers, &s.readers, &s.drained, &s.probes} {
		*g = newGroup(fail)
	}
	s.stopAccepting = sync.OnceFunc(func() { s.drained.run("", s.drain) })
	s.contact = sync.OnceFunc(func() {
		close(s.followed)
		s.probes.end() // the other one answers there
	})
	s.runTasks()
	if err := s.listen(ctx); err != nil {
		fail(err)
	} else {
		s.announce()
		tellSystem("READY=1")
	}
	next := s.serveUntil(ctx)
	if next == nil {
		s.stopAccepting()
	}
	s.release()
	s.drained.run("", s.follow)
	if next != nil {
		s.handOver(ctx, next)
	}
	if s.passed != nil {
		s.passed.Close()
	}
	s.stopAccepting()
	<-s.done
	s.drained.stop()
	s.probes.stop()
	return context.Cause(failed)
}

// runTasks begins what runs by itself, and the operator's socket: who had the store before finds this process there.
func (s *server) runTasks() {
	s.readers.run("", s.engine.Run)
	for _, t := range s.control.Tasks() {
		until := map[control.Phase]*group{control.Asked: s.writers, control.Released: s.readers, control.Drained: s.drained}
		until[t.Until].run(t.Name, t.Run)
	}
	if s.public != nil {
		s.writers.run("", s.public.Run)
	}
	if s.admin != nil {
		s.front.run("", func(ctx context.Context) error { return s.web.ServeOperator(ctx, s.admin) })
	}
	s.drained.run("", s.keepAlive)
	s.writers.run("", s.reloadOnSignal)
}

// followedTime is how long who had the store before may take to follow this process, which holds no connection up.
const followedTime = 2 * time.Second

// listen begins to serve the ports. Nothing changes before who had the store before can hear of it.
func (s *server) listen(ctx context.Context) error {
	s.control.Settle(ctx)
	if s.engine.Waited() {
		wait, cancel := context.WithTimeout(ctx, followedTime)
		defer cancel()
		s.control.Followed(wait)
	}
	if err := s.sockets.open(ctx); err != nil {
		return err
	}
	if l := s.sockets.ops; l != nil { // answers until the last connection has drained, and says so
		s.probes.run("", func(ctx context.Context) error { return s.web.ServeOps(ctx, l.listener) })
	}
	if l := s.sockets.acme; l != nil {
		s.front.run("", func(ctx context.Context) error { return s.web.ServeACME(ctx, l.listener) })
	}
	s.front.run("", func(ctx context.Context) error { return s.web.Serve(ctx, s.sockets.http.listener) })
	s.drained.run("", func(context.Context) error {
		if err := s.control.Balancer().Serve(s.sockets.lb.listener); !errors.Is(err, lb.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// serveUntil returns when the server has to end, with the process that waits to take over, if there is one.
func (s *server) serveUntil(ctx context.Context) (next *child) {
	select {
	case next = <-s.next:
		return next
	case <-s.failed.Done(): // serving on would serve stale rules
		return nil
	case <-ctx.Done():
	}
	if pid := store.Next(s.engine.Dir()); pid != 0 {
		return &child{pid: pid, stranger: true}
	}
	tellSystem("STOPPING=1")
	s.web.Drain()
	select { // whoever sends connections here sees it, and sends the next ones elsewhere
	case <-time.After(s.cfg.DrainDelay):
	case <-s.failed.Done():
	}
	return nil
}

// release ends what needs the store, and closes it. Connections go on from memory.
func (s *server) release() {
	s.front.stop()
	s.writers.stop()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	if err := s.control.Release(ctx); err != nil {
		s.log.Warn("the last changes are not in force everywhere", "error", err)
	}
	s.readers.stop()
	if err := s.engine.Close(); err != nil {
		s.log.Warn("closing the store", "error", err)
	}
}

// drain ends accepting, and lets connections finish.
func (s *server) drain(context.Context) error {
	defer close(s.done)
	s.web.Drain()
	s.log.Info("draining", "timeout", s.cfg.DrainTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	if err := s.control.Balancer().Shutdown(ctx); err != nil {
		s.log.Warn("connections were cut", "error", err)
	}
	return nil
}

// reloadOnSignal hands over to another process when a signal asks for it.
func (s *server) reloadOnSignal(ctx context.Context) error {
	if reloadSignal == nil {
		return nil
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, reloadSignal)
	defer signal.Stop(asked)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
			if err := s.reload(ctx); err != nil {
				s.log.Error("no new process takes over", "error", err)
			}
		}
	}
}
