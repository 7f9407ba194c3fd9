package lb

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpClosed is the state of a TCP connection that was reset, or ended by both sides.
const tcpClosed = 7

// unacknowledged is how many bytes were written to a connection that the other side's kernel has not
// acknowledged, and whether it still can. A connection that is not TCP tells nothing: 0, true.
func unacknowledged(conn net.Conn) (bytes int, alive bool) {
	sc, can := conn.(syscall.Conn)
	if !can {
		return 0, true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	alive = true
	err = raw.Control(func(fd uintptr) {
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			bytes = n
		}
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			alive = info.State != tcpClosed
		}
	})
	if kept, is := conn.(interface{ Unsent() int }); is {
		bytes += kept.Unsent()
	}
	return bytes, alive && err == nil
}

// userTimeout sets how long sent data may stay unacknowledged (RFC 5482).
func userTimeout(conn net.Conn, wait time.Duration) {
	sc, can := conn.(syscall.Conn)
	if !can {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(wait.Milliseconds()))
		})
	}
}
