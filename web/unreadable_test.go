package web

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/xdire/xlb/store"
)

// A frontend whose record nobody can read is refused and costs nothing else: others go on, the pages and lists are there,
// the log and the metrics tell it, and it is back when it is written again.
func TestUnreadableRecordIsRefusedAlone(t *testing.T) {
	f := start(t)
	address := f.balance()
	c := f.signUp("testuser")
	good, bad := c.frontend(echoes(t)), c.frontend(echoes(t))
	cert, _ := c.identity(good, "good")
	other, _ := c.identity(bad, "bad")
	live := f.connect(address, cert)
	broken := f.connect(address, other)
	key := "frontend/" + c.uuid + "/" + bad
	var was []byte
	write := func(value func([]byte) []byte) {
		t.Helper()
		_, err := f.engine.Update(t.Context(), func(tx store.Txn) error {
			old, _, err := tx.Get(key)
			if err == nil {
				tx.Set(key, value(old))
			}
			return err
		})
		must(t, err)
	}
	write(func(old []byte) []byte { was = old; return []byte(`{"routes":"nonsense"}`) })
	if !broken.noticed() {
		t.Error("a connection of what nobody can read goes on")
	}
	if conn, err := tls.Dial("tcp", address, clientOf(other)); err == nil {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a program gets in by what nobody can read")
		}
		conn.Close()
	}
	if !live.works() {
		t.Error("the connection of another frontend was closed")
	}
	if !strings.Contains(f.log.String(), "record cannot be read") || !strings.Contains(f.log.String(), key) {
		t.Error("the log does not name the record")
	}
	if got := f.scrape()["xlb_store_unreadable_records"]; got != 1 {
		t.Errorf("xlb_store_unreadable_records is %v, want 1", got)
	}
	if items := c.call("GET", "/api/v1/client/frontend", "").object(t)["items"].([]any); len(items) != 1 {
		t.Errorf("the list has %d frontends, want the 1 that can be read", len(items))
	}
	if a := f.do("GET", "/", nil, "Cookie", f.cookieOf(c)); a.status != 200 {
		t.Errorf("the overview: got %d, want 200", a.status)
	}
	if a := c.call("GET", "/api/v1/client/frontend/"+bad, ""); a.status != 500 {
		t.Errorf("the frontend alone: got %d, want 500", a.status)
	}
	write(func([]byte) []byte { return was })
	for end := time.Now().Add(5 * time.Second); f.scrape()["xlb_store_unreadable_records"] != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is still counted after it was written again")
		}
	}
	f.connect(address, other)
}
