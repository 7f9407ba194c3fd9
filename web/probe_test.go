package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// startForTests is a server whose tests of frontends reach its own port.
func startForTests(t *testing.T) *fixture {
	f := start(t)
	f.balance()
	return f
}

// test runs a test of a frontend by the API, once the second since the last has passed.
func (c tenant) test(id, send string) map[string]any {
	c.Helper()
	for range 30 {
		a := c.call("POST", "/api/v1/client/frontend/"+id+"/test", `{"send":"`+send+`"}`)
		if a.status == http.StatusTooManyRequests {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if a.status != 200 {
			c.Fatalf("the test answers %d %s, want 200", a.status, a.body)
		}
		return a.object(c.T)
	}
	c.Fatal("no test may run in 3 s, want one each second")
	return nil
}

// stagesOf are the names of the stages that were reached.
func stagesOf(t *testing.T, result map[string]any) (reached []string) {
	t.Helper()
	for _, one := range result["stages"].([]any) {
		stage := one.(map[string]any)
		if stage["reached"] == true {
			reached = append(reached, stage["name"].(string))
		}
		if ms := stage["tookMs"].(float64); ms < 0 || ms > 5000 {
			t.Errorf("%v took %v ms, want a time between", stage["name"], ms)
		}
	}
	return reached
}

const marked = "HTTP/1.0 200 OK\r\n\r\nanswer-of-the-route"

func TestOneConnectionStageByStage(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := startForTests(t)
	c := f.signUp("testuser")
	asked := make(chan string, 10)
	web := serveAll(t, func(conn net.Conn) {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		asked <- line
		io.WriteString(conn, marked)
	})
	id := c.frontend(web)
	result := c.test(id, "http")
	if result["passed"] != true || result["failed"] != "" || result["route"] != web {
		t.Errorf("%v, want a test that passed at %s", result, web)
	}
	if got, want := strings.Join(stagesOf(t, result), " "), "handshake certificate frontend chosen reached first-byte"; got != want {
		t.Errorf("it reached %q, want %q", got, want)
	}
	if line := <-asked; line != "GET / HTTP/1.0\r\n" {
		t.Errorf("the route was asked %q, want a GET", line)
	}
	if a := c.call("POST", "/api/v1/client/frontend/"+id+"/test", `{}`); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Errorf("a second test at once: %d, Retry-After %q; want 429 and 1", a.status, a.header.Get("Retry-After"))
	}
	var ended []any
	for end := time.Now().Add(5 * time.Second); len(ended) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		ended = c.call("GET", "/api/v1/client/frontend/"+id+"/connections/ended", "").object(t)["items"].([]any)
	}
	if len(ended) != 1 || ended[0].(map[string]any)["reason"] == "gone" {
		t.Errorf("%v have ended, want the one of the test, and its frontend is not gone", ended)
	}
	// Its certificate was good for it alone, and is in no list.
	if n := c.call("GET", "/api/v1/client/frontend/"+id+"/certificates", "").object(t)["items"].([]any); len(n) != 0 {
		t.Errorf("%d certificates are left behind, want none", len(n))
	}
	wantProblem(t, c.call("POST", "/api/v1/client/frontend/"+id+"/test", `{"send":"smtp"}`), 422, "body.send")
	if a := f.signUp("stranger").call("POST", "/api/v1/client/frontend/"+id+"/test", `{}`); a.status != 404 {
		t.Errorf("a stranger: %d, want 404", a.status)
	}
}

func TestTestsThatFailSayWhere(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := startForTests(t)
	c := f.signUp("testuser")
	silent := serveAll(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	hangsUp := serveAll(t, func(net.Conn) {})
	off := c.frontend(silent)
	if a := c.call("PATCH", "/api/v1/client/frontend/"+off, `{"active":false}`); a.status != 200 {
		t.Fatalf("switch off: %d, want 200", a.status)
	}
	for name, want := range map[string]struct {
		id, send, failed, reason string
		reached                  int
	}{
		"nobody listens":     {c.frontend("127.0.0.1:1"), "http", "reached", "route-refused", 3},
		"it hangs up":        {c.frontend(hangsUp), "http", "first-byte", "", 5},
		"it waits":           {c.frontend(silent), "nothing", "", "", 5},
		"it is switched off": {off, "http", "frontend", "off", 1},
	} {
		result := c.test(want.id, want.send)
		if result["failed"] != want.failed || want.reason != "" && result["reason"] != want.reason {
			t.Errorf("%s: failed at %q for %q, want %q for %q", name, result["failed"], result["reason"], want.failed, want.reason)
		}
		if reached := stagesOf(t, result); len(reached) != want.reached {
			t.Errorf("%s: it reached %v, want %d stages", name, reached, want.reached)
		}
	}
}

func TestPageOfATest(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := startForTests(t)
	c := f.signUp("testuser")
	cookie := f.cookieOf(c)
	id := c.frontend(serveAll(t, func(conn net.Conn) { io.WriteString(conn, marked) }))
	page := "/frontends/" + id + "/test"
	if a := f.do("GET", page, nil, "Cookie", cookie); a.status != 200 || !strings.Contains(a.body, "Run the test") {
		t.Errorf("the form: %d, want a button", a.status)
	}
	a := f.postForm(page, "send=nothing", "Cookie", cookie)
	for _, want := range []string{"Passed in", "First byte back", "by round robin", "Run again"} {
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%d, the result lacks %q", a.status, want)
		}
	}
	if strings.Contains(a.body, "answer-of-the-route") {
		t.Error("the result shows what the route has sent")
	}
	if a := f.postForm(page, "send=nothing", "Cookie", cookie); a.status != 429 || !strings.Contains(a.body, "once a second") {
		t.Errorf("a second one at once: %d, want 429 on the same page", a.status)
	}
	time.Sleep(1100 * time.Millisecond)
	if a := f.postForm("/frontends/"+c.frontend("127.0.0.1:1")+"/test", "send=http", "Cookie", cookie); !strings.Contains(a.body, "Failed at “Route reached”") || !strings.Contains(a.body, "Nothing listens on 127.0.0.1:1") {
		t.Errorf("%d, a route that refuses is not named", a.status)
	}
}
