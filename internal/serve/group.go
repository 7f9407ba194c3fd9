package serve

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// group is tasks that end together. One that fails asks for the end of the whole server.
type group struct {
	tasks errgroup.Group
	ctx   context.Context
	end   context.CancelFunc
	fail  context.CancelCauseFunc
}

func newGroup(fail context.CancelCauseFunc) *group {
	g := &group{fail: fail}
	g.ctx, g.end = context.WithCancel(context.Background())
	return g
}

// run begins a task. Errors have its name before them, unless it is empty.
func (g *group) run(name string, task func(context.Context) error) {
	g.tasks.Go(func() error {
		err := task(g.ctx)
		if err != nil && name != "" {
			err = fmt.Errorf("%s: %w", name, err)
		}
		if err != nil {
			g.fail(err)
		}
		return nil
	})
}

// stop ends the tasks, and returns when they have.
func (g *group) stop() {
	g.end()
	g.tasks.Wait()
}
