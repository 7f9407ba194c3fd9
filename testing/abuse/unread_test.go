package abuse

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kernelTCP is what the kernel holds for TCP on this machine, in bytes.
func kernelTCP(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		t.Skip("this system does not tell what the kernel holds")
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] == "TCP:" && fields[len(fields)-2] == "mem" {
			pages, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return pages * int64(os.Getpagesize())
		}
	}
	t.Skip("this system does not tell what the kernel holds for TCP")
	return 0
}

// Connections that ask for answers again and again and read none cost the kernel little, and nothing any more soon after the
// server has given them up.
func TestUnreadAnswers(t *testing.T) {
	s := start(t)
	victim := s.tenant(1, "victim")
	conns := size(40, 200)
	before := kernelTCP(t)
	request := strings.Repeat("GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
	began := time.Now()
	for i := range conns {
		conn, err := from(200+i%8).Dial("tcp", s.http)
		if err != nil {
			continue
		}
		t.Cleanup(func() { conn.Close() })
		conn.(*net.TCPConn).SetReadBuffer(4 << 10) // what is on our side is not the server's
		secure := tls.Client(conn, &tls.Config{RootCAs: s.authority, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(secure, request) // fails where the server has closed it
		conn.SetDeadline(time.Time{})
	}
	time.Sleep(2 * time.Second)
	held := kernelTCP(t) - before
	if most := int64(conns) * (1 << 20); held > most {
		t.Errorf("%d connections hold %d MB in the kernel, want at most %d", conns, held>>20, most>>20)
	}
	if status, _, err := victim.ask("GET", "/api/v1/client/frontend", ""); status != 200 || err != nil {
		t.Errorf("somebody else, meanwhile: %d %v", status, err)
	}
	t.Logf("%d connections hold %d MB", conns, held>>20)
	if size(0, 1) == 0 {
		return
	}
	for kernelTCP(t)-before > held/10 {
		if time.Since(began) > 80*time.Second {
			t.Fatalf("after %v the kernel still holds %d MB of %d", time.Since(began).Round(time.Second), (kernelTCP(t)-before)>>20, held>>20)
		}
		time.Sleep(time.Second)
	}
	t.Logf("they are let go after %v", time.Since(began).Round(time.Second))
}

// Who announces a body with the request for a stream and is nobody holds no connection.
func TestStreamsOfStrangers(t *testing.T) {
	s := start(t)
	victim := s.tenant(1, "victim")
	var open []net.Conn
	for i := range size(100, 500) {
		conn, err := from(200+i%16).Dial("tcp", s.http)
		if err != nil {
			continue
		}
		t.Cleanup(func() { conn.Close() })
		secure := tls.Client(conn, &tls.Config{RootCAs: s.authority, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(secure, "GET %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", []string{"/events", "/api/v1/events"}[i%2])
		open = append(open, secure)
	}
	deadline := time.Now().Add(10 * time.Second)
	for i, conn := range open {
		conn.SetReadDeadline(deadline)
		for buffer := make([]byte, 4096); ; {
			if _, err := conn.Read(buffer); err != nil {
				if timeout, is := err.(net.Error); is && timeout.Timeout() {
					t.Fatalf("connection %d is still open after 10 s", i)
				}
				break
			}
		}
	}
	if status, _, err := victim.ask("GET", "/api/v1/client/frontend", ""); status != 200 || err != nil {
		t.Errorf("somebody else, meanwhile: %d %v", status, err)
	}
}
