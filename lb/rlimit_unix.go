//go:build unix

package lb

import "syscall"

// reservedFiles are left for listeners, the store and whatever else the process opens.
const reservedFiles = 256

// RaiseFileLimit raises the process's limit of open files to what it may have, and tells how many
// connections that carries: each one takes two files, the client's and the backend's.
func RaiseFileLimit() (limit uint64, connections int, err error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, err
	}
	r.Cur = r.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, err
	}
	limit = uint64(r.Cur)
	return limit, int(max(limit, reservedFiles)-reservedFiles) / 2, nil
}
