package lb

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// benchRig serves TLS in front of one route.
func benchRig(b *testing.B, serve func(*net.TCPConn)) (*rig, *tls.Config) {
	b.Helper()
	r := newRig(b, Config{TLS: &tls.Config{}, Admit: to(poolOf(upstream(b, serve)))})
	cfg := r.clientConfig(b, "client")
	b.ReportAllocs()
	return r, cfg
}

func benchConnections(b *testing.B, resume bool) {
	r, cfg := benchRig(b, echo)
	if resume {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	one := []byte{0}
	for b.Loop() {
		conn, err := tls.Dial("tcp", r.addr, cfg)
		if err != nil {
			b.Fatal(err)
		}
		conn.Write(one)
		if _, err := io.ReadFull(conn, one); err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}

// One connection from the handshake to the first byte; the client's allocations are in the figure.
func BenchmarkConnection(b *testing.B)        { benchConnections(b, false) }
func BenchmarkResumedConnection(b *testing.B) { benchConnections(b, true) }

const megabyte = 1 << 20

func pattern() []byte { return make([]byte, 64<<10) }

// A megabyte through an open connection; the client's allocations are in the figure.
func BenchmarkDownload(b *testing.B) {
	r, cfg := benchRig(b, func(conn *net.TCPConn) {
		block := pattern()
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	})
	conn, err := r.dialTLS(b, cfg)
	if err != nil {
		b.Fatal(err)
	}
	block := pattern()
	b.SetBytes(megabyte)
	for b.Loop() {
		for range megabyte / len(block) {
			if _, err := io.ReadFull(conn, block); err != nil {
				b.Fatal(err)
			}
		}
	}
	conn.NetConn().Close()
}

func BenchmarkUpload(b *testing.B) {
	r, cfg := benchRig(b, func(conn *net.TCPConn) { io.Copy(io.Discard, conn) })
	conn, err := r.dialTLS(b, cfg)
	if err != nil {
		b.Fatal(err)
	}
	block := pattern()
	b.SetBytes(megabyte)
	for b.Loop() {
		for range megabyte / len(block) {
			if _, err := conn.Write(block); err != nil {
				b.Fatal(err)
			}
		}
	}
	conn.NetConn().Close()
}
