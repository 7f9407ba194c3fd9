package relay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Path is where a follower asks, with the query ?from= and the revision that it has. After the answer 101 both speak as the
// package says.
const Path = "/api/v1/admin/changes"

const protocol = "xlb-changes"

// Accept takes the connection of a request to Path over, and tells from where the follower wants to go on. Without an error the
// caller closes conn; with one it has yet to answer.
func Accept(w http.ResponseWriter, r *http.Request) (conn net.Conn, from uint64, err error) {
	from, err = strconv.ParseUint(r.URL.Query().Get("from"), 10, 64)
	if err != nil || r.Header.Get("Upgrade") != protocol {
		return nil, 0, fmt.Errorf("relay: %s is not for this", r.URL)
	}
	conn, _, err = http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, 0, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	if _, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"); err != nil {
		conn.Close()
	}
	return conn, from, err
}

// buffered is a connection of which something was read ahead.
type buffered struct {
	net.Conn
	ahead *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.ahead.Read(p) }

// Dial asks the process that listens on a socket for its changes after a revision. The connection is for Follow.
func Dial(ctx context.Context, socket string, from uint64) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	fmt.Fprintf(conn, "GET %s?from=%d HTTP/1.1\r\nHost: xlb\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Path, from, protocol)
	resp, err := http.ReadResponse(in, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("relay: the answer is %s", resp.Status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return buffered{conn, in}, nil
}
