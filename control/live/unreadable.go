package live

import (
	"context"
	"log/slog"
	"sync"

	"github.com/xdire/xlb/store"
)

// unreadable are the records that cannot be decoded: a disk has changed them, or a later xlb has written what this one
// does not know. Each counts as gone, so that nothing is let in by what nobody can read, and costs nothing else. The zero
// value is none.
type unreadable struct {
	mu   sync.Mutex
	keys map[string]bool
}

// setUnreadable says which they are now.
func (l *Live) setUnreadable(ctx context.Context, keys []string) {
	u := &l.unreadable
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys = map[string]bool{}
	for _, key := range keys {
		u.keys[key] = true
		l.tellUnreadable(ctx, key)
	}
}

// noteUnreadable notes that a record has become unreadable, or is no longer.
func (l *Live) noteUnreadable(ctx context.Context, change store.Record) {
	u := &l.unreadable
	u.mu.Lock()
	defer u.mu.Unlock()
	switch was := u.keys[change.Key]; {
	case change.Unreadable:
		u.keys[change.Key] = true
		l.tellUnreadable(ctx, change.Key)
	case was:
		delete(u.keys, change.Key)
		l.log.LogAttrs(ctx, slog.LevelInfo, "record is readable again", slog.String("record", change.Key))
	}
}

func (l *Live) tellUnreadable(ctx context.Context, key string) {
	l.log.LogAttrs(ctx, slog.LevelError, "record cannot be read and counts as gone", slog.String("record", key))
}

func (u *unreadable) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys)
}
