package live

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

func TestEndedConnectionsAreRememberedNewestFirst(t *testing.T) {
	e := newEndings()
	at := time.Unix(1_800_000_000, 0)
	for i := range EndedPerClient + 5 {
		e.add("c", Ended{At: at, FrontendID: []string{"f", "g"}[i%2], BytesIn: int64(i)})
	}
	f, g := e.of("c", "f"), e.of("c", "g")
	if len(f)+len(g) != EndedPerClient {
		t.Errorf("%d and %d are remembered, want %d together", len(f), len(g), EndedPerClient)
	}
	if f[0].BytesIn != EndedPerClient+4 || f[1].BytesIn != EndedPerClient+2 || f[len(f)-1].BytesIn != 6 {
		t.Errorf("from %d over %d to %d, want the newest first", f[0].BytesIn, f[1].BytesIn, f[len(f)-1].BytesIn)
	}
	if got := e.of("d", "f"); len(got) != 0 {
		t.Errorf("another client has %d of them, want none", len(got))
	}
	e.forget("c")
	if got := e.of("c", "f"); len(got) != 0 {
		t.Errorf("%d of a client that is gone, want none", len(got))
	}
}

func TestEndedConnectionsAreBounded(t *testing.T) {
	e := newEndings()
	at := time.Unix(1_800_000_000, 0)
	for i := range 5000 {
		e.add(fmt.Sprint("client-", i), Ended{At: at.Add(time.Duration(i) * time.Second), FrontendID: "f"})
	}
	clients := 0
	for i := range e.shards {
		clients += len(e.shards[i].clients)
	}
	if most := len(e.shards) * endedClients; clients > most {
		t.Errorf("%d clients are remembered, want at most %d", clients, most)
	}
	if got := e.of("client-4999", "f"); len(got) != 1 {
		t.Errorf("the newest client has %d, want 1", len(got))
	}
	if most := len(e.shards) * endedClients * EndedPerClient * int(unsafe.Sizeof(Ended{})); most > 72<<20 {
		t.Errorf("all together may take %d MB, want about 60", most>>20)
	}
}
