package web

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/lb"
)

// from makes the client's connections come through a proxy that says they are from source.
func (f *fixture) from(source string) {
	header := lb.AppendProxyHeader(nil, 2, lb.ProxyHeader{Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort("192.0.2.1:8083")})
	f.client.CloseIdleConnections()
	f.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			_, err = conn.Write(header)
		}
		return conn, err
	}
}

// Behind a proxy rates, shares and logs go by the address in its header, on both ports, and nothing gets in without one.
func TestClientsBehindAProxy(t *testing.T) {
	f := start(t, func(c *control.Config) {
		c.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Signup, c.SignupRate = "open", 2
	})
	f.from("203.0.113.7:4711")
	c := f.signUp("first")
	for i, want := range []int{201, 429} {
		if a := f.join("another", ""); a.status != want {
			t.Errorf("sign-up %d from one address: %d, want %d", i+2, a.status, want)
		}
	}
	f.from("203.0.113.8:4711")
	if a := f.join("another", ""); a.status != 201 {
		t.Errorf("from another address: %d %s, want 201", a.status, a.body)
	}
	if !strings.Contains(f.log.String(), "action=client.create via=api") || !strings.Contains(f.log.String(), "address=203.0.113.7") {
		t.Error("the log has not the client's address")
	}
	if a := c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"127.0.0.1:80"}]}`); a.status != 422 {
		t.Errorf("a route to this machine: %d, want 422", a.status)
	}
	for what, first := range map[string]string{"no header": "", "text": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		raw, err := net.DialTimeout("tcp", strings.TrimPrefix(f.url, "https://"), dialTime)
		must(t, err)
		defer raw.Close()
		must(t, raw.SetDeadline(time.Now().Add(dialTime)))
		io.WriteString(raw, first)
		conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		if err := conn.Handshake(); err == nil {
			t.Errorf("%s: the control plane answers", what)
		}
	}
	// More than a source may have get in when each is another's; the same number from one address closes the first.
	address := strings.TrimPrefix(f.url, "https://")
	open := func(source string) *tls.Conn {
		raw, err := net.DialTimeout("tcp", address, dialTime)
		must(t, err)
		t.Cleanup(func() { raw.Close() })
		must(t, raw.SetDeadline(time.Now().Add(dialTime)))
		fmt.Fprintf(raw, "PROXY TCP4 %s 192.0.2.1 4711 8083\r\n", source)
		conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		must(t, conn.Handshake())
		return conn
	}
	answers := func(conn *tls.Conn) bool {
		fmt.Fprint(conn, "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n")
		_, err := io.ReadFull(conn, make([]byte, 12))
		return err == nil
	}
	var all []*tls.Conn
	for i := range strangersPerSource + 10 {
		all = append(all, open(fmt.Sprintf("203.0.113.%d", 20+i)))
	}
	if !answers(all[0]) {
		t.Error("connections of many addresses through one proxy count as one source's")
	}
	first := open("203.0.113.9")
	for range strangersPerSource {
		open("203.0.113.9")
	}
	if answers(first) {
		t.Error("one address has more connections than a source may have")
	}
}
