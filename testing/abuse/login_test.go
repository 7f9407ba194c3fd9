package abuse

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Log-ins with ids that nobody has fill no table that others share, and wrong keys with somebody's id, which stands
// in each of its certificates, do not lock it out: the right key gets in, from anywhere.
func TestLogInsOfStrangers(t *testing.T) {
	s := start(t)
	victim := s.tenant(1, "victim")
	wrong := strings.Repeat("0", 64)
	attack := func(n int, id func(int) string) (refused int) {
		var running sync.WaitGroup
		var mu sync.Mutex
		next := 0
		for range 16 {
			c := s.caller(2)
			running.Go(func() {
				for {
					mu.Lock()
					i := next
					next++
					mu.Unlock()
					if i >= n {
						return
					}
					status, _, err := c.ask("POST", "/api/v1/client/auth", "", "Authorization", basic(id(i), wrong))
					if err != nil || status == http.StatusOK {
						t.Errorf("log-in %d: %d %v", i, status, err)
						return
					}
					if status == http.StatusTooManyRequests {
						mu.Lock()
						refused++
						mu.Unlock()
					}
				}
			})
		}
		running.Wait()
		return refused
	}
	n := size(2_000, 34_000)
	if refused := attack(n, func(i int) string { return fmt.Sprintf("01a00000-0000-7000-8000-%012d", i) }); refused < n-200 {
		t.Errorf("%d of %d random log-ins were told to wait", refused, n)
	}
	attack(200, func(int) string { return victim.uuid })
	for what, c := range map[string]*caller{"its own address": s.caller(1), "the attacker's": s.caller(2), "another": s.caller(3)} {
		if status, err := c.logIn(victim.uuid, victim.key); status != http.StatusOK || err != nil {
			t.Errorf("the right key from %s: %d %v", what, status, err)
		}
	}
	stranger := s.caller(4)
	if status, _ := stranger.logIn(victim.uuid, wrong); status != http.StatusUnauthorized {
		t.Errorf("a wrong key from another address: %d, want 401", status)
	}
}
