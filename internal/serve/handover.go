package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xdire/xlb/internal/datadir"
	"github.com/xdire/xlb/internal/relay"
	"github.com/xdire/xlb/store"
)

const (
	// beginTime is how long a new process may take until it waits for the store.
	beginTime = 30 * time.Second
	// loadTime is how long it may take from there until it is ready.
	loadTime = 2 * time.Minute
	// retryPause is between a process that could not take over and the next one, at first; then twice as long, up to
	// retryPauseMost.
	retryPause     = time.Second
	retryPauseMost = 30 * time.Second
	// poll is how often it is looked whether another process has come or gone.
	poll = 5 * time.Millisecond
	// followPatience is how long connections go on by what is known here when somebody has the store and cannot be followed.
	followPatience = 10 * time.Second

	takeOver = "-take-over=2m0s"
)

// reload starts a process that is to take over, and returns when that waits for the store. An error has changed nothing.
func (s *server) reload(ctx context.Context) error {
	select {
	case s.reloading <- struct{}{}:
	default:
		return errors.New("another process is taking over already")
	}
	passed, err := copyOf(s.sockets)
	if err != nil {
		<-s.reloading
		return err
	}
	next, err := s.begin(ctx, passed)
	if err != nil {
		passed.Close()
		<-s.reloading
		return fmt.Errorf("the new process cannot take over: %w", err)
	}
	s.passed = passed
	s.next <- next
	return nil
}

// begin starts a process, and returns when it waits for the store.
func (s *server) begin(ctx context.Context, passed *copies) (*child, error) {
	next, err := passed.spawn(takeOver)
	if err != nil {
		return nil, err
	}
	s.log.Info("a new process begins", "pid", next.pid)
	for deadline := time.Now().Add(beginTime); next.running(); time.Sleep(poll) {
		if store.Next(s.engine.Dir()) == next.pid {
			return next, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			next.kill()
		}
	}
	return nil, next.ended
}

// handOver returns when the next process is there, or the server has to end. Until then connections are still accepted, by what
// is in memory; a process that fails is followed by another one.
func (s *server) handOver(ctx context.Context, next *child) {
	for pause := retryPause; !s.isFollowed(ctx, next); pause = min(2*pause, retryPauseMost) {
		if ctx.Err() != nil || s.failed.Err() != nil || next.stranger {
			return
		}
		s.log.Error("the new process could not take over; connections are served as things were, and another one is tried", "error", next.ended, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		again, err := s.passed.spawn(takeOver)
		if err != nil {
			again = &child{ended: err}
		}
		next = again
		s.log.Info("a new process begins", "pid", next.pid)
	}
	s.log.Info("another process has taken over", "pid", next.pid)
	if !next.stranger {
		tellSystem(fmt.Sprintf("MAINPID=%d\nREADY=1", next.pid))
	}
}

// isFollowed waits until the next process is there, and tells whether it is.
func (s *server) isFollowed(ctx context.Context, next *child) bool {
	deadline := time.NewTimer(loadTime)
	defer deadline.Stop()
	look := time.NewTicker(poll)
	defer look.Stop()
	for {
		select {
		case <-s.followed:
			return true
		case <-ctx.Done():
			if !next.stranger { // who was asked to end by a signal waits for a stranger
				return false
			}
			ctx = context.Background()
		case <-s.failed.Done():
			return false
		case <-deadline.C:
			if !next.stranger {
				next.kill()
			}
			return false
		case <-look.C:
			if !s.isThere(next) {
				return false
			}
		}
	}
}

// isThere tells whether the next process still is. Of a stranger, perhaps in another container, only its locks are known.
func (s *server) isThere(next *child) bool {
	if next.stranger {
		return store.Next(s.engine.Dir()) != 0 || store.Held(s.engine.Dir())
	}
	return next.ended == nil && next.running()
}

// follow goes by what the process changes that has the store now, until ctx ends. While nobody has it nothing can change. When
// somebody has and cannot be followed, it is not known any more who may go on, so nobody does.
func (s *server) follow(ctx context.Context) error {
	if !s.engine.Released() {
		return nil
	}
	var unknownSince time.Time
	look := time.NewTicker(poll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		if !store.Held(s.engine.Dir()) {
			unknownSince = time.Time{}
			continue
		}
		err := s.followOne(ctx)
		if err == nil || ctx.Err() != nil {
			unknownSince = time.Time{}
			continue
		}
		if unknownSince.IsZero() {
			unknownSince = time.Now()
		}
		if errors.Is(err, relay.ErrMissed) || time.Since(unknownSince) > followPatience {
			s.log.Error("the process that has the store cannot be followed: all connections are closed", "error", err)
			s.stopAccepting()
			return s.control.Balancer().Close()
		}
	}
}

// followOne follows one process until it releases the store.
func (s *server) followOne(ctx context.Context) error {
	from := s.control.Applied()
	conn, err := relay.Dial(ctx, datadir.Socket(s.cfg.DataDir), from)
	if err != nil {
		return err
	}
	s.log.Info("following another process", "from", from)
	s.contact()
	return relay.Follow(ctx, conn, from, func(change store.Change) uint64 { return s.control.Follow(ctx, change) })
}
