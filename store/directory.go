package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockFile is held locked while the store is open, and has the owner's process number in it. Badger
// has a lock too, but our look at the files must already be under one.
const lockFile = "xlb.lock"

var errLockHeld = errors.New("the lock is held")

// openDir makes the directory or makes sure that this user can work in it, and locks it. Badger ends
// the process over some of what is found here, so it is found before. The lock is the caller's to close.
func openDir(dir string, cfg BadgerConfig) (lock *os.File, waited bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, dirError(dir, err)
	}
	if err := closeToOthers(dir, cfg.Log); err != nil {
		return nil, false, dirError(dir, err)
	}
	lock, waited, err = waitForDir(dir, cfg)
	if err != nil {
		return nil, false, err
	}
	if err := tryFiles(dir); err != nil {
		return nil, false, errors.Join(dirError(dir, err), lock.Close())
	}
	return lock, waited, nil
}

// closeToOthers takes the directory away from other users. Badger makes some files by the umask.
func closeToOthers(dir string, log func(LogLevel, string)) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		log(LogWarning, fmt.Sprintf("%s is open to other users of this machine: %v", dir, err))
	}
	return nil
}

// nextFile is held locked by the process that waits for the store, and has its number in it.
const nextFile = "xlb.next"

// waitPoll is how often who waits for the store looks whether it is free.
const waitPoll = 2 * time.Millisecond

// probeTime is for how long a lock may be held by who only looks whether it is, see [Held].
const probeTime = 10 * waitPoll

// waitForDir locks the directory as soon as who has it lets go.
func waitForDir(dir string, cfg BadgerConfig) (lock *os.File, waited bool, err error) {
	if lock, err = again(probeTime, nil, ErrLocked, lockDir, dir); cfg.Wait <= 0 || !errors.Is(err, ErrLocked) {
		return lock, false, err
	}
	next, err := again(probeTime, nil, errLockHeld, takeLock, filepath.Join(dir, nextFile))
	if errors.Is(err, errLockHeld) {
		return nil, false, fmt.Errorf("%w: another xlb waits for %s already", ErrLocked, dir)
	}
	if err != nil {
		return nil, false, dirError(dir, err)
	}
	defer next.Close()
	if lock, err = again(cfg.Wait, cfg.Stop, ErrLocked, lockDir, dir); errors.Is(err, ErrLocked) {
		err = fmt.Errorf("%w (for %s)", err, cfg.Wait)
	}
	return lock, true, err
}

// again calls take until it does not fail with held any more.
func again(wait time.Duration, stop <-chan struct{}, held error, take func(string) (*os.File, error), path string) (*os.File, error) {
	for deadline := time.Now().Add(wait); ; {
		lock, err := take(path)
		if !errors.Is(err, held) || time.Now().After(deadline) {
			return lock, err
		}
		select {
		case <-time.After(waitPoll):
		case <-stop:
			return nil, err
		}
	}
}

// Held tells whether some process has the store in dir open.
func Held(dir string) bool {
	file, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(flock(file), errLockHeld)
}

// Next is the number of the process that waits for the store in dir, 0 for none.
func Next(dir string) int {
	path := filepath.Join(dir, nextFile)
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	if !errors.Is(flock(file), errLockHeld) {
		return 0
	}
	text, _ := os.ReadFile(path)
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// takeLock locks a file and writes the number of this process into it, or fails with errLockHeld.
func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	// The number only makes the other's message better.
	if file.Truncate(0) == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return file, nil
}

func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	file, err := takeLock(path)
	switch {
	case errors.Is(err, errLockHeld):
		return nil, lockedError(dir, path)
	case err != nil:
		return nil, dirError(dir, fmt.Errorf("lock %s: %w", path, err))
	}
	return file, nil
}

func lockedError(dir, path string) error {
	owner := ""
	text, _ := os.ReadFile(path)
	if pid, err := strconv.Atoi(string(text)); err == nil {
		owner = fmt.Sprintf(" (process %d)", pid)
	}
	return fmt.Errorf("%w: another xlb%s uses %s; stop it, or give this one a data directory of its own", ErrLocked, owner, dir)
}

// tryFiles makes sure that every file can be read and written, and that new ones can be made.
func tryFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		file, err := os.OpenFile(filepath.Join(dir, entry.Name()), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp(dir, "try-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// tightenFiles takes the files of the last run away from others; what Badger makes later is behind the
// directory's mode.
func tightenFiles(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			_ = os.Chmod(filepath.Join(dir, entry.Name()), 0o600)
		}
	}
}

// dirError says what is wrong with the directory and what to do.
func dirError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w in %s; make room on its disk and start again: %w", ErrNoSpace, dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; give %s and the files in it to the user that runs xlb (user id %d): %w", ErrUnreadable, dir, os.Getuid(), err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %s is on a disk that cannot be written: %w", ErrUnreadable, dir, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s is not a directory: %w", ErrUnreadable, dir, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreadable, dir, err)
}

// damaged is for what is in the directory.
func damaged(dir string, err error) error {
	return fmt.Errorf("%w: what is in %s is damaged or was not written by xlb; move it away and restore a copy, or start with an empty directory: %w",
		ErrUnreadable, dir, err)
}

// isFull tells whether an error of Badger's, which has no value behind its text, is a full disk.
func isFull(err error) bool { return strings.Contains(err.Error(), syscall.ENOSPC.Error()) }
