//go:build linux || darwin || freebsd

package store

import (
	"errors"
	"math"
	"syscall"
)

// freeSpace returns how many bytes this user can still write to the file system of dir.
func freeSpace(dir string) (int64, error) {
	var fs syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &fs)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		break
	}
	blocks := uint64(max(0, int64(fs.Bavail)))
	size := uint64(fs.Bsize)
	if blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}
