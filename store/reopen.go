package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What happens when a commit fails.
//
// What is on the disk is not known then, and Badger is not made to be used any longer: it may have no
// memtable. From that moment on every call gets ErrFailed; Run closes the database in order, opens it
// again and looks that nothing is missing that was answered. Who follows the changes hears of a Resync
// when something is there that nobody was told of. When that fails three times, or commits do, Run
// gives up, and the process has to end: the next start has the same data, and says what is wrong.

// reopenPauses is how long Run waits before each try to open the database again.
var reopenPauses = []time.Duration{100 * time.Millisecond, 2 * time.Second, 10 * time.Second}

const (
	// failuresSpan is the time within which so many failed commits as there are tries mean that to go on
	// is no use.
	failuresSpan = 10 * time.Minute
	// shutTimeout bounds the wait for calls that are going on, and for Badger's close.
	shutTimeout = 30 * time.Second
)

// fail notes that a commit failed, and wakes Run.
func (b *Badger) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = fmt.Errorf("%w: writing to %s failed: %w", ErrFailed, b.dir, err)
		b.tell(LogError, b.failed.Error()+"; it is closed and opened again")
		b.failures = append(b.failures, time.Now())
		close(b.broken)
	}
	return b.failed
}

func (b *Badger) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// brokenSignal is closed once a commit has failed.
func (b *Badger) brokenSignal() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

// asFailure turns a panic of Badger's after a commit has failed into that failure. Others go on.
func (b *Badger) asFailure(err *error) {
	failed := b.failure()
	if failed == nil {
		return
	}
	if r := recover(); r != nil {
		*err = failed
	}
}

// heal opens the database again. The error is final.
func (b *Badger) heal(ctx context.Context) error {
	if b.failedTooOften() {
		return fmt.Errorf("%d commits failed within %s: %w", len(reopenPauses), failuresSpan, b.failure())
	}
	if err := b.shut(); err != nil {
		return fmt.Errorf("%w: %w", b.failure(), err)
	}
	var last error
	for _, pause := range reopenPauses {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if last = b.openAgain(); last == nil {
			b.tell(LogWarning, fmt.Sprintf("the store in %s is open again, nothing is lost", b.dir))
			return nil
		}
		b.tell(LogError, fmt.Sprintf("the store cannot be opened again: %v", last))
	}
	return last
}

func (b *Badger) failedTooOften() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(reopenPauses)
	return len(b.failures) >= n && time.Since(b.failures[len(b.failures)-n]) < failuresSpan
}

// shut waits until no call uses the failed database, and closes it, once.
func (b *Badger) shut() error {
	if b.db == nil {
		return nil
	}
	deadline := time.Now().Add(shutTimeout)
	for b.inUse() {
		if time.Now().After(deadline) {
			return fmt.Errorf("still in use after %s", shutTimeout)
		}
		time.Sleep(time.Millisecond)
	}
	db := b.db
	closed := make(chan error, 1)
	b.db = nil
	go func() { // Badger waits in it for as long as it cannot write its tables
		defer func() {
			if r := recover(); r != nil {
				closed <- fmt.Errorf("close: %v", r)
			}
		}()
		closed <- db.Close()
	}()
	select {
	case err := <-closed:
		if err != nil {
			b.tell(LogWarning, fmt.Sprintf("closing the failed store in %s: %v", b.dir, err))
		}
		return nil
	case <-time.After(shutTimeout):
		return fmt.Errorf("it does not close in %s", shutTimeout)
	}
}

func (b *Badger) inUse() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active > 0
}

// openAgain opens the database, makes sure that all is there that was answered, and lets calls in.
func (b *Badger) openAgain() error {
	if err := b.spaceToOpen(); err != nil {
		return err
	}
	db, err := openDB(b.dir, b.cfg)
	if err != nil {
		return err
	}
	b.db = db
	revision, _, err := b.readRevision()
	if answered := b.Revision(); err == nil && revision < answered {
		err = fmt.Errorf("%d changes were answered and it has only %d", answered, revision)
	}
	if err != nil {
		b.db = nil
		return errors.Join(damaged(b.dir, err), db.Close())
	}
	b.log.jump(revision)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = nil
	b.broken = make(chan struct{})
	return nil
}
