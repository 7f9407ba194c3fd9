package record

import "net"

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
