package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// programTime bounds one run of a program that makes load.
const programTime = 2 * time.Minute

// output runs a program to its end.
func output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), programTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), nil
}

// serveRedis starts a redis-server that keeps nothing.
func serveRedis(f *field, _ string) ([]string, error) {
	address := freePort()
	_, port, _ := net.SplitHostPort(address)
	if _, err := f.start("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"); err != nil {
		return nil, err
	}
	return []string{address}, waitFor(address)
}

// redisFigures are what redis-benchmark tells.
type redisFigures struct{ perSecond, p50, p99 float64 } // the others in microseconds

// redis runs redis-benchmark over TLS through a balancer: SET of 256 bytes on 50 connections.
func redis(b *balancer, f *field, requests int) (redisFigures, error) {
	host, port, _ := net.SplitHostPort(b.address)
	files, err := f.pemFiles(b)
	if err != nil {
		return redisFigures{}, err
	}
	out, err := output("redis-benchmark", "-h", host, "-p", port, "--tls", "--cert", files.cert, "--key", files.key, "--cacert", files.roots,
		"-c", "50", "-n", strconv.Itoa(requests), "-d", "256", "-t", "set", "--csv")
	if err != nil {
		return redisFigures{}, err
	}
	at := strings.Index(out, `"test"`)
	if at < 0 {
		return redisFigures{}, fmt.Errorf("redis-benchmark said %q", out)
	}
	lines, err := csv.NewReader(strings.NewReader(out[at:])).ReadAll()
	if err != nil || len(lines) < 2 {
		return redisFigures{}, fmt.Errorf("redis-benchmark said %q: %w", out, err)
	}
	value := func(column string) float64 {
		for i, name := range lines[0] {
			if name == column {
				v, _ := strconv.ParseFloat(lines[1][i], 64)
				return v
			}
		}
		return 0
	}
	found := redisFigures{value("rps"), 1000 * value("p50_latency_ms"), 1000 * value("p99_latency_ms")}
	if found.perSecond == 0 || found.p50 == 0 {
		return found, fmt.Errorf("redis-benchmark said %q", out)
	}
	return found, nil
}

// pemFiles are a client's certificate and what it trusts, for programs.
type pemFiles struct{ cert, key, roots string }

func (f *field) pemFiles(b *balancer) (pemFiles, error) {
	files := pemFiles{filepath.Join(f.dir, "client.pem"), filepath.Join(f.dir, "client.key"), filepath.Join(f.dir, b.name+".roots.pem")}
	var chain []byte
	for _, der := range f.rsa.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(f.rsa.PrivateKey)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return files, errors.Join(err, os.WriteFile(files.cert, chain, 0o600), os.WriteFile(files.key, key, 0o600), os.WriteFile(files.roots, b.rootsPEM, 0o600))
}

// servePostgres makes a database with pgbench's tables, and starts its server.
func servePostgres(f *field, dir string) ([]string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.New("postgresql is missing: apt-get install postgresql")
	}
	bin := found[len(found)-1]
	address := freePort()
	_, port, _ := net.SplitHostPort(address)
	data := filepath.Join(dir, "postgres")
	as, err := notRoot()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	if as != nil {
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(data, int(as.Uid), int(as.Gid))); err != nil {
			return nil, err
		}
	}
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "--no-sync", "-A", "trust")
	init.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	init.Dir = data
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-h", "127.0.0.1", "-k", data, "-c", "fsync=off")
	server.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	server.Dir = data
	if err := f.startCommand(server); err != nil {
		return nil, err
	}
	if err := waitFor(address); err != nil {
		return nil, err
	}
	_, err = output("pgbench", "-i", "-q", "-s", "10", "-h", "127.0.0.1", "-p", port, "-U", "bench", "postgres")
	return []string{address}, err
}

// notRoot is a user for PostgreSQL, which refuses root; nil for who is not root.
func notRoot() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err, gidErr)
}

var tpsLine = regexp.MustCompile(`tps = ([0-9.]+) `)

// pgbench runs pgbench -S with 16 clients through a balancer, and returns transactions a second.
func pgbench(b *balancer, f *field, seconds int) (float64, error) {
	address, stop, err := forward(b, f.rsa)
	if err != nil {
		return 0, err
	}
	defer stop()
	_, port, _ := net.SplitHostPort(address)
	out, err := output("pgbench", "-S", "-n", "-c", "16", "-j", "2", "-T", strconv.Itoa(seconds), "-h", "127.0.0.1", "-p", port, "-U", "bench", "postgres")
	if err != nil {
		return 0, err
	}
	found := tpsLine.FindStringSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench said %q", out)
	}
	return strconv.ParseFloat(found[1], 64)
}

// forward takes plain connections and makes TLS ones to a balancer of them, for programs that ask for TLS in a way of their own.
func forward(b *balancer, cert *tls.Certificate) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			plain, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { forwardOne(plain, b, cert) })
		}
	})
	return l.Addr().String(), func() { l.Close(); all.Wait() }, nil
}

func forwardOne(plain net.Conn, b *balancer, cert *tls.Certificate) {
	defer plain.Close()
	over, err := tls.Dial("tcp", b.address, &tls.Config{RootCAs: b.roots, ServerName: "localhost", Certificates: []tls.Certificate{*cert}})
	if err != nil {
		return
	}
	defer over.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(plain, over)
		plain.Close()
	})
	io.Copy(over, plain)
	over.CloseWrite()
	over.SetReadDeadline(time.Now().Add(time.Second))
	back.Wait()
}

// seldom holds connections that send a request each in ten seconds, and returns the processor time that a second of it takes,
// in milliseconds.
func seldom(b *balancer, f *field, n int, length time.Duration) (float64, error) {
	conns, err := openMany(b, f, n)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	time.Sleep(settle)
	const senders = 8
	before, err := b.cpu()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	every := 10 * time.Second * senders / time.Duration(n)
	err = workers(senders, func(worker, _ int) error {
		buf := make([]byte, 512)
		for i := worker; time.Since(began) < length; i += senders {
			if err := trip(conns[i%n], buf); err != nil {
				return err
			}
			time.Sleep(time.Until(began.Add(every * time.Duration(i/senders+1))))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	after, err := b.cpu()
	return float64((after - before).Microseconds()) / 1000 / time.Since(began).Seconds(), err
}
