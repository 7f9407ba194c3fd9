package lb

import (
	"crypto/tls"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A side that does not take what is sent to it is given up after the time that it has. The connection would go
// on until the idle timeout otherwise, because what is written moves as long as the buffers do.
func TestUnacknowledgedDataEndsTheConnection(t *testing.T) {
	deaf := make(chan struct{})
	addr := upstream(t, func(*net.TCPConn) { <-deaf })
	t.Cleanup(func() { close(deaf) }) // before the upstream waits for its connections
	for _, tc := range []struct {
		wait time.Duration
		ends bool
	}{{time.Second, true}, {0, false}} {
		pool := poolOf(addr)
		r := newRig(t, Config{Admit: func(s tls.ConnectionState) (Admission, error) {
			a, err := to(pool)(s)
			a.UserTimeout = tc.wait
			return a, err
		}})
		client := r.dialPlain(t)
		client.SetWriteDeadline(time.Now().Add(4 * time.Second))
		started, block := time.Now(), make([]byte, 1<<20)
		var err error
		for err == nil {
			_, err = client.Write(block)
		}
		if took := time.Since(started); isTimeout(err) == tc.ends {
			t.Errorf("with %v: %v after %v", tc.wait, err, took)
		}
		if tc.ends {
			if e := r.next(t, Closed, 0); e.Reason != ReasonBackendReset {
				t.Errorf("reason %s: %v, want %v", e.Reason, e.Err, ReasonBackendReset)
			}
		}
	}
}

// The options of sockets reach the TCP connection under the TLS of a route too.
func TestSocketOptionsReachBothSides(t *testing.T) {
	for _, secure := range []bool{false, true} {
		a := newAuthority(t)
		cfg := PoolConfig{Backends: []Backend{{Addr: upstream(t, echo)}}}
		if secure {
			cfg.Backends[0] = Backend{Addr: secureUpstream(t, &tls.Config{Certificates: []tls.Certificate{issueServer(t, a, nil)}}, echoTLS), TLS: &BackendTLS{RootCAs: a.Pool()}}
		}
		pool := NewPool(cfg)
		r := newRig(t, Config{Admit: func(s tls.ConnectionState) (Admission, error) {
			adm, err := to(pool)(s)
			adm.UserTimeout = 7 * time.Second
			adm.KeepAlive = 9 * time.Second
			return adm, err
		}})
		client := open(t, r)
		defer client.Close()
		c := r.live.all()[0]
		c.mu.Lock()
		sides := map[string]net.Conn{"client": c.raw, "route": rawOf(c.upstream)}
		c.mu.Unlock()
		for name, conn := range sides {
			for option, want := range map[int]int{unix.TCP_USER_TIMEOUT: 7000, unix.TCP_KEEPIDLE: 9} {
				eventually(t, fmt.Sprintf("TLS %v: option %d of the %s is %d", secure, option, name, want), func() bool { return socketOption(t, conn, option) == want })
			}
		}
	}
}

func socketOption(t *testing.T, conn net.Conn, option int) (value int) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}
