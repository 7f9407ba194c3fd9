package lb_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/lb/health"
)

// A checker tells pools whether their backends are up. The owner of its goroutines is whoever calls Run.
func Example_health() {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backend.Close()
	ctx, cancel := context.WithCancel(context.Background())
	checker := health.NewChecker(health.Config{})
	lb.NewPool(lb.PoolConfig{
		Checker:  checker,
		Backends: []lb.Backend{{Addr: backend.Addr().String(), Check: health.Check{Kind: health.TCP, Interval: 10 * time.Second}}},
		Eject:    lb.EjectConfig{Failures: 5}, // and connects of clients that fail five times in a row
		Changed: func(addr string, h lb.Health) {
			fmt.Println("up:", h.State == lb.Up)
			cancel()
		},
	})
	checker.Run(ctx)
	// Output: up: true
}
