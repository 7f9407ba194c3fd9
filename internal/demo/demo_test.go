package demo

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := Dial(t.Context(), Dest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func TestAnswersHTTP(t *testing.T) {
	conn := dial(t)
	in := bufio.NewReader(conn)
	for _, request := range []string{"GET /one HTTP/1.1\r\nHost: x\r\n\r\n", "POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"} {
		io.WriteString(conn, request)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		path := strings.Fields(request)[1]
		if resp.StatusCode != 200 || !strings.Contains(string(body), path+"\n") {
			t.Errorf("%d %q, want 200 with %s", resp.StatusCode, body, path)
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after Connection: close: %v, want the end", err)
	}
}

func TestEchoesWhatIsNoHTTP(t *testing.T) {
	for _, text := range []string{"HI", "hello\n", "GETTING", "\x16\x03\x01", "P"} {
		conn := dial(t)
		io.WriteString(conn, text)
		if text == "P" { // it may become a request; at the end of the stream it is none
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Errorf("%q comes back as %q (%v)", text, got, err)
		}
	}
}

func TestOthersAreNotAnswered(t *testing.T) {
	if conn, err := Dial(t.Context(), "192.0.2.1:81"); conn != nil || err != nil {
		t.Errorf("another destination: %v, %v, want neither", conn, err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 50 {
		dial(t).Close()
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
