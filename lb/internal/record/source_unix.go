//go:build unix

package record

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// source reads from a connection and needs memory only when something is there.
type source struct {
	conn net.Conn
	now  Ready           // nil: read waits
	raw  syscall.RawConn // nil: conn.Read, which holds memory while it waits
	room func() []byte   // where to put what comes
	park func()          // nothing was there: room's memory can go
	try  func(fd uintptr) bool

	n   int
	err error
}

func newSource(conn net.Conn, room func() []byte, park func()) *source {
	s := &source{conn: conn, room: room, park: park}
	if s.now, _ = conn.(Ready); s.now != nil {
		return s
	}
	if sc, can := conn.(syscall.Conn); can {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
			s.try = s.attempt // made once: a method value is an allocation
		}
	}
	return s
}

// read waits until something has come and returns how many bytes of it are in the room, at least one.
func (s *source) read() (int, error) {
	if s.now != nil {
		return s.readNow()
	}
	if s.raw == nil {
		return readSome(s.conn, s.room())
	}
	if err := s.raw.Read(s.try); err != nil {
		return 0, err
	}
	if s.err == nil && s.n == 0 {
		return 0, io.EOF
	}
	return s.n, s.err
}

func (s *source) readNow() (int, error) {
	n, err := s.now.ReadNow(s.room())
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == ErrDry {
		s.park()
	}
	return n, err
}

// attempt reads once, and returns false when there is nothing yet.
func (s *source) attempt(fd uintptr) bool {
	p := s.room()
	for {
		n, err := unix.Read(int(fd), p)
		switch err {
		case nil:
			s.n = n
			s.err = nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.park()
			return false
		default:
			s.n = 0
			s.err = err
		}
		return true
	}
}
