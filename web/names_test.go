package web

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/egress"
)

// zone is a DNS server on loopback that answers every question with the same addresses, of IPv4.
type zone struct {
	mu        sync.Mutex
	addresses []netip.Addr // none: the name does not exist
}

func (z *zone) set(addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addresses = nil
	for _, a := range addresses {
		z.addresses = append(z.addresses, netip.MustParseAddr(a))
	}
}

// newZone returns the zone and a resolver that asks nobody else.
func newZone(t *testing.T) (*zone, *net.Resolver) {
	t.Helper()
	z := &zone{}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		packet := make([]byte, 512)
		for {
			size, from, err := socket.ReadFrom(packet)
			if err != nil {
				return
			}
			socket.WriteTo(z.reply(packet[:size]), from)
		}
	})
	t.Cleanup(func() { socket.Close(); running.Wait() })
	return z, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

// reply answers a query with one question (RFC 1035, section 4.1).
func (z *zone) reply(query []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	const header, typeA, nameError = 12, 1, 3
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	answer := append([]byte{query[0], query[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end+5]...)
	if len(z.addresses) == 0 {
		answer[3] = nameError
	}
	for _, a := range z.addresses {
		if kind == typeA {
			answer[7]++
			answer = append(answer, 0xC0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, a.AsSlice()...)
		}
	}
	return answer
}

// echoesAt is an upstream on several addresses of loopback with one port.
func echoesAt(t *testing.T, hosts ...string) (port string) {
	t.Helper()
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		must(t, err)
		if port == "" {
			_, port, _ = net.SplitHostPort(l.Addr().String())
		}
		serveEcho(t, l)
	}
	return port
}

// Every address of a name is a route of its own, and the zone may change.
func TestRoutesByName(t *testing.T) {
	names, resolver := newZone(t)
	names.set("127.0.0.1", "127.0.0.2")
	f := start(t, func(c *control.Config) { c.Resolver, c.NamesInterval = resolver, 50*time.Millisecond })
	c, address := f.signUp("testuser"), f.balance()
	port := echoesAt(t, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	dest := "db.test:" + port
	id := c.frontend(dest)
	cert, _ := c.identity(id, "program")
	// holds waits until the name stands for the addresses.
	holds := func(hosts ...string) (route map[string]any) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			_, all := c.routes(id)
			route = all[dest]
			found, _ := route["addresses"].([]any)
			same := len(found) == len(hosts)
			for i := range hosts {
				same = same && found[i].(map[string]any)["dest"] == net.JoinHostPort(hosts[i], port)
			}
			if same {
				return route
			}
		}
		t.Fatalf("the addresses are not %v but %v", hosts, route)
		return nil
	}
	holds("127.0.0.1", "127.0.0.2")
	programs := []program{f.connect(address, cert), f.connect(address, cert)}
	route := holds("127.0.0.1", "127.0.0.2")
	for _, one := range route["addresses"].([]any) {
		if one.(map[string]any)["connections"] != 1.0 {
			t.Errorf("got %v, want one connection on each address", one)
		}
	}
	if route["connections"] != 2.0 || route["state"] != "up" {
		t.Errorf("got %v, want 2 connections and up", route)
	}
	names.set("127.0.0.2", "127.0.0.3")
	holds("127.0.0.2", "127.0.0.3")
	names.set() // the zone is gone: what was known stays
	time.Sleep(200 * time.Millisecond)
	holds("127.0.0.2", "127.0.0.3")
	for i, p := range append(programs, f.connect(address, cert)) {
		if !p.works() {
			t.Errorf("connection %d was closed", i)
		}
	}
	closed := c.call("DELETE", "/api/v1/client/frontend/"+id+"/connections?route="+dest, "").object(t)
	if closed["closed"] != 2.0 { // the third is on an address that the name has no more
		t.Errorf("got %v, want 2 closed", closed)
	}
}

// While a name does not resolve its status and the log say so, and the last known addresses serve, after a
// restart too.
func TestNameThatDoesNotResolve(t *testing.T) {
	t.Parallel() // it waits most of the time
	zone, resolver := newZone(t)
	zone.set("127.0.0.1")
	f := start(t, func(c *control.Config) { c.Resolver, c.NamesInterval = resolver, 50*time.Millisecond })
	c, address := f.signUp("testuser"), f.balance()
	dest := "db.test:" + echoesAt(t, "127.0.0.1")
	id := c.frontend(dest)
	cert, _ := c.identity(id, "program")
	f.connect(address, cert)
	becomes := func(reason, state string) map[string]any {
		t.Helper()
		var route map[string]any
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			_, all := c.routes(id)
			if route = all[dest]; route["reason"] == reason && route["state"] == state {
				return route
			}
		}
		t.Fatalf("never %s and %s: %v", reason, state, route)
		return nil
	}
	becomes("", "up")
	failed := time.Now()
	zone.set()
	route := becomes("route-dns", "up")
	if since, _ := route["since"].(map[string]any); since == nil || since["seconds"].(float64) < float64(failed.Unix()) {
		t.Errorf("since %v", route["since"])
	}
	if detail := route["detail"].(string); !strings.Contains(detail, "no such host") || !strings.Contains(detail, "last known") {
		t.Errorf("detail %q", detail)
	}
	if !strings.Contains(f.log.String(), "name does not resolve") {
		t.Error("the log does not say so")
	}
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if stored, err := f.store.Names(t.Context()); err == nil && len(stored) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the addresses are not saved")
		}
	}
	second := f.another()
	second.connect(second.balance(), cert)
	zone.set("127.0.0.1")
	becomes("", "up")
	if !strings.Contains(f.log.String(), "name resolves") {
		t.Error("the log does not say that it is over")
	}
	nowhere := "nowhere.test:80"
	zone.set()
	lost := c.frontend(nowhere)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, all := c.routes(lost)
		if all[nowhere]["state"] == "down" && all[nowhere]["reason"] == "route-dns" && all[nowhere]["since"] != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want other addresses by now", all)
		}
	}
}

// A name that was good when it was saved may point to the inside later. The dial looks once more.
func TestReboundNameIsNotDialled(t *testing.T) {
	names, resolver := newZone(t)
	names.set("127.0.0.1")
	deny := netip.MustParsePrefix("127.0.0.2/32")
	f := start(t, func(c *control.Config) {
		c.Resolver, c.NamesInterval, c.Egress.Deny = resolver, 50*time.Millisecond, []egress.Rule{{Network: deny}}
	})
	c, address := f.signUp("testuser"), f.balance()
	port := echoesAt(t, "127.0.0.1", "127.0.0.2")
	id := c.frontend("db.test:" + port)
	cert, _ := c.identity(id, "program")
	f.connect(address, cert)
	names.set("127.0.0.2")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, all := c.routes(id)
		found, _ := all["db.test:"+port]["addresses"].([]any)
		if len(found) == 1 && found[0].(map[string]any)["dest"] == "127.0.0.2:"+port {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want other addresses by now", all)
		}
	}
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("the inside was reached")
	}
	_, all := c.routes(id)
	if found := all["db.test:"+port]["addresses"].([]any)[0].(map[string]any); found["reason"] != "route-policy" || found["total"] != 0.0 {
		t.Errorf("got %v, want route-policy and no connection", found)
	}
	wantProblem(t, c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"db.test:`+port+`"}]}`), 422, "body.routes[0].dest")
}
