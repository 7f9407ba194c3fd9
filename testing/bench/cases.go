package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// testCase is one line of the table. run returns one figure; smaller is better, but for rates, whose goal is a least.
type testCase struct {
	name, unit, goal string
	run              func(b *balancer, f *field) (float64, error)
	service          *service // behind the balancers; nil for the bench's own
}

// service is what a balancer is put in front of. start returns its addresses, and leaves its end to the field.
type service struct {
	start func(f *field, dir string) (upstreams []string, err error)
}

var (
	own        = &service{serveOwn}
	redisOnly  = &service{serveRedis}
	postgresDB = &service{servePostgres}
)

func cases(scale float64) []testCase {
	times := func(n int) int { return max(1, int(float64(n)*scale)) }
	all := []testCase{ // memory comes first: later cases leave garbage behind
		{"resident memory per idle connection, 4,000 of them", "kB", "0.35", func(b *balancer, f *field) (float64, error) {
			return idleMemory(b, f, times(4000))
		}, own},
	}
	for _, curve := range []tls.CurveID{tls.X25519, tls.CurveP256} {
		over := ", " + curve.String()
		all = append(all,
			testCase{"full handshake + first byte, RSA 3072 client" + over, "µs", "0.60", func(b *balancer, f *field) (float64, error) {
				return handshakes(b, f.rsa, curve, times(2000), false)
			}, own},
			testCase{"full handshake + first byte, ECDSA P-256 client" + over, "µs", "0.33", func(b *balancer, f *field) (float64, error) {
				return handshakes(b, f.ecdsa, curve, times(3000), false)
			}, own},
			testCase{"resumed handshake, RSA client" + over, "µs", "0.37", func(b *balancer, f *field) (float64, error) {
				return handshakes(b, f.rsa, curve, times(3000), true)
			}, own})
	}
	return append(all, []testCase{
		{"download, 4 connections, CPU per MB", "µs", "0.62", func(b *balancer, f *field) (float64, error) {
			return bulk(b, f, opDownload, times(64))
		}, own},
		{"upload, 4 connections, CPU per MB", "µs", "0.62", func(b *balancer, f *field) (float64, error) {
			return bulk(b, f, opUpload, times(64))
		}, own},
		{"512 B round trip, 64 connections, CPU per trip", "µs", "0.95", func(b *balancer, f *field) (float64, error) {
			return roundTrips(b, f, 64, time.Duration(4*scale*float64(time.Second)))
		}, own},
		{"512 B round trip at 10,000 a second, p99", "µs", "0.9", func(b *balancer, f *field) (float64, error) {
			p99, err := paced(b, f, 64, 10_000, time.Duration(4*scale*float64(time.Second)))
			return float64(p99.Microseconds()), err
		}, own},
		{"9,000 held, 100 busy at 5,000 a second: p99 to alone", "x", "1.5 x", func(b *balancer, f *field) (float64, error) {
			return crowd(b, f, times(9000))
		}, own},
		{"handshake + first byte beside 16 downloads: p99", "µs", "1.0", func(b *balancer, f *field) (float64, error) {
			return beside(b, f, 16, times(400))
		}, own},
		{"9,000 connections, a request each in 10 s: CPU per second", "ms", "0.8", func(b *balancer, f *field) (float64, error) {
			return seldom(b, f, times(9000), 10*time.Second)
		}, own},
		{"redis-benchmark, SET of 256 B, 50 connections: per second", "/s", "1.0 min", func(b *balancer, f *field) (float64, error) {
			found, err := redis(b, f, times(100_000))
			return found.perSecond, err
		}, redisOnly},
		{"redis-benchmark: p50", "µs", "0.95", func(b *balancer, f *field) (float64, error) {
			found, err := redis(b, f, times(100_000))
			return found.p50, err
		}, redisOnly},
		{"redis-benchmark: p99", "µs", "0.95", func(b *balancer, f *field) (float64, error) {
			found, err := redis(b, f, times(100_000))
			return found.p99, err
		}, redisOnly},
		{"redis-benchmark: CPU per request", "µs", "", func(b *balancer, f *field) (float64, error) {
			n := times(100_000)
			return perUnit(b, func() (int, error) { _, err := redis(b, f, n); return n, err })
		}, redisOnly},
		{"pgbench -S, 16 clients: transactions per second", "/s", "1.0 min", func(b *balancer, f *field) (float64, error) {
			return pgbench(b, f, max(1, int(4*scale)))
		}, postgresDB},
	}...)
}

// connect opens a connection and waits for the first byte back, which alone proves that it is served.
func connect(b *balancer, cert *tls.Certificate, curve tls.CurveID, cache tls.ClientSessionCache) (*tls.Conn, error) {
	cfg := &tls.Config{RootCAs: b.roots, ServerName: "localhost", Certificates: []tls.Certificate{*cert}, ClientSessionCache: cache, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{curve}} // both do the same: HAProxy with OpenSSL 3.0 knows no hybrid key exchange
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", b.address, cfg)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	return conn, nil
}

func open(b *balancer, cert *tls.Certificate, curve tls.CurveID, cache tls.ClientSessionCache) (*tls.Conn, error) {
	conn, err := connect(b, cert, curve, cache)
	if err != nil {
		return nil, err
	}
	one := []byte{opEcho}
	if _, err := conn.Write(one); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := io.ReadFull(conn, one); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// workers runs n pieces of work on 8 goroutines and returns the first error.
func workers(n int, work func(worker, i int) error) error {
	const count = 8
	errs := make([]error, count)
	var group sync.WaitGroup
	for w := range count {
		group.Go(func() {
			for i := w; i < n && errs[w] == nil; i += count {
				errs[w] = work(w, i)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// perUnit is the balancer's processor time for what do does, in microseconds per unit.
func perUnit(b *balancer, do func() (units int, err error)) (float64, error) {
	before, err := b.cpu()
	if err != nil {
		return 0, err
	}
	units, err := do()
	if err != nil {
		return 0, err
	}
	after, err := b.cpu()
	if err != nil {
		return 0, err
	}
	used := after - before
	if units == 0 || used == 0 {
		return 0, errors.New("no work was done")
	}
	return float64(used.Microseconds()) / float64(units), nil
}

func handshakes(b *balancer, cert *tls.Certificate, curve tls.CurveID, n int, resume bool) (float64, error) {
	caches := make([]tls.ClientSessionCache, 8)
	if resume {
		for i := range caches {
			caches[i] = tls.NewLRUClientSessionCache(4)
			conn, err := open(b, cert, curve, caches[i])
			if err != nil {
				return 0, err
			}
			conn.Close()
		}
	}
	return perUnit(b, func() (int, error) {
		return n, workers(n, func(w, _ int) error {
			conn, err := open(b, cert, curve, caches[w])
			if err != nil {
				return err
			}
			defer conn.Close()
			if conn.ConnectionState().DidResume != resume {
				return fmt.Errorf("resumed is %v, want %v", !resume, resume)
			}
			return nil
		})
	})
}

func bulk(b *balancer, f *field, op byte, megabytes int) (float64, error) {
	const connections = 4
	size := int64(megabytes) << 20
	conns := make([]*tls.Conn, connections)
	for i := range conns {
		conn, err := connect(b, f.ecdsa, tls.X25519, nil)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		conns[i] = conn
	}
	return perUnit(b, func() (int, error) {
		errs := make([]error, connections)
		var group sync.WaitGroup
		for i, conn := range conns {
			group.Go(func() { errs[i] = transfer(conn, op, size) })
		}
		group.Wait()
		return connections * megabytes, errors.Join(errs...)
	})
}

func transfer(conn net.Conn, op byte, size int64) error {
	head := binary.BigEndian.AppendUint64([]byte{op}, uint64(size))
	if _, err := conn.Write(head); err != nil {
		return err
	}
	if op == opDownload {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(conn, size), make([]byte, 256<<10))
		if err == nil && n != size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := send(conn, size); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

const tripSize = 512

func trip(conn net.Conn, buf []byte) error {
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, buf)
	return err
}

// openMany opens n connections.
func openMany(b *balancer, f *field, n int) ([]*tls.Conn, error) {
	conns := make([]*tls.Conn, n)
	err := workers(n, func(_, i int) (err error) {
		conns[i], err = open(b, f.rsa, tls.X25519, nil)
		return err
	})
	if err != nil {
		closeAll(conns)
	}
	return conns, err
}

func closeAll(conns []*tls.Conn) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

func roundTrips(b *balancer, f *field, connections int, length time.Duration) (float64, error) {
	conns, err := openMany(b, f, connections)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	return perUnit(b, func() (int, error) {
		end := time.Now().Add(length)
		counts, errs := make([]int, connections), make([]error, connections)
		var group sync.WaitGroup
		for i, conn := range conns {
			group.Go(func() {
				buf := make([]byte, tripSize)
				for time.Now().Before(end) && errs[i] == nil {
					errs[i] = trip(conn, buf)
					counts[i]++
				}
			})
		}
		group.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		return total, errors.Join(errs...)
	})
}

// paced makes round trips at a fixed rate, each connection in its own slots, and returns the 99th
// percentile. A trip that starts late because the one before was late counts from when it was due.
func paced(b *balancer, f *field, connections, perSecond int, length time.Duration) (time.Duration, error) {
	conns, err := openMany(b, f, connections)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	each := time.Second * time.Duration(connections) / time.Duration(perSecond)
	trips := int(length / each)
	all := make([][]time.Duration, connections)
	errs := make([]error, connections)
	start := time.Now().Add(50 * time.Millisecond)
	var group sync.WaitGroup
	for i, conn := range conns {
		group.Go(func() {
			due := start.Add(each * time.Duration(i) / time.Duration(connections))
			buf := make([]byte, tripSize)
			for range trips {
				time.Sleep(time.Until(due))
				if errs[i] = trip(conn, buf); errs[i] != nil {
					return
				}
				all[i] = append(all[i], time.Since(due))
				due = due.Add(each)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	latencies := slices.Concat(all...)
	if len(latencies) == 0 {
		return 0, errors.New("no work was done")
	}
	slices.Sort(latencies)
	return latencies[len(latencies)*99/100], nil
}

// settle is how long after the last connection the memory is read.
const settle = 10 * time.Second

func idleMemory(b *balancer, f *field, n int) (float64, error) {
	conns, err := openMany(b, f, n)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	time.Sleep(settle)
	after, err := b.resident()
	if after <= b.fresh {
		return 0, fmt.Errorf("the connections cost nothing: %.0f bytes before, %.0f with them", b.fresh, after)
	}
	return (after - b.fresh) / float64(n) / 1000, err
}

// crowd compares the latency of busy connections beside many idle ones with the latency alone.
func crowd(b *balancer, f *field, held int) (float64, error) {
	const busy, perSecond, length = 100, 5_000, 4 * time.Second
	alone, err := paced(b, f, busy, perSecond, length)
	if err != nil {
		return 0, err
	}
	conns, err := openMany(b, f, held)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	beside, err := paced(b, f, busy, perSecond, length)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, tripSize)
	for _, c := range conns {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if err := trip(c, buf); err != nil {
			return 0, fmt.Errorf("a held connection does not work any more: %w", err)
		}
	}
	return float64(beside) / float64(alone), nil
}

// beside opens connections, one after the other, while others download as fast as they can, and returns the 99th percentile of
// what an opening takes, in microseconds.
func beside(b *balancer, f *field, downloads, n int) (float64, error) {
	var over atomic.Bool
	errs := make([]error, downloads)
	var group sync.WaitGroup
	for i := range downloads {
		group.Go(func() {
			errs[i] = downloadUntil(b, f, &over)
		})
	}
	took := make([]time.Duration, 0, n)
	var failed error
	for range n {
		begin := time.Now()
		conn, err := open(b, f.ecdsa, tls.X25519, nil)
		if err != nil {
			failed = err
			break
		}
		took = append(took, time.Since(begin))
		conn.Close()
	}
	over.Store(true)
	group.Wait()
	if err := errors.Join(append(errs, failed)...); err != nil {
		return 0, err
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100].Microseconds()), nil
}

func downloadUntil(b *balancer, f *field, over *atomic.Bool) error {
	conn, err := connect(b, f.ecdsa, tls.X25519, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(binary.BigEndian.AppendUint64([]byte{opDownload}, 1<<40))
	for buf := make([]byte, 256<<10); err == nil && !over.Load(); {
		_, err = conn.Read(buf)
	}
	return err
}
