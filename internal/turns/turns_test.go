package turns

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
		var turn Turns
		if err := turn.Take(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []string
		var group sync.WaitGroup
		ask := func(whose string) {
			group.Go(func() {
				if err := turn.Take(t.Context(), whose); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got = append(got, whose)
				mu.Unlock()
				time.Sleep(time.Second)
				turn.Pass()
			})
			synctest.Wait()
		}
		for range 4 {
			ask("greedy")
		}
		ask("modest")
		ask("other")
		turn.Pass()
		group.Wait()
		if want := []string{"greedy", "modest", "other", "greedy", "greedy", "greedy"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if turn.busy != 0 || len(turn.waiting)+len(turn.order) != 0 {
			t.Errorf("left behind: %+v", turn.order)
		}
	})
}

func TestTurnsAreNotLostByThoseWhoGiveUp(t *testing.T) {
	var turn Turns
	for range 200 {
		if err := turn.Take(t.Context(), "holder"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- turn.Take(ctx, "impatient") }()
		go cancel()
		go turn.Pass()
		if err := <-ended; err == nil {
			turn.Pass()
		}
		cancel()
		within, stop := context.WithTimeout(t.Context(), 5*time.Second)
		if err := turn.Take(within, "next"); err != nil {
			t.Fatalf("the turn is lost: %v", err)
		}
		stop()
		turn.Pass()
	}
}

func TestSlotsAreFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := Turns{Slots: 3}
		var now, most int
		var mu sync.Mutex
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if err := turn.Take(t.Context(), "me"); err != nil {
					t.Error(err)
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				turn.Pass()
			})
		}
		began := time.Now()
		group.Wait()
		if most != 3 || time.Since(began) != 4*time.Second {
			t.Errorf("%d at once, 10 in %v", most, time.Since(began))
		}
	})
}
