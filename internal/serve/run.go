package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/config"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/web"
	"golang.org/x/sync/errgroup"
)

// runAll runs every task until ctx ends or one fails. The store's own tasks outlive the servers, so that
// what is in flight can still be saved.
func runAll(ctx context.Context, cfg config.Config, log *slog.Logger, upkeep func(context.Context) error, c *control.Control, server *web.Server, ls listeners, public publicCertificate) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	tasks, background := errgroup.WithContext(background)
	tasks.Go(func() error { return upkeep(background) })
	for _, t := range c.Tasks() {
		tasks.Go(func() error {
			if err := t.Run(background); err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			return nil
		})
	}
	if public != nil {
		tasks.Go(func() error { return public.Run(background) })
	}
	if ls.ops != nil { // answers until the last connection has drained, and says so
		tasks.Go(func() error { return server.ServeOps(background, ls.ops) })
	}
	if ls.acme != nil {
		tasks.Go(func() error { return server.ServeACME(background, ls.acme) })
	}
	if ls.admin != nil {
		tasks.Go(func() error { return server.ServeOperator(background, ls.admin) })
	}
	c.Settle(ctx)
	accepting, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	servers, serving := errgroup.WithContext(accepting)
	servers.Go(func() error {
		defer leave()
		select {
		case <-ctx.Done():
		case <-serving.Done(): // one has failed
			return nil
		case <-background.Done():
			return nil
		}
		server.Drain()
		select { // whoever sends connections here sees it, and sends the next ones elsewhere
		case <-time.After(cfg.DrainDelay):
		case <-serving.Done():
		case <-background.Done():
		}
		return nil
	})
	servers.Go(func() error { return server.Serve(serving, ls.http) })
	servers.Go(func() error {
		if err := c.Balancer().Serve(ls.lb); !errors.Is(err, lb.ErrServerClosed) {
			return err
		}
		return nil
	})
	servers.Go(func() error {
		select {
		case <-serving.Done():
		case <-background.Done(): // a task failed: serving on would serve stale rules
		}
		log.Info("draining", "timeout", cfg.DrainTimeout)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
		defer cancel()
		if err := c.Balancer().Shutdown(drain); err != nil {
			log.Warn("connections were cut", "error", err)
		}
		return context.Cause(background)
	})
	err := servers.Wait()
	stopBackground()
	if taskErr := tasks.Wait(); taskErr != nil {
		return taskErr
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
