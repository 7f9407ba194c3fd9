package lb

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// proxied is an upstream over TLS that wants a PROXY header of version 2 before it, and echoes.
func proxied(t *testing.T, a *authority, headers chan<- ProxyHeader) string {
	cfg := &tls.Config{Certificates: []tls.Certificate{issueServer(t, a, nil)}}
	return upstream(t, func(raw *net.TCPConn) {
		start := make([]byte, 16)
		io.ReadFull(raw, start)
		rest := make([]byte, int(start[14])<<8|int(start[15]))
		io.ReadFull(raw, rest)
		h, _, err := parseProxy(bytes.Join([][]byte{start, rest}, nil))
		if err != nil {
			t.Error(err)
		}
		headers <- h
		conn := tls.Server(raw, cfg)
		defer conn.Close()
		io.Copy(conn, conn)
		conn.CloseWrite()
	})
}

func TestRouteGetsHeaderThenTLSThenTheStream(t *testing.T) {
	bothWays(t, func(t *testing.T, with *tls.Config) {
		headers := make(chan ProxyHeader, 2)
		a := newAuthority(t)
		pool := NewPool(PoolConfig{Backends: []Backend{{Addr: proxied(t, a, headers), TLS: &BackendTLS{RootCAs: a.Pool()}, ProxyProtocol: 2}}})
		r := newRig(t, Config{TLS: with, Admit: admit(Admission{Pool: pool, ProxyFields: []TLV{{0xE5, []byte("me")}}})})
		conn := r.dial(t)
		sent := bytes.Repeat([]byte("0123456789"), 50_000)
		go func() {
			conn.Write(sent)
			conn.CloseWrite()
		}()
		if got := readAll(t, conn); got != string(sent) {
			t.Errorf("%d bytes came back of %d", len(got), len(sent))
		}
		h := <-headers
		if h.Source.String() != conn.LocalAddr().String() || h.Destination.String() != r.addr || len(h.Custom) != 1 || string(h.Custom[0].Value) != "me" {
			t.Errorf("header %+v", h)
		}
		if with != nil && (h.TLS == nil || h.TLS.CommonName != "client") {
			t.Errorf("identity %+v", h.TLS)
		}
	})
}

func TestRouteWithAWrongCertificateIsNotTrusted(t *testing.T) {
	headers := make(chan ProxyHeader, 2)
	pool := NewPool(PoolConfig{Backends: []Backend{{Addr: proxied(t, newAuthority(t), headers), TLS: &BackendTLS{RootCAs: newAuthority(t).Pool()}, ProxyProtocol: 2}}})
	r := newRig(t, Config{Admit: to(pool)})
	r.dial(t)
	if e := r.next(t, Closed, 0); e.Reason != ReasonBackendTLS {
		t.Errorf("ended with %q, %v, want %q", e.Reason, e.Err, ReasonBackendTLS)
	}
}
