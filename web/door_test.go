package web

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// held asks for the client's limits on a connection of its own, and leaves that open. It returns whether the server does.
func (c *tenant) held() bool {
	c.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(c.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	must(c.T, err)
	c.Cleanup(func() { conn.Close() })
	must(c.T, conn.SetDeadline(time.Now().Add(dialTime)))
	fmt.Fprintf(conn, "GET /api/v1/client/limits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", c.token)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(c.T, err)
	if resp.StatusCode != http.StatusOK {
		c.Errorf("status %d, want 200", resp.StatusCode)
	}
	return !resp.Close
}

// A client that has all connections it may is served on one more, and that is closed after the answer.
func TestConnectionsOfAClientHaveAShare(t *testing.T) {
	f := start(t)
	first, second := f.signUp("first"), f.signUp("second")
	f.client.CloseIdleConnections()
	kept := 0
	for range connectionsOfClient + 2 {
		if first.held() {
			kept++
		}
	}
	// The connection of the sign-ups counts for the client that used it first, until the server has seen its end.
	if kept > connectionsOfClient || kept < connectionsOfClient-1 {
		t.Errorf("%d connections of a client are kept, want %d", kept, connectionsOfClient)
	}
	if !second.held() {
		t.Error("another client's connection was closed, too")
	}
}
