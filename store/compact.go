package store

import (
	"context"
	"fmt"
)

// Badger writes its tables into mapped files. When the disk becomes full meanwhile, the kernel ends the process, and all
// connections with it. Its compactors would run at any time, above all soon after a start; so there are none, and tables are
// merged here, when there are many and there is room for them twice. Where there is none they become more, which costs readers
// some time and nobody the process.

const (
	// compactAt is how many tables that may have the same keys there are when they are merged.
	compactAt = 5
	// compactRoom is what has to be free beside the size of all tables.
	compactRoom = 32 << 20
)

// compact merges tables if that is due. The caller has the turn to commit, or nobody else knows b yet.
func (b *Badger) compact() {
	if b.failure() != nil {
		return
	}
	levels := b.db.Levels()
	if len(levels) == 0 || levels[0].NumTables < compactAt {
		return
	}
	if b.cfg.MinFree >= 0 {
		need := int64(compactRoom)
		for _, level := range levels {
			need += level.Size
		}
		if free, err := b.free(b.dir); err != nil || free < need {
			return
		}
	}
	if err := b.db.Flatten(1); err != nil {
		b.tell(LogWarning, fmt.Sprintf("merging tables in %s: %v", b.dir, err))
	}
}

// compactInTurn waits for the turn to commit.
func (b *Badger) compactInTurn(ctx context.Context) {
	select {
	case b.queue.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-b.queue.turn }()
	if b.enter() != nil {
		return
	}
	defer b.leave()
	b.compact()
}
