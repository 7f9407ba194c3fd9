package main

import (
	"encoding/binary"
	"io"
	"net"
)

// What the first byte of a connection asks of the upstream.
const (
	opEcho     = 'E' // send back what comes
	opDownload = 'D' // 8 bytes of length follow; send that much
	opUpload   = 'U' // 8 bytes of length follow, then that much; answer with one byte
)

// serveOwn starts three of the bench's own.
func serveOwn(f *field, _ string) (upstreams []string, err error) {
	for range 3 {
		address, stop, err := serveUpstream()
		if err != nil {
			return nil, err
		}
		f.cleanup = append(f.cleanup, stop)
		upstreams = append(upstreams, address)
	}
	return upstreams, nil
}

// serveUpstream listens on loopback until stop is called.
func serveUpstream() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	return l.Addr().String(), func() { l.Close() }, nil
}

func answer(conn net.Conn) {
	defer conn.Close()
	var head [9]byte
	if _, err := io.ReadFull(conn, head[:1]); err != nil {
		return
	}
	if head[0] == opEcho {
		conn.Write(head[:1])
		echo(conn)
		return
	}
	if _, err := io.ReadFull(conn, head[1:]); err != nil {
		return
	}
	n := int64(binary.BigEndian.Uint64(head[1:]))
	switch head[0] {
	case opDownload:
		send(conn, n)
	case opUpload:
		if _, err := io.CopyN(io.Discard, conn, n); err == nil {
			conn.Write([]byte{'.'})
		}
	}
}

func echo(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func send(conn io.Writer, n int64) error {
	chunk := make([]byte, 256<<10)
	for n > 0 {
		part := min(n, int64(len(chunk)))
		if _, err := conn.Write(chunk[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
