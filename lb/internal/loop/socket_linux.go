package loop

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdire/xlb/lb/internal/record"
)

// Socket is a TCP connection outside of Go's poller. While it is in a loop, the loop reads it with ReadNow, and Write never
// waits: what the kernel does not take is kept and follows by itself. Read waits, by looking again and again, and is for the
// ending of a connection, when a direction has left the loop. Reset, Unsent and the options may be called from anywhere.
type Socket struct {
	mu     sync.Mutex // fd is closed under it, and whoever is not the loop uses fd under it
	closed bool
	fd     int

	readBy, writeBy atomic.Int64 // deadlines, Unix nanoseconds; 0 for none

	// The loop's.
	loop     *Loop // nil: it has let go
	slot     int32
	reads    *Way // from this socket
	writes   *Way // to it
	watched  bool // epoll tells when it takes bytes again
	readable bool // something may be there
	hung     bool // nothing comes after what is there
	unsent   *record.Block
	begin    int // unsent.Data[begin:end] is to be sent
	end      int
	left     atomic.Int64 // end - begin, for others
	fin      bool         // and then nothing more
}

// Adopt takes both sides of a connection over from Go's poller, and closes the originals. On an error they are as they were.
// The caller closes the sockets.
func Adopt(client, backend *net.TCPConn) (c, b *Socket, err error) {
	if c, err = duplicate(client); err != nil {
		return nil, nil, err
	}
	if b, err = duplicate(backend); err != nil {
		c.Close()
		return nil, nil, err
	}
	client.Close() // which takes it out of the poller
	backend.Close()
	return c, b, nil
}

func duplicate(conn *net.TCPConn) (*Socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Socket{}
	var failed error
	if err := raw.Control(func(fd uintptr) { s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	return s, failed
}

// errDry is EAGAIN as an error value that is made once.
var errDry error = syscall.EAGAIN

// ReadNow reads what is there, and returns record.ErrDry when that is nothing. It is for the loop's thread.
func (s *Socket) ReadNow(p []byte) (int, error) {
	for {
		n, errno := recv(s.fd, p)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			s.readable = false
			return 0, record.ErrDry
		case errno != 0:
			return 0, errno
		}
		if n < len(p) && !s.hung {
			s.readable = false // what comes now is told of
		}
		return n, nil
	}
}

// The calls of the system do not wait, so the scheduler need not hear of them.
func recv(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func send(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// trySend sends what the kernel takes.
func (s *Socket) trySend(p []byte) (int, error) {
	for {
		n, errno := send(s.fd, p)
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, nil
		}
		return 0, errno
	}
}

// Write implements net.Conn. In a loop it takes all of p at once; after that it waits until the deadline, as Read does.
func (s *Socket) Write(p []byte) (int, error) {
	if s.loop == nil {
		return s.waitWrite(p)
	}
	n := 0
	if s.unsent == nil {
		var err error
		if n, err = s.trySend(p); err != nil || n == len(p) {
			return n, err
		}
	}
	s.keep(p[n:])
	return len(p), nil
}

// keep puts rest behind what waits.
func (s *Socket) keep(rest []byte) {
	if s.unsent == nil {
		s.unsent = record.Take(len(rest))
		s.begin = 0
		s.end = 0
	} else if s.end+len(rest) > len(s.unsent.Data) {
		larger := record.Take(s.end - s.begin + len(rest))
		s.end = copy(larger.Data, s.unsent.Data[s.begin:s.end])
		s.begin = 0
		s.unsent.Free()
		s.unsent = larger
	}
	s.end += copy(s.unsent.Data[s.end:], rest)
	s.left.Store(int64(s.end - s.begin))
	s.loop.watchWrites(s)
}

// flush sends what waits, as far as the kernel takes it.
func (s *Socket) flush() error {
	n, err := s.trySend(s.unsent.Data[s.begin:s.end])
	s.begin += n
	if err == nil && s.begin < s.end {
		s.left.Store(int64(s.end - s.begin))
		return nil
	}
	s.unsent.Free()
	s.unsent = nil
	s.left.Store(0)
	if err == nil && s.fin {
		s.shutdown()
	}
	return err
}

// Blocked tells whether something is unsent. It is for the loop's thread.
func (s *Socket) Blocked() bool { return s.unsent != nil }

// CloseWrite sends FIN after what is unsent.
func (s *Socket) CloseWrite() error {
	if s.unsent != nil && s.loop != nil {
		s.fin = true
		return nil
	}
	if s.unsent != nil {
		if _, err := s.waitWrite(nil); err != nil {
			return err
		}
	}
	return s.shutdown()
}

func (s *Socket) shutdown() error {
	return s.with(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) })
}

// with calls use while the descriptor is open.
func (s *Socket) with(use func(fd int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	return use(s.fd)
}

// Reset ends the connection so that the other side sees a reset. The descriptor stays: the loop hears that the connection has
// ended and lets go of it. (A connect to no address at all is how Linux breaks a connection up.)
func (s *Socket) Reset() {
	s.with(func(fd int) error {
		nowhere := unix.RawSockaddrAny{}
		nowhere.Addr.Family = unix.AF_UNSPEC
		_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&nowhere)), unsafe.Sizeof(nowhere.Addr))
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// Close implements net.Conn. The loop must have let go of the socket.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	return unix.Close(s.fd)
}

// Unsent is how many bytes wait for the kernel to take them.
func (s *Socket) Unsent() int { return int(s.left.Load()) }

// SyscallConn implements syscall.Conn.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return control{s}, nil }

// control implements syscall.RawConn, of which only Control is of use.
type control struct{ s *Socket }

func (c control) Control(f func(fd uintptr)) error {
	return c.s.with(func(fd int) error { f(uintptr(fd)); return nil })
}
func (control) Read(func(fd uintptr) bool) error  { return unix.ENOSYS }
func (control) Write(func(fd uintptr) bool) error { return unix.ENOSYS }

// SetKeepAliveConfig is as that of net.TCPConn.
func (s *Socket) SetKeepAliveConfig(how net.KeepAliveConfig) error {
	return s.with(func(fd int) error {
		if !how.Enable {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
		}
		or := func(n, value int) int {
			if n == 0 {
				return value
			}
			return n
		}
		for _, one := range []struct{ level, option, value int }{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, or(int(how.Idle/time.Second), 15)},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, or(int(how.Interval/time.Second), 15)},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, or(how.Count, 9)},
		} {
			if err := unix.SetsockoptInt(fd, one.level, one.option, one.value); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	shortestLook = time.Millisecond
	longestLook  = 20 * time.Millisecond
)

// Read implements net.Conn. It looks again and again, because few read so, and none for long.
func (s *Socket) Read(p []byte) (int, error) {
	n, err := s.waitFor(&s.readBy, func(fd int) (int, syscall.Errno) { return recv(fd, p) })
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// waitWrite sends p after what was kept.
func (s *Socket) waitWrite(p []byte) (sent int, err error) {
	if b := s.unsent; b != nil {
		s.unsent = nil
		defer b.Free()
		if _, err := s.waitWrite(b.Data[s.begin:s.end]); err != nil {
			return 0, err
		}
	}
	for sent < len(p) {
		n, err := s.waitFor(&s.writeBy, func(fd int) (int, syscall.Errno) { return send(fd, p[sent:]) })
		if sent += n; err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// waitFor tries a call until it has something, or it is too late.
func (s *Socket) waitFor(deadline *atomic.Int64, call func(fd int) (int, syscall.Errno)) (n int, err error) {
	for pause := shortestLook; ; pause = min(2*pause, longestLook) {
		err := s.with(func(fd int) error {
			var errno syscall.Errno
			if n, errno = call(fd); errno != 0 {
				return errno
			}
			return nil
		})
		if err == nil || err != errDry && err != unix.EINTR {
			return n, err
		}
		if by := deadline.Load(); by != 0 && time.Now().UnixNano() >= by {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(pause)
	}
}

// SetReadDeadline implements net.Conn.
func (s *Socket) SetReadDeadline(at time.Time) error { return setDeadline(&s.readBy, at) }

// SetWriteDeadline implements net.Conn. In a loop writes do not wait.
func (s *Socket) SetWriteDeadline(at time.Time) error { return setDeadline(&s.writeBy, at) }

// SetDeadline implements net.Conn.
func (s *Socket) SetDeadline(at time.Time) error {
	s.SetWriteDeadline(at)
	return s.SetReadDeadline(at)
}

func setDeadline(deadline *atomic.Int64, at time.Time) error {
	if at.IsZero() {
		deadline.Store(0)
	} else {
		deadline.Store(at.UnixNano())
	}
	return nil
}

// LocalAddr implements net.Conn.
func (s *Socket) LocalAddr() net.Addr { return s.address(unix.Getsockname) }

// RemoteAddr implements net.Conn.
func (s *Socket) RemoteAddr() net.Addr { return s.address(unix.Getpeername) }

func (s *Socket) address(get func(int) (unix.Sockaddr, error)) net.Addr {
	addr := &net.TCPAddr{}
	s.with(func(fd int) error {
		found, err := get(fd)
		switch a := found.(type) {
		case *unix.SockaddrInet4:
			addr.IP = a.Addr[:]
			addr.Port = a.Port
		case *unix.SockaddrInet6:
			addr.IP = a.Addr[:]
			addr.Port = a.Port
		}
		return err
	})
	return addr
}
