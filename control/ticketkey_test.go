package control

import (
	"testing"
	"time"

	"github.com/xdire/xlb/store"
)

func TestTicketKeysThatAreDue(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var keys []storedTicketKey
	for i := range 40 { // a look each hour
		due, changed := dueTicketKeys(keys, now.Add(time.Duration(i)*time.Hour), [32]byte{byte(i)})
		if want := i%12 == 0; changed != want {
			t.Errorf("after %d hours: changed %t, want %t", i, changed, want)
		}
		keys = due
	}
	if len(keys) != 4 || keys[0].Key != [32]byte{36} || keys[3].Key != [32]byte{0} {
		t.Errorf("got %v, want the newest first", keys)
	}
	for i := range 100 {
		keys, _ = dueTicketKeys(keys, now.Add(time.Duration(100+i)*ticketKeyLife), [32]byte{})
	}
	if len(keys) != ticketKeysKept {
		t.Errorf("%d are kept, want %d", len(keys), ticketKeysKept)
	}
	if due, changed := dueTicketKeys(keys, now, [32]byte{7}); !changed || due[0].Key != [32]byte{7} {
		t.Error("a clock that was set back: the key is one from the future")
	}
}

// The keys are sealed, and the next process goes on with them.
func TestTicketKeysAreKept(t *testing.T) {
	var cfg Config
	c := start(t, func(given *Config) { cfg = *given })
	read := func(c *Control) ([]storedTicketKey, store.Secret) {
		t.Helper()
		found, err := cfg.Store.Secret(t.Context(), secretTickets)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := c.openTicketKeys(found)
		if err != nil {
			t.Fatal(err)
		}
		return keys, found
	}
	before, sealed := read(c)
	again := run(t, cfg)
	after, _ := read(again)
	if len(before) != 1 || len(after) != 1 || before[0] != after[0] {
		t.Errorf("got %d keys, and then %d, want the same one", len(before), len(after))
	}
	if len(sealed.Value) < 60 || string(sealed.Value[:1]) == "[" {
		t.Error("they are not sealed")
	}
}
