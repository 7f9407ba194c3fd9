package control

import (
	"fmt"
	"testing"
	"time"
)

func TestRatesBoundEachKeyAndRecover(t *testing.T) {
	r, now := newPerMinute(60), time.Unix(1_000_000, 0)
	for i := range 60 {
		if wait := r.take("a", now); wait != 0 {
			t.Fatalf("event %d has to wait %v, want 0", i, wait)
		}
	}
	if wait := r.take("a", now); wait != time.Second {
		t.Errorf("one too many has to wait %v, want 1 s", wait)
	}
	if wait := r.take("b", now); wait != 0 {
		t.Errorf("another key has to wait %v, want 0", wait)
	}
	if wait := r.take("a", now.Add(time.Second)); wait != 0 {
		t.Errorf("after a second it still has to wait %v, want 0", wait)
	}
}

func TestRatesOffAllowsEverything(t *testing.T) {
	for _, r := range []*rates{newPerMinute(-1), nil} {
		for range 1000 {
			if r.take("a", time.Now()) != 0 {
				t.Fatal("has to wait although unbounded")
			}
		}
	}
}

func TestRatesHoldBoundedMemory(t *testing.T) {
	r, now := newPerMinute(2), time.Unix(1_000_000, 0)
	for i := range 3 * maxRateKeys {
		r.take(fmt.Sprint(i), now)
	}
	if n := len(r.keys); n > maxRateKeys {
		t.Errorf("holds %d keys, want at most %d", n, maxRateKeys)
	}
	if r.order.Len() != len(r.keys) {
		t.Errorf("%d in order, %d known", r.order.Len(), len(r.keys))
	}
}

// A table that is full forgets the quietest: nobody pays for what others did.
func TestFullTableForgetsTheQuietest(t *testing.T) {
	r, now := newPerMinute(2), time.Unix(1_000_000, 0)
	for range 3 {
		r.take("loud", now)
	}
	for i := range 2 * maxRateKeys {
		if wait := r.take(fmt.Sprint(i), now); wait != 0 {
			t.Fatalf("stranger %d has to wait %v, want 0", i, wait)
		}
		if i%1000 == 0 && r.take("loud", now) == 0 {
			t.Fatalf("the loud one is forgotten after %d strangers", i)
		}
	}
}
