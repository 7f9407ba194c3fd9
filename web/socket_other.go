//go:build !linux

package web

import (
	"net"
	"time"
)

// setUnacknowledged does nothing: only Linux takes a time.
func setUnacknowledged(*net.TCPConn, time.Duration) {}
