// Package lb is a TCP load balancer for any Go program. It accepts connections, asks the program which
// pool each one belongs to, picks a backend of that pool and copies the stream both ways.
//
//	pool := lb.NewPool(lb.PoolConfig{Backends: []lb.Backend{{Addr: "10.0.4.11:5432"}, {Addr: "10.0.4.12:5432"}}})
//	server := lb.NewServer(lb.Config{
//		Admit: func(tls.ConnectionState) (lb.Admission, error) { return lb.Admission{Pool: pool}, nil },
//	})
//	err := server.Serve(listener) // until Shutdown or Close
//
// It works with every net.Listener, and with TLS or without. With TLS, Admit sees the client's
// certificate on each connection, resumed ones too, so identity can choose the pool: the example
// "Certificate" does that, from the authority to the answer.
//
// Health is the pool's business: give it a [health.Checker] and each backend a check, and EjectConfig for what
// can be learned from the connects of clients. What a pool finds it tells to PoolConfig.Changed.
//
// # What holds
//
// A change of a pool takes effect for the next connection and touches no other one. Round robin is exact
// while every dial succeeds. A half-closed stream goes on in the other direction. Every wait has a
// deadline: handshake, queue, dial, idle stream, half-closed stream, shutdown. Nothing is logged and
// nothing is kept on disk: what happens is told to Config.Trace.
//
// On Linux event loops move the bytes of established connections, one loop for each processor (Config.Loops), and goroutines
// where a loop cannot: other kinds of net.Conn, TLS to the backend, and ciphers other than AES-GCM.
//
// # What it does not do
//
// It does not look into the stream, terminate HTTP, or trust anything a client says about itself. A TLS
// client certificate is not verified by the package: Admit decides, and has to check the chain.
package lb
