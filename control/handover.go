package control

import (
	"context"
	"fmt"
	"net"

	"github.com/xdire/xlb/store"
)

// A store changes hands while connections go on: the process that releases it drains from memory, and follows what the next
// one changes. An operation of that one is over when it is in force for those connections too.

// ServeFollower sends what changes after a revision to a process that had the store before, until one of the two ends. The
// caller has made sure that it is one, and closes conn.
func (c *Control) ServeFollower(ctx context.Context, conn net.Conn, from uint64) error {
	newest, err := c.store.Revision(ctx)
	if err != nil {
		return err
	}
	if from > newest {
		return fmt.Errorf("revision %d of this store is still to come", from)
	}
	return c.relay.Serve(ctx, conn, c.store.WatchRecords(from), from)
}

// Followed returns when a process that had the store before follows this one, or ctx ends.
func (c *Control) Followed(ctx context.Context) { c.relay.Joined(ctx) }

// Release returns when all that was written is in force here and known to those who follow, or ctx ends. It is called after
// the tasks until [Asked] have ended.
func (c *Control) Release(ctx context.Context) error {
	newest, err := c.store.Revision(ctx)
	if err != nil {
		return err
	}
	err = c.live.WaitFor(ctx, newest)
	c.relay.Finish(ctx, newest)
	return err
}

// Follow goes by a change that the next process has made, after the store was released, and returns up to where changes are
// in force.
func (c *Control) Follow(ctx context.Context, change store.Change) uint64 {
	return c.live.Apply(ctx, store.RecordOf(change))
}

// Applied is up to which revision changes of the store are in force.
func (c *Control) Applied() uint64 { return c.live.Revision() }
