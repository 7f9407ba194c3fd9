package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// spaceEvery is how often Run looks at the disk, so that the log says when it gets full or has room
// again even while nobody writes.
const spaceEvery = 30 * time.Second

// garbageShare is how much of a value-log file must be garbage for it to be written anew.
const garbageShare = 0.5

// Run does the upkeep until ctx ends, and returns nil then: it collects garbage in the value log, looks
// at the free space, and opens the database again after a commit has failed. An error means that it
// could not: nothing can be read or written any more. Stop it before Close.
func (b *Badger) Run(ctx context.Context) error {
	space := time.NewTicker(spaceEvery)
	garbage := time.NewTicker(b.cfg.Upkeep)
	defer space.Stop()
	defer garbage.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.brokenSignal():
			if err := b.heal(ctx); err != nil {
				return err
			}
		case <-space.C:
			_ = b.writable(false) // logs when it changes
			b.compactInTurn(ctx)
		case <-garbage.C:
			b.collect(ctx)
		}
	}
}

// collect rewrites value-log files until none is worth it. Values of this engine are smaller than what
// Badger puts there, so it normally has nothing to do; it matters for stores that other settings wrote.
func (b *Badger) collect(ctx context.Context) {
	if b.enter() != nil {
		return
	}
	defer b.leave()
	for ctx.Err() == nil && b.writable(true) == nil {
		err := b.db.RunValueLogGC(garbageShare)
		if errors.Is(err, badger.ErrNoRewrite) || errors.Is(err, badger.ErrRejected) {
			return
		}
		if err != nil {
			b.tell(LogWarning, fmt.Sprintf("collect garbage in %s: %v", b.dir, err))
			return
		}
	}
}

// Ready returns nil while the engine takes writes, ErrReadOnly with the reason while it refuses them,
// and ErrClosed after Close.
func (b *Badger) Ready() error {
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	return b.writable(false)
}

// writable tells whether there is room for a write. It asks the disk each time: that costs a
// microsecond, next to an fsync.
func (b *Badger) writable(urgent bool) error {
	if err := b.failure(); err != nil {
		return err
	}
	if b.cfg.MinFree < 0 {
		return nil
	}
	free, err := b.free(b.dir)
	if err != nil {
		return fmt.Errorf("%w: how much room %s has cannot be told: %w", ErrReadOnly, b.dir, err)
	}
	b.noteSpace(free)
	least := b.cfg.MinFree
	if urgent {
		least /= 2
	}
	if free < least {
		return fmt.Errorf("%w: the disk of %s has %d MB left and writes need %d MB; make room on it", ErrReadOnly, b.dir, free>>20, least>>20)
	}
	return nil
}

// refusedEvery is how often the log says that writes are refused.
const refusedEvery = time.Minute

// noteRefused logs a write that was refused, and at most once a minute how many there were.
func (b *Badger) noteRefused(err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	b.refused++
	count := b.refused
	due := time.Since(b.saidAt) >= refusedEvery
	if due {
		b.refused = 0
		b.saidAt = time.Now()
	}
	b.mu.Unlock()
	if due {
		b.tell(LogError, fmt.Sprintf("%d writes refused: %v", count, err))
	}
}

// noteSpace logs when the disk gets too full, and when it has room again.
func (b *Badger) noteSpace(free int64) {
	low := free < b.cfg.MinFree
	b.mu.Lock()
	changed := low != b.low
	b.low = low
	b.mu.Unlock()
	switch {
	case changed && low:
		b.tell(LogError, fmt.Sprintf("the disk of %s has %d MB left: writes are refused below %d MB", b.dir, free>>20, b.cfg.MinFree>>20))
	case changed:
		b.tell(LogWarning, fmt.Sprintf("the disk of %s has room again: writes go on", b.dir))
	}
}

// openRoom is what opening needs at least, besides the tables that the memtables of the last run become.
const openRoom = 8 << 20

// spaceToOpen makes sure that opening does not run into a full disk.
func (b *Badger) spaceToOpen() error {
	if b.cfg.MinFree < 0 {
		return nil
	}
	free, err := b.free(b.dir)
	if err != nil {
		return dirError(b.dir, err)
	}
	need := int64(openRoom)
	entries, _ := os.ReadDir(b.dir)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".mem") {
			continue
		}
		if info, err := os.Stat(filepath.Join(b.dir, entry.Name())); err == nil {
			need += min(info.Size(), memTable)
		}
	}
	if free < need {
		return fmt.Errorf("%w: the disk of %s has %d MB left and opening needs %d MB; make room on it and start again", ErrNoSpace, b.dir, free>>20, need>>20)
	}
	return nil
}

// roomToClose tells whether there is room for the tables that Badger makes of its memtables when it
// closes: with a full disk the kernel would end the process in the middle. All is in the logs already,
// so not to close loses nothing.
func (b *Badger) roomToClose() bool {
	if b.cfg.MinFree < 0 {
		return true
	}
	free, err := b.free(b.dir)
	return err == nil && free >= (memTables+1)*memTable
}

func sprint(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
