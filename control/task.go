package control

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// Task is something that has to run while the server does. Run returns nil after ctx ends.
type Task struct {
	Name  string
	Until Phase
	Run   func(ctx context.Context) error
}

// Phase is how far the end of a server has come. Tasks of one end before the next begins.
type Phase int

// The phases of an end. Tasks that go on until Asked may write to the store as their last act; those until Drained use
// memory alone.
const (
	Asked    Phase = iota // no more requests come
	Released              // the store is closed
	Drained               // the last connection has ended
)

const (
	maxPanics  = 3 // of a task, within panicsSpan
	panicsSpan = 10 * time.Minute
)

// recovering begins a task again that has panicked: a fault in one of them is no reason to cut everybody's
// connections. One that panics again and again ends with an error, and so does the server, in order.
func (c *Control) recovering(t Task) func(context.Context) error {
	return func(ctx context.Context) error {
		var panics []time.Time
		for {
			err, panicked := t.try(ctx, c.logPanic)
			if !panicked {
				return err
			}
			panics = append(panics, time.Now())
			if n := len(panics); n >= maxPanics && time.Since(panics[n-maxPanics]) < panicsSpan {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		}
	}
}

func (t Task) try(ctx context.Context, tell func(task string, what any, stack []byte)) (err error, panicked bool) {
	defer func() {
		if what := recover(); what != nil {
			tell(t.Name, what, debug.Stack())
			err = fmt.Errorf("panic: %v", what)
			panicked = true
		}
	}()
	return t.Run(ctx), false
}

func (c *Control) logPanic(task string, what any, stack []byte) {
	c.log.Error("a task panicked", "task", task, "panic", fmt.Sprint(what), "stack", string(stack))
}

// receive calls fn with everything that comes, until ctx ends.
func receive[T any](ctx context.Context, from <-chan T, fn func(T)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case one := <-from:
			fn(one)
		}
	}
}
