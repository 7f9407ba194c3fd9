package lb_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/xdire/xlb/lb"
)

// A checker tells whether the backends of pools are up. The owner of its goroutines is whoever calls Run.
func ExampleChecker() {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backend.Close()
	ctx, cancel := context.WithCancel(context.Background())
	checker := lb.NewChecker(lb.CheckerConfig{Report: func(owner, addr string, r lb.Result) {
		fmt.Println(owner, r.Up, r.Changed, r.Detail)
		cancel()
	}})
	checker.Set("databases", []lb.Target{{Addr: backend.Addr().String(), Check: lb.Check{Kind: lb.CheckTCP, Interval: 10 * time.Second}}})
	checker.Run(ctx)
	// Output: databases true true
}

// An ejector learns from the connects of clients. A checker probes what it has ejected, under an owner of
// its own, so that nobody has to wait for the end of the ejection.
func ExampleEjector() {
	var ejector lb.Ejector
	now := time.Now()
	ejector.Update(lb.EjectConfig{}, []string{"10.0.4.11:5432", "10.0.4.12:5432"}, now)
	for range 5 {
		if eject, until := ejector.Failed("10.0.4.12:5432", now); eject {
			fmt.Println("ejected for", until.Sub(now))
		}
	}
	fmt.Println("probe", ejector.Due(now.Add(2*time.Second)))
	fmt.Println("back", ejector.Succeeded("10.0.4.12:5432", now.Add(2*time.Second)))
	// Output:
	// ejected for 30s
	// probe [10.0.4.12:5432]
	// back true
}
