package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/pki"
)

// ways is a client whose connections end in every way that there is from outside.
type ways struct {
	*tenant
	address string
}

// made is a frontend with one route and a certificate for it.
func (w *ways) made(route, options string) (id string, cert tls.Certificate, serial string) {
	w.Helper()
	a := w.call("POST", "/api/v1/client/frontend", `{"routes":[`+route+`]`+options+`}`)
	if a.status != 201 {
		w.Fatalf("create frontend: %d %s, want 201", a.status, a.body)
	}
	id = a.object(w.T)["uuid"].(string)
	cert, serial = w.identity(id, "program")
	return id, cert, serial
}

func to(dest string) string { return `{"dest":"` + dest + `"}` }

// open is a connection that works, through a frontend of its own.
func (w *ways) open(options string) (program, string) {
	w.Helper()
	id, cert, _ := w.made(to(echoes(w.T)), options)
	return w.connect(w.address, cert), id
}

// knock connects, says a word and waits for the end. It returns where it came from.
func (w *ways) knock(cfg *tls.Config) []string {
	w.Helper()
	raw := w.dial()
	defer raw.Close()
	conn := tls.Client(raw, cfg)
	if conn.Handshake() == nil {
		fmt.Fprint(conn, "hello")
		io.Copy(io.Discard, conn)
	}
	return []string{raw.LocalAddr().String()}
}

// dial is a TCP connection to the balancer; everything on it has 10 seconds.
func (w *ways) dial() *net.TCPConn {
	w.Helper()
	raw, err := net.DialTimeout("tcp", w.address, dialTime)
	must(w.T, err)
	must(w.T, raw.SetDeadline(time.Now().Add(dialTime)))
	return raw.(*net.TCPConn)
}

// through knocks with a certificate of a new frontend.
func (w *ways) through(route, options string) []string {
	w.Helper()
	_, cert, _ := w.made(route, options)
	return w.knock(clientOf(cert))
}

// issued is a certificate of the server's authority of which there is no record.
func (w *ways) issued(now time.Time, lifetime time.Duration) *tls.Config {
	w.Helper()
	ca, err := authority()
	must(w.T, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.T, err)
	cert, err := ca.IssueClient(pki.ClientRequest{ClientID: w.uuid, FrontendID: "f", AccessKey: "k", PublicKey: key.Public(), Now: now, Lifetime: lifetime})
	must(w.T, err)
	return clientOf(tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
}

// foreign is a certificate of nobody's authority.
func (w *ways) foreign() *tls.Config {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.T, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ca_xlb"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(w.T, err)
	// The client is asked for a certificate of the server's authority, and shows this one all the same.
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }}
}

// serving is a route that does with each connection what serve says, after the first bytes came.
func serving(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(dialTime))
				conn.Read(make([]byte, 100))
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// stuck is a route that does not answer a connect: nobody accepts, and the queue of the kernel is full.
func stuck(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	must(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 8 {
		conn, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue of a listener with a backlog of 0 does not get full")
	return ""
}

var logField = regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*"|\S*)`)

// endOf is the log's line about the end of the connection from source, nil when there is none yet.
func (l *logBuffer) endOf(source string) (last map[string]string) { // an earlier one may have had the same port
	for line := range strings.Lines(l.String()) {
		fields := map[string]string{}
		for _, one := range logField.FindAllStringSubmatch(line, -1) {
			fields[one[1]] = strings.Trim(one[2], `"`)
		}
		if fields["source"] == source && (fields["msg"] == "connection" || fields["msg"] == "refused connection") {
			last = fields
		}
	}
	return last
}

// The ends of connections that were let in.
var ends = []struct {
	reason string
	end    func(w *ways) []string // returns the source of the connection, of each if there are several
}{
	{"done", func(w *ways) []string {
		p, _ := w.open("")
		must(w.T, p.CloseWrite())
		io.Copy(io.Discard, p)
		return []string{p.source}
	}},
	{"client-eof", func(w *ways) []string {
		p, _ := w.open("")
		must(w.T, p.NetConn().(*net.TCPConn).CloseWrite())
		return []string{p.source}
	}},
	{"client-reset", func(w *ways) []string {
		p, _ := w.open("")
		raw := p.NetConn().(*net.TCPConn)
		must(w.T, raw.SetLinger(0))
		must(w.T, raw.Close())
		return []string{p.source}
	}},
	{"route-reset", func(w *ways) []string {
		return w.through(to(serving(w.T, func(c *net.TCPConn) { c.SetLinger(0) })), "")
	}},
	{"route-closed", func(w *ways) []string { return w.through(to(serving(w.T, func(*net.TCPConn) {})), "") }},
	{"idle", func(w *ways) []string {
		p, _ := w.open(`,"idleTimeoutSec":1`)
		return []string{p.source}
	}},
	{"lifetime", func(w *ways) []string {
		p, _ := w.open(`,"maxLifetimeSec":1`)
		return []string{p.source}
	}},
	{"killed", func(w *ways) []string {
		p, id := w.open("")
		if a := w.call("DELETE", "/api/v1/client/frontend/"+id+"/connections?all=true", ""); a.status != 200 {
			w.Fatalf("%d %s, want 200", a.status, a.body)
		}
		return []string{p.source}
	}},
	{"revoked", func(w *ways) []string {
		id, cert, serial := w.made(to(echoes(w.T)), "")
		p := w.connect(w.address, cert)
		w.revoke(id, serial, "")
		return []string{p.source}
	}},
	{"off", func(w *ways) []string {
		p, id := w.open("")
		if a := w.call("PATCH", "/api/v1/client/frontend/"+id, `{"active":false}`); a.status != 200 {
			w.Fatalf("%d %s, want 200", a.status, a.body)
		}
		return []string{p.source}
	}},
	{"gone", func(w *ways) []string {
		p, id := w.open("")
		if a := w.call("DELETE", "/api/v1/client/frontend/"+id, ""); a.status != 204 {
			w.Fatalf("%d %s, want 204", a.status, a.body)
		}
		return []string{p.source}
	}},
	{"route-refused", func(w *ways) []string { return w.through(to("127.0.0.1:1"), "") }},
	{"route-timeout", func(w *ways) []string { return w.through(to(stuck(w.T)), `,"routeTimeoutSec":1`) }},
	{"route-tls", func(w *ways) []string { return w.through(to(echoes(w.T)), `,"routeTls":{"mode":"insecure"}`) }},
	{"no-route", func(w *ways) []string { return w.through(`{"dest":"127.0.0.1:1","state":"maintenance"}`, "") }},
	{"all-full", func(w *ways) []string {
		_, cert, _ := w.made(`{"dest":"`+echoes(w.T)+`","capacity":1}`, `,"queueLimit":0`)
		w.connect(w.address, cert)
		return w.knock(clientOf(cert))
	}},
	{"conn-limit", func(w *ways) []string {
		_, cert, _ := w.made(to(echoes(w.T)), `,"maxConnections":1`)
		w.connect(w.address, cert)
		return w.knock(clientOf(cert))
	}},
	{"rate-limit", func(w *ways) (sources []string) {
		_, cert, _ := w.made(to(serving(w.T, func(*net.TCPConn) {})), `,"connectionsPerSec":1`)
		for range 5 { // a slow machine may need more than a second for two
			sources = append(sources, w.knock(clientOf(cert))...)
		}
		return sources
	}},
}

// The connections that are turned away before they have a frontend.
var refusals = []struct {
	reason, owner string // owner: known or nobody
	end           func(w *ways) []string
}{
	{"no-cert", "nobody", func(w *ways) []string { return w.knock(&tls.Config{InsecureSkipVerify: true}) }},
	{"old-tls", "nobody", func(w *ways) []string {
		return w.knock(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	}},
	{"untrusted", "nobody", func(w *ways) []string {
		return w.knock(&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"})
	}},
	{"not-tls", "nobody", func(w *ways) []string {
		raw := w.dial()
		defer raw.Close()
		fmt.Fprint(raw, "GET / HTTP/1.1\r\n\r\n")
		io.Copy(io.Discard, raw)
		return []string{raw.LocalAddr().String()}
	}},
	{"hung-up", "nobody", func(w *ways) []string {
		raw := w.dial()
		must(w.T, raw.Close())
		return []string{raw.LocalAddr().String()}
	}},
	{"other-ca", "nobody", func(w *ways) []string { return w.knock(w.foreign()) }},
	{"expired", "nobody", func(w *ways) []string {
		cfg := w.issued(time.Now(), time.Millisecond)
		time.Sleep(1100 * time.Millisecond) // dates have whole seconds
		return w.knock(cfg)
	}},
	{"not-yet", "nobody", func(w *ways) []string { return w.knock(w.issued(time.Now().Add(3*time.Hour), time.Hour)) }},
	{"key-mismatch", "known", func(w *ways) []string {
		_, cert, _ := w.made(to("127.0.0.1:1"), "")
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(w.T, err)
		cert.PrivateKey = key
		return w.knock(clientOf(cert))
	}},
	{"off", "known", func(w *ways) []string { return w.through(to("127.0.0.1:1"), `,"active":false`) }},
	{"revoked", "known", func(w *ways) []string {
		id, cert, serial := w.made(to("127.0.0.1:1"), "")
		w.revoke(id, serial, "")
		return w.knock(clientOf(cert))
	}},
	{"gone", "", func(w *ways) []string { // whether it still has an owner depends on the sweeper
		id, cert, _ := w.made(to("127.0.0.1:1"), "")
		w.call("DELETE", "/api/v1/client/frontend/"+id, "")
		return w.knock(clientOf(cert))
	}},
}

// in is the same client in a subtest.
func (w *ways) in(t *testing.T) *ways {
	f, c := *w.fixture, *w.tenant
	f.T, c.fixture = t, &f
	return &ways{&c, w.address}
}

// line waits for the line of a connection that ended with the reason.
func (w *ways) line(reason string, sources []string) map[string]string {
	w.Helper()
	var seen []map[string]string
	for deadline := time.Now().Add(dialTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		seen = seen[:0]
		for _, source := range sources {
			line := w.log.endOf(source)
			if line["reason"] == reason {
				return line
			}
			seen = append(seen, line)
		}
	}
	w.Fatalf("no line says reason=%s: %v", reason, seen)
	return nil
}

// A client that takes all connections it can get leaves some to the others, and is told.
func TestServerLimitIsSharedOut(t *testing.T) {
	f := start(t, func(cfg *control.Config) { cfg.MaxConnections = 16 })
	address := f.balance()
	large, small := &ways{f.signUp("large"), address}, &ways{f.signUp("small"), address}
	id, cert, _ := large.made(to(echoes(t)), "")
	for range 12 {
		large.connect(address, cert)
	}
	line := large.line("server-limit", large.knock(clientOf(cert)))
	if line["client"] != large.uuid || line["route"] != "" {
		t.Errorf("got %v, want the client and no route", line)
	}
	if refused := large.call("GET", "/api/v1/client/frontend/"+id+"/refused", ""); !strings.Contains(string(refused.body), `"server-limit"`) {
		t.Errorf("its owner reads %s", refused.body)
	}
	small.open("")
}

func (w *ways) wantFields(line map[string]string, names ...string) {
	w.Helper()
	for _, name := range names {
		if line[name] == "" {
			w.Errorf("%s is missing in %v", name, line)
		}
	}
	for _, name := range []string{"wait", "connect", "total"} {
		if text, there := line[name]; there {
			if d, err := time.ParseDuration(text); err != nil || d < 0 || name == "total" && d == 0 {
				w.Errorf("%s is %q", name, text)
			}
		}
	}
}

// Every connection has one line at its end, with the reason and all there is to know.
func TestEndsOfConnectionsAreLoggedWithTheReason(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t)
	w := &ways{f.signUp("testuser"), f.balance()}
	for _, c := range ends {
		t.Run(c.reason, func(t *testing.T) {
			w := w.in(t)
			line := w.line(c.reason, c.end(w))
			w.wantFields(line, "id", "client", "frontend", "serial", "source", "bytesIn", "bytesOut", "unackedIn", "unackedOut", "wait", "connect", "total")
			if _, there := line["route"]; !there || line["client"] != w.uuid || line["msg"] != "connection" {
				t.Errorf("got %v, want a line about a connection, with its client and route", line)
			}
			noRoute := slices.Contains([]string{"no-route", "all-full", "conn-limit", "rate-limit"}, c.reason)
			if noRoute != (line["route"] == "") {
				t.Errorf("the route is %q", line["route"])
			}
		})
	}
	for _, c := range refusals {
		t.Run("refused "+c.reason, func(t *testing.T) {
			w := w.in(t)
			line := w.line(c.reason, c.end(w))
			w.wantFields(line, "id", "source", "total")
			known := line["client"] == w.uuid && line["frontend"] != "" && line["serial"] != ""
			if line["msg"] != "refused connection" || c.owner == "known" && !known || c.owner == "nobody" && line["client"] != "" {
				t.Errorf("got %v, want a line about a refused connection, with its client where it is known", line)
			}
		})
	}
	t.Run("shutdown", func(t *testing.T) {
		w := w.in(t)
		p, _ := w.open("")
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.control.Balancer().Shutdown(over); err == nil {
			t.Error("a shutdown without time says that all connections have ended")
		}
		line := w.line("shutdown", []string{p.source})
		if line["bytesIn"] != "5" || line["bytesOut"] != "5" {
			t.Errorf("got %v, want 5 bytes each way", line)
		}
	})
}
