//go:build unix

package demo

import (
	"net"
	"os"
	"syscall"
)

// pair is two ends of one stream. Unlike those of net.Pipe they have buffers and can be closed by halves.
func pair() (here, there net.Conn, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if here, err = connOf(fds[0]); err != nil {
		syscall.Close(fds[1])
		return nil, nil, err
	}
	if there, err = connOf(fds[1]); err != nil {
		here.Close()
		return nil, nil, err
	}
	return here, there, nil
}

// connOf takes the descriptor over.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "demo upstream")
	defer file.Close() // net.FileConn has a descriptor of its own
	return net.FileConn(file)
}
