package store

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// Examine looks whether a store could be opened in dir, without opening it, and tells its last change and when that was. One
// that is not there is fine, and has none. Errors are those of OpenBadger.
func Examine(dir string) (revision uint64, at time.Time, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, time.Time{}, nil
	}
	lock, err := lockDir(dir)
	if err != nil {
		return 0, time.Time{}, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	counter, err := openAnswered(dir)
	if err != nil {
		return 0, time.Time{}, dirError(dir, err)
	}
	defer func() { err = errors.Join(err, counter.file.Close()) }()
	b := &Badger{dir: dir, cfg: BadgerConfig{}.withDefaults(), free: freeSpace, answered: counter}
	_, damage := checkFiles(dir)
	return counter.revision, counter.at, errors.Join(b.spaceToOpen(), damage, b.checkLogs())
}
