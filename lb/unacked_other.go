//go:build !linux

package lb

import (
	"net"
	"time"
)

// unacknowledged tells nothing here: what the kernel has taken counts as arrived, so a reset may overtake
// it.
func unacknowledged(net.Conn) (bytes int, alive bool) { return 0, true }

// userTimeout does nothing where the kernel has no such option.
func userTimeout(net.Conn, time.Duration) {}
