package pki

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever asks for many holds up others for one at a time only.
func TestTurnsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turn turns
		if err := turn.take(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []string
		var group sync.WaitGroup
		ask := func(whose string) {
			group.Go(func() {
				if err := turn.take(t.Context(), whose); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got = append(got, whose)
				mu.Unlock()
				time.Sleep(time.Second)
				turn.pass()
			})
			synctest.Wait()
		}
		for range 4 {
			ask("greedy")
		}
		ask("modest")
		ask("other")
		turn.pass()
		group.Wait()
		if want := []string{"greedy", "modest", "other", "greedy", "greedy", "greedy"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if turn.busy || len(turn.waiting)+len(turn.order) != 0 {
			t.Errorf("left behind: %+v", turn.order)
		}
	})
}

func TestTurnsAreNotLostByThoseWhoGiveUp(t *testing.T) {
	var turn turns
	for range 200 {
		if err := turn.take(t.Context(), "holder"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- turn.take(ctx, "impatient") }()
		go cancel()
		go turn.pass()
		if err := <-ended; err == nil {
			turn.pass()
		}
		cancel()
		within, stop := context.WithTimeout(t.Context(), 5*time.Second)
		if err := turn.take(within, "next"); err != nil {
			t.Fatalf("the turn is lost: %v", err)
		}
		stop()
		turn.pass()
	}
}
