package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// BadgerConfig is how a Badger runs. The zero value is right for production.
type BadgerConfig struct {
	// Log receives what a person should know: Badger's warnings and errors, and when writes begin and
	// cease to be refused. It is called from many goroutines and must not block. Nil discards.
	Log func(level LogLevel, message string)

	// MinFree is how many bytes the disk must have free for a write. Below it Update returns
	// ErrReadOnly. Badger writes into mapped files with holes: if the disk were full, the kernel would
	// end the process, and compaction needs room to make room. 0 is 128 MB, negative is no guard.
	MinFree int64

	// Wait is how long OpenBadger waits while another process has the store open, as the next one to have it. One at a time
	// can. Zero or negative: not at all.
	Wait time.Duration
	// Stop ends the wait early, with ErrLocked, when it is closed. Nil never is.
	Stop <-chan struct{}

	// AcceptLoss opens a store that has lost changes that were answered, and says since when. Without it that
	// is ErrLoss.
	AcceptLoss bool

	// Upkeep is how often Run collects garbage. 0 is ten minutes.
	Upkeep time.Duration

	// WatchLog is how many recent changes are kept in memory for watchers (and at most 16 MB of them).
	// 0 is 4096. A watcher that is further behind gets a Resync.
	WatchLog int
}

const (
	defaultMinFree  = 128 << 20
	defaultUpkeep   = 10 * time.Minute
	defaultWatchLog = 4096
	watchLogBytes   = 16 << 20

	valueLogFile = 16 << 20
	memTable     = 8 << 20
	memTables    = 2
)

func (c BadgerConfig) withDefaults() BadgerConfig {
	if c.Log == nil {
		c.Log = func(LogLevel, string) {}
	}
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
	if c.Upkeep <= 0 {
		c.Upkeep = defaultUpkeep
	}
	if c.WatchLog <= 0 {
		c.WatchLog = defaultWatchLog
	}
	return c
}

// LogLevel is how much a message matters.
type LogLevel int

// The levels of messages.
const (
	LogWarning LogLevel = iota // to be looked at some time
	LogError                   // something is refused
)

// Badger is an Engine in a directory of this machine. One process at a time can have it open.
type Badger struct {
	dir string
	cfg BadgerConfig
	db  *badger.DB
	log *changeLog

	lock     *os.File // of the directory, until Close
	waited   bool     // for the lock
	answered *answered

	queue commitQueue
	free  func(dir string) (int64, error) // space for this user, in bytes

	written int // bytes since tables were last looked at; whoever has the turn has it

	mu       sync.Mutex
	active   int           // calls that use db
	closed   bool          // no new ones
	idle     chan struct{} // closed when active falls to 0 after closed
	failed   error         // why nothing can be used until Run has opened the database again
	broken   chan struct{} // closed with failed
	failures []time.Time   // of commits
	low      bool          // the last look at the disk found too little
	refused  int           // writes, since the log said so
	saidAt   time.Time     // when that was
}

var _ Engine = (*Badger)(nil)

// revisionKey holds the newest revision. Badger's own keys begin with "!badger!"; a NUL keeps this one
// before all keys of ours, which are never empty.
const revisionKey = "\x00revision"

// OpenBadger opens the engine in dir, which it makes, for this user only, if it is not there. The
// directory must hold nothing else.
//
// Errors: ErrLocked when another process has it open, ErrNoSpace when the disk is too full to begin,
// ErrUnreadable when it cannot be opened or is damaged, ErrLoss; each says what to do.
func OpenBadger(dir string, cfg BadgerConfig) (*Badger, error) {
	cfg = cfg.withDefaults()
	lock, waited, err := openDir(dir, cfg)
	if err != nil {
		return nil, err
	}
	b := &Badger{dir: dir, cfg: cfg, lock: lock, waited: waited, free: freeSpace, idle: make(chan struct{}), broken: make(chan struct{})}
	b.queue.init()
	if b.answered, err = openAnswered(dir); err != nil {
		return nil, errors.Join(dirError(dir, err), lock.Close())
	}
	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.answered.file.Close(), lock.Close())
	}
	return b, nil
}

// open opens the database under the lock.
func (b *Badger) open() error {
	if err := b.spaceToOpen(); err != nil {
		return err
	}
	sealed, err := checkFiles(b.dir)
	if err != nil {
		return err
	}
	if err := b.checkLogs(); err != nil {
		return err
	}
	if err := breakSeal(b.dir); err != nil {
		return dirError(b.dir, err)
	}
	if b.db, err = openDB(b.dir, b.cfg); err != nil {
		return err
	}
	tightenFiles(b.dir)
	revision, at, err := b.readRevision()
	if err == nil && revision < sealed.Revision {
		err = fmt.Errorf("it was closed at revision %d and has only %d", sealed.Revision, revision)
	}
	if err != nil {
		return errors.Join(damaged(b.dir, err), b.db.Close())
	}
	if err := b.checkLoss(revision, at); err != nil {
		return errors.Join(err, b.db.Close())
	}
	if err := b.answered.note(revision, at); err != nil {
		return errors.Join(dirError(b.dir, err), b.db.Close())
	}
	b.log = newChangeLog(revision, b.cfg.WatchLog, watchLogBytes)
	b.compact()
	return nil
}

// openDB opens Badger, and puts its errors and panics over damaged files into words.
func openDB(dir string, cfg BadgerConfig) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db = nil
			err = damaged(dir, fmt.Errorf("%v", r))
		}
	}()
	db, err = badger.Open(badgerOptions(dir, cfg))
	switch {
	case err == nil:
		return db, nil
	case strings.Contains(err.Error(), "Cannot acquire directory lock"): // where we have no lock of our own
		return nil, fmt.Errorf("%w: another xlb uses %s; stop it, or give this one a data directory of its own", ErrLocked, dir)
	case isFull(err):
		return nil, dirError(dir, fmt.Errorf("%w: %w", syscall.ENOSPC, err))
	}
	return nil, damaged(dir, err)
}

// badgerOptions: small files, because XLB's records are few; one version, because history is not read;
// every write is on the disk before it is answered; no cache, because the files are mapped.
func badgerOptions(dir string, cfg BadgerConfig) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false). // the commit queue does it, see commit.go
		WithNumVersionsToKeep(1).
		WithValueLogFileSize(valueLogFile).
		WithMemTableSize(memTable).
		WithNumMemtables(memTables).
		WithNumCompactors(0).                  // see compact.go
		WithNumLevelZeroTables(compactAt - 1). // with as many it would not begin
		WithNumLevelZeroTablesStall(1000).
		WithNumGoroutines(2).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithChecksumVerificationMode(options.OnTableRead).
		WithMetricsEnabled(false).
		WithLogger(badgerLog{cfg.Log})
}

// badgerLog passes Badger's warnings and errors on. What it says for information is for its developers.
type badgerLog struct{ log func(LogLevel, string) }

func (l badgerLog) Errorf(format string, args ...any) {
	l.log(LogError, "badger: "+sprint(format, args))
}
func (l badgerLog) Warningf(format string, args ...any) {
	l.log(LogWarning, "badger: "+sprint(format, args))
}
func (l badgerLog) Infof(string, ...any)  {}
func (l badgerLog) Debugf(string, ...any) {}

func (b *Badger) readRevision() (revision uint64, at time.Time, err error) {
	err = b.db.View(func(txn *badger.Txn) error {
		revision, at, err = readRevision(txn)
		return err
	})
	return revision, at, err
}

// revisionOf is the newest revision that txn can see, 0 in a new store.
func revisionOf(txn *badger.Txn) (uint64, error) {
	revision, _, err := readRevision(txn)
	return revision, err
}

// readRevision also tells when the revision was made; earlier versions did not note that.
func readRevision(txn *badger.Txn) (revision uint64, at time.Time, err error) {
	item, err := txn.Get([]byte(revisionKey))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, err
	}
	err = item.Value(func(value []byte) error {
		if len(value) != 8 && len(value) != 16 {
			return fmt.Errorf("the revision has %d bytes", len(value))
		}
		revision = binary.BigEndian.Uint64(value)
		if len(value) == 16 {
			at = time.Unix(0, int64(binary.BigEndian.Uint64(value[8:])))
		}
		return nil
	})
	return revision, at, err
}

func packRevision(revision uint64, at time.Time) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, revision), uint64(at.UnixNano()))
}

// View implements Engine.
func (b *Badger) View(ctx context.Context, fn func(Reader) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	defer b.asFailure(&err)
	txn := b.db.NewTransaction(false)
	defer txn.Discard()
	revision, err := revisionOf(txn)
	if err != nil {
		return fmt.Errorf("read the revision: %w", err)
	}
	return fn(&badgerReader{ctx: ctx, txn: txn, revision: revision})
}

// Watch implements Engine.
func (b *Badger) Watch(prefix string, from uint64) *Watcher { return b.log.watch(prefix, from) }

// Revision is the newest revision that watchers can see.
func (b *Badger) Revision() uint64 {
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	return b.log.revision
}

// enter begins a call that uses the database; leave ends it.
func (b *Badger) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.failed != nil {
		return b.failed
	}
	b.active++
	return nil
}

func (b *Badger) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active--; b.closed && b.active == 0 {
		close(b.idle)
	}
}

// closeTimeout is how long Close waits for calls that are going on.
const closeTimeout = 10 * time.Second

// Close implements Engine. Calls that have not ended after ten seconds make it fail, and leave the
// files to the end of the process: closing them under a reader would crash it. No write is lost by it.
func (b *Badger) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	if b.active == 0 {
		close(b.idle)
	}
	b.mu.Unlock()
	b.log.close()

	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case <-b.idle:
	case <-timeout.C:
		return fmt.Errorf("close the store in %s: still in use after %s", b.dir, closeTimeout)
	}
	return b.closeFiles()
}

// tell passes a message on.
func (b *Badger) tell(level LogLevel, message string) { b.cfg.Log(level, message) }

// closeFiles closes the database, seals it unless writing had failed, and unlocks the directory.
func (b *Badger) closeFiles() error {
	if !b.roomToClose() {
		b.tell(LogError, fmt.Sprintf("the disk of %s is full: the store is left as it is, nothing is lost, the next start needs room", b.dir))
		return errors.Join(b.answered.file.Close(), b.lock.Close())
	}
	if b.failure() != nil {
		return errors.Join(b.shut(), b.answered.file.Close(), b.lock.Close())
	}
	revision, _, err := b.readRevision()
	err = errors.Join(err, b.db.Close(), b.answered.file.Close())
	if err == nil {
		err = writeSeal(b.dir, revision)
	}
	if err = errors.Join(err, b.lock.Close()); err != nil {
		return fmt.Errorf("close the store in %s: %w", b.dir, err)
	}
	return nil
}

// Dir is where the store is.
func (b *Badger) Dir() string { return b.dir }

// Released tells whether others can open the store: Close has given it back.
func (b *Badger) Released() bool {
	_, err := b.lock.Stat()
	return errors.Is(err, os.ErrClosed)
}

// Waited tells whether another process had the store open until OpenBadger got it.
func (b *Badger) Waited() bool { return b.waited }
