package record

import (
	"errors"
	"net"
)

// Ready is a connection that is read when something is known to be there.
type Ready interface {
	net.Conn
	// ReadNow reads what is there. It returns ErrDry when that is nothing, and does not wait.
	ReadNow(p []byte) (int, error)
}

// ErrDry is an error of [Conn.Receive] and [Feed.Read] over a [Ready]: nothing more is there now.
var ErrDry = errors.New("nothing has come")

// readSome reads at least one byte.
func readSome(conn net.Conn, p []byte) (int, error) {
	for {
		n, err := conn.Read(p)
		if n > 0 {
			return n, nil // an error comes again
		}
		if err != nil {
			return 0, err
		}
	}
}
