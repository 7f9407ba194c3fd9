//go:build !linux

package loop

// Set is empty where the system has no epoll.
type Set struct{}

// Close does nothing.
func (*Set) Close() {}
