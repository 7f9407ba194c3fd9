package abuse

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A client that saves a network's addresses as routes, to read from their checks what answers, comes to a thousand.
func TestScanByRoutes(t *testing.T) {
	s := start(t, "-dest-rate", "1000")
	scanner, victim := s.tenant(2, "scanner"), s.tenant(1, "victim")
	saved, refused := 0, 0
	for i := range size(8, 100) {
		status, text, err := scanner.ask("POST", "/api/v1/client/frontend", fmt.Sprintf(`{"routes":[%s],"check":{"kind":"tcp"}}`, routesOf(250, i*250, "9")))
		switch {
		case status == http.StatusCreated:
			saved += 250
		case status == http.StatusTooManyRequests && strings.Contains(text, "new destinations"):
			refused++
		default:
			t.Fatalf("%d %v %s", status, err, text)
		}
	}
	t.Logf("%d addresses were saved, %d requests refused", saved, refused)
	if saved != 1000 {
		t.Errorf("%d addresses were saved, want 1000", saved)
	}
	victim.frontend(`{"routes":[{"dest":"10.9.9.9:80"}]}`)
}
