package abuse

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// One client that asks for the most expensive keys, as many as it may, holds up no other's: neither a key that takes
// microseconds nor a bundle with the usual one.
func TestExpensiveKeys(t *testing.T) {
	s := start(t)
	victim, attacker := s.tenant(1, "victim"), s.tenant(2, "attacker")
	mine := victim.frontend(`{"routes":[{"dest":"127.0.0.1:1"}]}`)
	theirs := attacker.frontend(`{"routes":[{"dest":"127.0.0.1:1"}]}`)
	n := size(20, 58) // 60 in a minute are allowed
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			attacker.ask("POST", "/api/v1/client/frontend/"+theirs+"/tls", `{"keyType":"rsa-4096"}`)
		})
	}
	time.Sleep(time.Second)
	for _, tc := range []struct {
		keyType string
		most    time.Duration
	}{{"ecdsa-p256", time.Second}, {"rsa-3072", 2 * time.Second}} {
		began := time.Now()
		victim.must("POST", "/api/v1/client/frontend/"+mine+"/tls", fmt.Sprintf(`{"keyType":%q}`, tc.keyType))
		took := time.Since(began)
		t.Logf("%s beside %d requests for rsa-4096: %v", tc.keyType, n, took)
		if took > tc.most {
			t.Errorf("%s took %v, want at most %v", tc.keyType, took, tc.most)
		}
	}
	s.process.Kill() // the rest takes a minute
	running.Wait()
}
