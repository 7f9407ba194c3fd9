package abuse

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// mute accepts connections to every address 127.x.y.z and never says a word. It returns its port.
func mute(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(listen(t, "0.0.0.0:0", func(conn net.Conn) { io.Copy(io.Discard, conn) }))
	return port
}

// routesOf is a list of n routes with addresses of their own.
func routesOf(n, from int, port string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"dest":"127.%d.%d.%d:%s"}`, 9+(from+i)>>16, (from+i)>>8&255, (from+i)&255, port))
	}
	return strings.Join(all, ",")
}

// stateOf is the state of the only route of a frontend.
func (c *caller) stateOf(frontend string) string {
	status, text, err := c.ask("GET", "/api/v1/client/frontend/"+frontend+"/status", "")
	if err != nil || status != 200 {
		return fmt.Sprint(status, " ", err)
	}
	_, rest, _ := strings.Cut(text, `"routes":[`)
	_, rest, _ = strings.Cut(rest, `"state":"`)
	state, _, _ := strings.Cut(rest, `"`)
	return state
}

// until is how long it takes until a route has the state.
func (c *caller) until(frontend, state string, most time.Duration) time.Duration {
	began := time.Now()
	for c.stateOf(frontend) != state {
		if time.Since(began) > most {
			c.s.Errorf("the route is %s after %v, want %s", c.stateOf(frontend), most, state)
			return most
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// verdicts is how long it takes until a new route is up, and until one that has gone is down.
func (c *caller) verdicts(t *testing.T) (up, down time.Duration) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	id := c.frontend(fmt.Sprintf(`{"routes":[{"dest":%q}],"check":{"kind":"tcp","intervalSec":1,"timeoutSec":1,"fall":2}}`, l.Addr().String()))
	up = c.until(id, "up", time.Minute)
	l.Close()
	down = c.until(id, "down", time.Minute)
	c.must("DELETE", "/api/v1/client/frontend/"+id, "")
	return up, down
}

// Routes of one client that say nothing, thousands of them with the longest time-out there is, do not hold up the
// verdicts on the routes of another.
func TestSilentChecks(t *testing.T) {
	s := start(t)
	victim, attacker := s.tenant(1, "victim"), s.tenant(2, "attacker")
	up, down := victim.verdicts(t)
	port := mute(t)
	n := size(2, 8)
	for i := range n {
		attacker.frontend(fmt.Sprintf(`{"routes":[%s],"check":{"kind":"send","expect":"x","intervalSec":60,"timeoutSec":60}}`, routesOf(256, i*256, port)))
	}
	time.Sleep(time.Duration(size(15, 45)) * time.Second) // first checks come over half a minute
	slowUp, slowDown := victim.verdicts(t)
	t.Logf("beside %d silent routes: up after %v (%v without), down after %v (%v)", n*256, slowUp, up, slowDown, down)
	if slowUp > 2*up+time.Second || slowDown > 2*down+time.Second {
		t.Errorf("verdicts take %v and %v, without the attack %v and %v", slowUp, slowDown, up, down)
	}
}
