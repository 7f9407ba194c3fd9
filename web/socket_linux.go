package web

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT (RFC 5482), which package syscall does not name: milliseconds.
const tcpUserTimeout = 0x12

// setUnacknowledged lets the kernel give a connection up whose other side takes nothing for so long, after we have closed
// it too: until then it keeps what was not sent.
func setUnacknowledged(conn *net.TCPConn, most time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(most.Milliseconds()))
	})
}
