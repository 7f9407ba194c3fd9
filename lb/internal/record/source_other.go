//go:build !unix

package record

import "net"

// source reads from a connection.
type source struct {
	conn net.Conn
	room func() []byte
}

func newSource(conn net.Conn, room func() []byte, _ func()) *source {
	return &source{conn: conn, room: room}
}

// read waits until something has come and returns how many bytes of it are in the room, at least one.
func (s *source) read() (int, error) { return readSome(s.conn, s.room()) }
