// Package demo is an upstream for those who have none at hand. It lives in memory: a connection to it is a pair of sockets
// that are joined in the kernel, and nothing listens, so that nobody but the balancer comes in.
package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Dest is the destination that stands for the demo upstream. The address is of a network for documentation (RFC 5737):
// no packet ever goes there.
const Dest = "192.0.2.1:80"

const (
	idle    = 5 * time.Minute // that a connection may be quiet
	maxBody = 1 << 20         // of a request
)

// Dial connects to the demo upstream. It returns neither a connection nor an error for any other address than [Dest].
// The caller closes the connection, which ends the other side.
func Dial(_ context.Context, address string) (net.Conn, error) {
	if address != Dest {
		return nil, nil
	}
	here, there, err := pair()
	if err != nil {
		return nil, err
	}
	go serve(there)
	return here, nil
}

// serve answers HTTP to who speaks HTTP, and echoes everybody else.
func serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	if speaksHTTP(conn, in) {
		for answer(conn, in) {
		}
		return
	}
	echo(conn, in)
}

var methods = []string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE "}

// speaksHTTP looks at no more than it takes to tell: a program that says "HI" waits for its echo.
func speaksHTTP(conn net.Conn, in *bufio.Reader) bool {
	for n := 1; ; n++ {
		conn.SetReadDeadline(time.Now().Add(idle))
		begun, err := in.Peek(n)
		if err != nil {
			return false
		}
		may := false
		for _, m := range methods {
			if string(begun) == m {
				return true
			}
			may = may || strings.HasPrefix(m, string(begun))
		}
		if !may {
			return false
		}
	}
}

// answer answers one request, and tells whether another one may come.
func answer(conn net.Conn, in *bufio.Reader) (more bool) {
	conn.SetDeadline(time.Now().Add(idle))
	req, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, io.LimitReader(req.Body, maxBody+1))
	if err != nil || n > maxBody {
		return false
	}
	text := fmt.Sprintf("This is the demo upstream of XLB. It got your request: %s %.200s\n"+
		"The connection came in with your certificate, and XLB chose this route for it.\n", req.Method, req.URL.Path)
	resp := http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: req, Close: req.Close,
		ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text)),
		Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
	}
	return resp.Write(conn) == nil && !req.Close
}

func echo(conn net.Conn, in *bufio.Reader) {
	buf := make([]byte, 4096)
	for {
		conn.SetDeadline(time.Now().Add(idle))
		n, err := in.Read(buf)
		if n > 0 {
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
