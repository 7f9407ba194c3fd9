package control

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// kidOf is the key that a token says it was signed with.
func kidOf(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Kid string }
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v.Kid
}

// Keys come and go, and no request notices: while others get tokens and use them all the time, the clock goes through 35
// days in steps of nearly a token's life, sleeps for 40, and goes on.
func TestSigningKeysRotateUnderLoad(t *testing.T) {
	moving := newClock()
	c := start(t, func(cfg *Config) { cfg.Now = moving.Now })
	ctx := WithActor(t.Context(), Actor{Local: true})
	client, err := c.CreateClient(ctx, "testuser", "")
	if err != nil {
		t.Fatal(err)
	}
	var (
		load    sync.WaitGroup
		stop    atomic.Bool
		used    atomic.Int64
		refused atomic.Int64
	)
	for range 3 {
		load.Go(func() {
			for !stop.Load() {
				token, err := c.IssueToken(ctx, client.ID, client.Key)
				if err == nil {
					_, err = c.TokenActor(ctx, token)
				}
				// The clock may have passed an hour between the two calls.
				if err != nil && !strings.Contains(errorChain(err), "expired") {
					refused.Add(1)
					t.Error(errorChain(err))
					return
				}
				used.Add(1)
			}
		})
	}
	signed := map[string]bool{}
	most := 0
	step := func(d time.Duration, live bool) {
		listed := c.TokenKeys()
		most = max(most, len(listed))
		token, err := c.IssueToken(ctx, client.ID, client.Key)
		if err != nil {
			t.Fatal(err)
		}
		kid := kidOf(t, token)
		if !slices.ContainsFunc(listed, func(k JSONWebKey) bool { return k.ID == kid }) {
			t.Fatalf("key %s signs, and was not published before", kid)
		}
		signed[kid] = true
		moving.advance(d)
		if err := c.loadTokenKeys(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TokenActor(ctx, token); live && err != nil {
			t.Fatalf("a token that is %v old: %s", d, errorChain(err))
		}
	}
	for range 35 * 24 {
		step(59*time.Minute, true)
	}
	if len(signed) != 2 || most != 2 {
		t.Errorf("in 35 days %d keys signed, and %d were listed at once; want 2 and 2", len(signed), most)
	}
	step(40*24*time.Hour, false)
	for range 30 {
		step(59*time.Minute, true)
	}
	if len(signed) != 3 {
		t.Errorf("after a long sleep %d keys had signed, want 3", len(signed))
	}
	if n := len(c.TokenKeys()); n != 1 {
		t.Errorf("%d keys are listed when the tokens of the others have expired, want 1", n)
	}
	stop.Store(true)
	load.Wait()
	if used.Load() < 100 {
		t.Errorf("only %d tokens were used meanwhile", used.Load())
	}
	t.Logf("%d tokens used, %d refused", used.Load(), refused.Load())
	// Another process over the same store signs with the same keys.
	if got, want := run(t, c.cfg).TokenKeys(), c.TokenKeys(); !slices.Equal(got, want) {
		t.Errorf("a second process knows %v, want %v", got, want)
	}
}

// Two processes that find a key due at the same time go on with one and the same.
func TestOneKeyForAllProcesses(t *testing.T) {
	moving := newClock()
	first := start(t, func(cfg *Config) { cfg.Now = moving.Now })
	second := run(t, first.cfg)
	moving.advance(tokenKeyLife - tokenKeyAhead)
	var both sync.WaitGroup
	for _, c := range []*Control{first, second} {
		both.Go(func() {
			if err := c.loadTokenKeys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if err := first.loadTokenKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := first.TokenKeys()
	if want := second.TokenKeys(); len(got) != 2 || !slices.Equal(got, want) {
		t.Errorf("one process has %d keys, the other %d, want the same two", len(got), len(want))
	}
}

func errorChain(err error) string {
	text := err.Error()
	if e, ok := err.(*Error); ok && e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}
