package lb_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/xdire/xlb/lb"
)

// greet serves one of the two backends of the example.
func greet(name string) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "hello from %s", name)
			conn.Close()
		}
	}()
	return l
}

// A balancer over plain TCP: one pool for everybody.
func Example() {
	first, second := greet("the first"), greet("the second")
	defer first.Close()
	defer second.Close()
	pool := lb.NewPool(lb.PoolConfig{Backends: []lb.Backend{
		{Addr: first.Addr().String()},
		{Addr: second.Addr().String(), Capacity: 100},
	}})
	server := lb.NewServer(lb.Config{
		Admit: func(tls.ConnectionState) (lb.Admission, error) { return lb.Admission{Pool: pool}, nil },
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	for range 4 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		answer, _ := io.ReadAll(conn)
		fmt.Println(string(answer))
		conn.Close()
	}
	server.Shutdown(context.Background())
	// Output:
	// hello from the first
	// hello from the second
	// hello from the first
	// hello from the second
}
