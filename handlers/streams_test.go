package handlers

import (
	"fmt"
	"net/url"
	"testing"
)

func isOver(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

func TestOldestStreamMakesRoom(t *testing.T) {
	var table streamTable
	var overs []<-chan struct{}
	var leaves []func()
	open := func(client, session string) {
		one, leave := table.enter(client, session)
		overs = append(overs, one.over)
		leaves = append(leaves, leave)
	}
	for range streamsPerSession + 1 {
		open("c", "one")
	}
	if !isOver(overs[0]) || isOver(overs[1]) {
		t.Error("the ninth stream of a session does not end the first, or ends more")
	}
	leaves[1]()
	open("c", "one") // there is room
	if isOver(overs[2]) {
		t.Error("a stream had to make room where there was some")
	}
	for i := range streamsPerClient - streamsPerSession {
		open("c", fmt.Sprint("session ", i))
	}
	if isOver(overs[2]) {
		t.Error("a stream had to make room before the client had all")
	}
	open("c", "last")
	if !isOver(overs[2]) || isOver(overs[3]) {
		t.Error("the 33rd stream of a client does not end the oldest, or ends more")
	}
	open("other", "one")
	for _, leave := range leaves {
		leave()
	}
	if len(table.clients) != 0 {
		t.Errorf("left behind: %v", table.clients)
	}
}

func TestStreamTurnsToTheLatestView(t *testing.T) {
	var table streamTable
	one, leave := table.enter("c", "one")
	for _, view := range []string{"overview", "frontends"} {
		if !table.turn("c", "one", one.id, url.Values{"view": {view}}) {
			t.Fatalf("the stream is not told %s", view)
		}
	}
	if q := <-one.turns; q.Get("view") != "frontends" {
		t.Errorf("it turns to %q, want the latest, frontends", q.Get("view"))
	}
	for _, who := range [][3]string{{"c", "another", one.id}, {"d", "one", one.id}, {"c", "one", "guess"}} {
		if table.turn(who[0], who[1], who[2], url.Values{}) {
			t.Errorf("%v turns a stream of client c, session one", who)
		}
	}
	leave()
	if table.turn("c", "one", one.id, url.Values{}) {
		t.Error("a stream that has ended is told a view")
	}
}
