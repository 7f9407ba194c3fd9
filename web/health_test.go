package web

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// closable is an upstream that can go away and come back at the same address.
func closable(t *testing.T) (dest string, stop func(), again func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	dest = l.Addr().String()
	serve := func(l net.Listener) {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}
	go serve(l)
	t.Cleanup(func() { l.Close() })
	return dest, func() { l.Close() }, func() {
		l, err = net.Listen("tcp", dest)
		must(t, err)
		go serve(l)
	}
}

func TestChecksTakeRoutesOutAndBackIn(t *testing.T) {
	t.Parallel() // it waits most of the time
	c := start(t).signUp("testuser")
	dest, stop, again := closable(t)
	other := echoes(t)
	id := c.frontend(dest, other)
	a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"check":{"kind":"tcp","intervalSec":1,"timeoutSec":1,"rise":1,"fall":1}}`)
	if a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	c.becomes(id, dest, "up")
	c.becomes(id, other, "up")
	stop()
	if down := c.becomes(id, dest, "down"); down["reason"] != "route-refused" || down["since"] == nil {
		t.Errorf("down: %v", down)
	}
	if state, _ := c.routes(id); state != "degraded" {
		t.Errorf("the frontend is %s, want degraded", state)
	}
	again()
	c.becomes(id, dest, "up")
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"check":{"kind":"none"}}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	c.becomes(id, dest, "unknown")
}

// A route that goes down keeps its connections, unless its owner wants them closed.
func TestConnectionsOfARouteThatGoesDown(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, closes := range []bool{false, true} {
		f := start(t)
		c, address := f.signUp("testuser"), f.balance()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		serveEcho(t, l)
		dest := l.Addr().String()
		id := c.frontend(dest, echoes(t))
		body := fmt.Sprintf(`{"closeOnDown":%v,"check":{"kind":"tcp","intervalSec":1,"timeoutSec":1,"rise":1,"fall":1}}`, closes)
		if a := c.call("PATCH", "/api/v1/client/frontend/"+id, body); a.status != 200 {
			t.Fatalf("%d %s, want 200", a.status, a.body)
		}
		cert, _ := c.identity(id, "program")
		c.becomes(id, dest, "up")
		p := []program{f.connect(address, cert), f.connect(address, cert)} // one on each
		l.Close()                                                          // its connection goes on
		c.becomes(id, dest, "down")
		open := 0
		for _, one := range p {
			if closes && one.noticed() {
				continue
			}
			if one.works() {
				open++
			}
		}
		if want := map[bool]int{false: 2, true: 1}[closes]; open != want {
			t.Errorf("closeOnDown %v: %d connections are open, want %d", closes, open, want)
		}
	}
}

// Without any check: connects that fail take a route out, and a probe brings it back.
func TestFailedConnectsEjectARoute(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	dest, stop, again := closable(t)
	id := c.frontend(dest, echoes(t))
	cert, _ := c.identity(id, "program")
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"ejectAfter":2}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	stop()
	for range 4 {
		f.connect(address, cert) // each finds the other route
	}
	if out := c.becomes(id, dest, "ejected"); out["reason"] != "route-refused" || out["failed"] != 2.0 {
		t.Errorf("ejected: %v", out)
	}
	again()
	c.becomes(id, dest, "up") // a probe found it
}

// A route that takes each connection and ends it at once goes out only where its owner said so, and a probe's
// connect does not bring it back.
func TestEarlyEndsEjectARoute(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	dead := serveAll(t, func(conn net.Conn) {})
	id := c.frontend(dead, echoes(t))
	cert, _ := c.identity(id, "program")
	serves := func() bool {
		conn, err := tls.Dial("tcp", address, clientOf(cert))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(conn, "x")
		_, err = conn.Read(make([]byte, 1))
		return err == nil
	}
	for range 12 {
		serves()
	}
	if _, all := c.routes(id); all[dead]["state"] != "up" {
		t.Fatalf("by default: %v", all[dead])
	}
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"ejectOn":"early-close","ejectAfter":3}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	for range 6 {
		serves()
	}
	if out := c.becomes(id, dead, "ejected"); out["reason"] != "route-closed" {
		t.Errorf("ejected: %v", out)
	}
	for until := time.Now().Add(2500 * time.Millisecond); time.Now().Before(until); time.Sleep(50 * time.Millisecond) { // a probe would come each 2 s
		if !serves() {
			t.Fatal("the dead route got a connection")
		}
	}
}

func TestRoutesAreDrainedByTheirOwner(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	one, two := echoes(t), echoes(t)
	id := c.frontend(one, two)
	cert, _ := c.identity(id, "program")
	live := []program{f.connect(address, cert), f.connect(address, cert)} // one on each
	patch := func(state string) {
		t.Helper()
		body := `{"drainTimeoutSec":60,"routes":[{"dest":"` + one + `","state":"` + state + `"},{"dest":"` + two + `"}]}`
		if a := c.call("PATCH", "/api/v1/client/frontend/"+id, body); a.status != 200 {
			t.Fatalf("%d %s, want 200", a.status, a.body)
		}
	}
	patch("drain")
	if _, all := c.routes(id); all[one]["state"] != "draining" || all[one]["connections"] != 1.0 || all[one]["closesAt"] == nil {
		t.Errorf("draining: %v", all[one])
	}
	for range 4 {
		live = append(live, f.connect(address, cert))
	}
	if _, all := c.routes(id); all[one]["connections"] != 1.0 || all[two]["connections"] != 5.0 {
		t.Errorf("%v and %v", all[one], all[two])
	}
	for i, p := range live {
		if !p.works() {
			t.Errorf("connection %d was closed by a drain", i)
		}
	}
	patch("maintenance")
	closed := 0
	for _, p := range live[:2] {
		p.SetReadDeadline(time.Now().Add(3 * time.Second))
		if _, err := p.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			closed++
		}
	}
	if closed != 1 {
		t.Errorf("maintenance closed %d of the first two, want the one on its route", closed)
	}
	patch("ready")
	c.becomes(id, one, "up")
}

// A route that is taken out of the frontend shows what it still has, until its time is over.
func TestRemovedRouteDrains(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	one, two := echoes(t), echoes(t)
	id := c.frontend(one)
	cert, _ := c.identity(id, "program")
	p := f.connect(address, cert)
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"drainTimeoutSec":1,"routes":[{"dest":"`+two+`"}]}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	removed := c.call("GET", "/api/v1/client/frontend/"+id+"/status", "").object(t)["removed"].([]any)
	if len(removed) != 1 {
		t.Fatalf("got %v, want 1", removed)
	}
	if r := removed[0].(map[string]any); r["dest"] != one || r["connections"] != 1.0 || r["state"] != "draining" || r["closesAt"] == nil {
		t.Errorf("got %v, want the route, draining, with 1 connection and an end", r)
	}
	if !p.works() {
		t.Error("its connection was closed at once")
	}
	p.ends(t)
	for deadline := time.Now().Add(5 * time.Second); len(removed) > 0; time.Sleep(10 * time.Millisecond) {
		removed = c.call("GET", "/api/v1/client/frontend/"+id+"/status", "").object(t)["removed"].([]any)
		if time.Now().After(deadline) {
			t.Fatalf("still there: %v", removed)
		}
	}
}

// Switching a frontend off drops its connections, or lets them finish.
func TestSwitchingOffDropsOrDrains(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, _ := c.identity(id, "program")
	patch := func(query, body string) {
		t.Helper()
		if a := c.call("PATCH", "/api/v1/client/frontend/"+id+query, body); a.status != 200 {
			t.Fatalf("%d %s, want 200", a.status, a.body)
		}
	}
	p := f.connect(address, cert)
	patch("?drain=1", `{"active":false}`)
	if !p.works() {
		t.Error("it was dropped, not drained")
	}
	if _, err := f.echo(address, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}); err == nil {
		t.Error("a new connection came in")
	}
	patch("", `{"name":"renamed"}`) // has nothing to do with it
	if !p.works() {
		t.Error("another change dropped it")
	}
	p.ends(t)
	patch("", `{"active":true}`)
	p = f.connect(address, cert)
	patch("", `{"active":false}`)
	if took := p.ends(t); took > 500*time.Millisecond {
		t.Errorf("dropped after %v", took)
	}
	wantProblem(t, c.call("PATCH", "/api/v1/client/frontend/"+id+"?drain=90000", `{"active":false}`), 422, "query.drain")
}
