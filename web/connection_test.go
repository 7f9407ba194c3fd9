package web

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func serveOn(t *testing.T, l net.Listener, serve func(net.Conn)) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { defer conn.Close(); serve(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
}

func TestConnectionsAreListed(t *testing.T) {
	w := newCrowd(t)
	all, order, total := w.connections(w.id, "")
	counted := func() bool { // a byte is counted once it was written: who gets it may be faster
		for _, one := range all {
			if one["bytesIn"] != 5.0 || one["bytesOut"] != 5.0 {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(10 * time.Second); !counted() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all, order, total = w.connections(w.id, "")
	}
	if len(all) != 4 || total != 4 {
		t.Fatalf("%d of %d connections, want 4", len(all), total)
	}
	for i, p := range w.programs {
		if order[3-i] != p.source {
			t.Errorf("the order is %v, want the newest first", order)
		}
		one := all[p.source]
		name := []string{"checkout-prod", "reports"}[i%2]
		id, isText := one["id"].(string)
		if one["serial"] != w.serial[i%2] || one["name"] != name || one["bytesIn"] != 5.0 || one["bytesOut"] != 5.0 || !isText || strings.Trim(id, "0123456789") != "" {
			t.Errorf("connection %d is %v", i, one)
		}
		if one["route"] != w.first && one["route"] != w.second {
			t.Errorf("connection %d goes to %v", i, one["route"])
		}
		if age, idle := one["ageMs"].(float64), one["idleMs"].(float64); idle > age || age > 60_000 || one["since"].(map[string]any)["seconds"] == 0.0 || one["resumed"] != false {
			t.Errorf("connection %d is %v", i, one)
		}
	}
	for query, want := range map[string][2]int{
		"?limit=1": {1, 4}, "?limit=1000": {4, 4}, "?q=checkout": {2, 2}, "?q=checkout&limit=1": {1, 2},
		"?q=" + strings.ToUpper(w.serial[1]): {2, 2}, "?q=" + url.QueryEscape(w.programs[2].source): {1, 1},
		"?q=" + url.QueryEscape(w.first): {2, 2}, "?q=nothing": {0, 0},
	} {
		if some, _, total := w.connections(w.id, query); len(some) != want[0] || total != want[1] {
			t.Errorf("%s: %d of %d, want %v", query, len(some), total, want)
		}
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=x"} {
		wantProblem(t, w.call("GET", w.path()+"?"+query, ""), 422, "query.limit")
	}
	wantProblem(t, w.call("GET", w.path()+"?after=1", ""), 422, "")
}

func TestClosingOneConnectionLeavesTheOthers(t *testing.T) {
	w := newCrowd(t)
	all, _, _ := w.connections(w.id, "")
	one := w.path() + "/" + all[w.programs[1].source]["id"].(string)
	if a := w.call("DELETE", one, ""); a.status != 204 || a.body != "" {
		t.Fatalf("close: %d %s", a.status, a.body)
	}
	if left, _, total := w.connections(w.id, ""); total != 3 || left[w.programs[1].source] != nil {
		t.Errorf("after the answer it is still listed: %v", left)
	}
	w.alive(true, false, true, true)
	wantProblem(t, w.call("DELETE", one, ""), 404, "")
	for _, id := range []string{"0", "-1", marker, "99999999999999999999999999", "%2e%2e"} {
		wantProblem(t, w.call("DELETE", w.path()+"/"+id, ""), 404, "")
	}
	// The line of a connection is written when its last goroutine ends, which nobody waits for.
	logged := func() bool {
		return strings.Contains(w.log.String(), "connection.close") && strings.Contains(w.log.String(), "killed")
	}
	for end := time.Now().Add(5 * time.Second); !logged() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	if !logged() {
		t.Error("the log does not say that a connection was killed")
	}
}

func TestClosingManyConnectionsByFilter(t *testing.T) {
	w := newCrowd(t)
	for query, location := range map[string]string{
		"": "query.all", "?all=false": "query.all", "?route=": "query.all", "?all=true&serial=" + w.serial[0]: "query.all",
		"?serial=" + marker: "query.serial", "?source=" + marker: "query.source", "?all=" + marker: "query.all", "?colour=red&all=true": "query.colour",
	} {
		wantProblem(t, w.call("DELETE", w.path()+query, ""), 422, location)
	}
	w.alive(true, true, true, true)
	closes := func(query string, want float64) {
		t.Helper()
		a := w.call("DELETE", w.path()+query, "")
		v := a.object(t)
		if _, timed := v["tookMs"].(float64); a.status != 200 || v["closed"] != want || !timed {
			t.Errorf("%s: %d %s, want %v closed", query, a.status, a.body, want)
		}
	}
	closes("?route=10.0.0.1:1", 0)
	closes("?source=10.0.0.1", 0)
	closes("?serial="+w.serial[0]+"&source="+url.QueryEscape(w.programs[1].source), 0)
	closes("?source="+url.QueryEscape(w.programs[0].source), 1)
	w.alive(false, true, true, true)
	closes("?serial="+strings.ToUpper("00"+w.serial[1]), 2)
	w.alive(false, false, true, false)
	all, _, _ := w.connections(w.id, "")
	route := all[w.programs[2].source]["route"].(string)
	closes("?route="+url.QueryEscape(route), 1)
	closes("?all=true", 0)
	w.alive(false, false, false, false)
}

func TestClosingAllConnectionsOfAFrontend(t *testing.T) {
	w := newCrowd(t)
	if a := w.call("DELETE", w.path()+"?all=true", ""); a.status != 200 || a.object(t)["closed"] != 4.0 {
		t.Fatalf("close all: %d %s", a.status, a.body)
	}
	w.alive(false, false, false, false)
}

func TestConnectionsOfAnotherClientAreNotThere(t *testing.T) {
	w := newCrowd(t)
	other := w.signUp("other")
	own := other.frontend("10.0.0.1:80")
	all, _, _ := w.connections(w.id, "")
	id := all[w.programs[0].source]["id"].(string)
	const missing = "0198a1f2-0000-7000-8000-000000000000"
	for _, call := range []string{"GET %s/connections", "DELETE %s/connections/" + id, "DELETE %s/connections?all=true", "DELETE %s/connections"} {
		method, path, _ := strings.Cut(call, " ")
		ask := func(frontend string) answer {
			return other.call(method, fmt.Sprintf("/api/v1/client/frontend/"+path, frontend), "", "X-Request-Id", "r")
		}
		foreign, none := ask(w.id), ask(missing)
		if foreign.status != 404 || foreign.body != none.body {
			t.Errorf("%s: %d %s, want what a missing one gets: %s", call, foreign.status, foreign.body, none.body)
		}
	}
	// The id alone opens nothing: not under a frontend of one's own.
	wantProblem(t, other.call("DELETE", "/api/v1/client/frontend/"+own+"/connections/"+id, ""), 404, "")
	second := w.frontend("10.0.0.2:80")
	wantProblem(t, w.call("DELETE", "/api/v1/client/frontend/"+second+"/connections/"+id, ""), 404, "")
	if list, _, total := other.connections(own, ""); len(list) != 0 || total != 0 {
		t.Errorf("the other client sees %v", list)
	}
	w.alive(true, true, true, true)
}
