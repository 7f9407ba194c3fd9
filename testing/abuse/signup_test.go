package abuse

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// Many sources together make no more clients than the rate for all of them, and those who are there go on.
func TestSignUpsFromManySources(t *testing.T) {
	s := start(t, "-signup-rate", "30", "-signup-total-rate", "60")
	victim := s.tenant(1, "victim")
	sources := size(20, 100)
	var made, refused atomic.Int64
	var running sync.WaitGroup
	for i := range sources {
		c := s.caller(100 + i)
		running.Go(func() {
			for n := range 30 {
				switch status, _, err := c.ask("POST", "/api/v1/client", fmt.Sprintf(`{"name":"flood %d"}`, n)); {
				case err != nil:
					t.Error(err)
					return
				case status == http.StatusCreated:
					made.Add(1)
				case status == http.StatusTooManyRequests:
					refused.Add(1)
				default:
					t.Errorf("a sign-up: %d", status)
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d of %d sign-ups made a client", made.Load(), 30*sources)
	if made.Load() > 120 || refused.Load() == 0 {
		t.Errorf("%d clients were made, %d refused", made.Load(), refused.Load())
	}
	if status, err := victim.logIn(victim.uuid, victim.key); status != http.StatusOK || err != nil {
		t.Errorf("log-in: %d %v", status, err)
	}
}
