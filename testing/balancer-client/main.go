// Command balancer-client is a program as XLB's users have them: it presents the certificate of a
// frontend and talks to whatever upstream it reaches. It shares no code with the server.
//
//	balancer-client -n 6
//	balancer-client -tcp PING
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const refusedHint = `The server did not accept this certificate, or no upstream answered. TLS 1.3 tells a client nothing more:
one alert stands for all reasons. The reason is in the server's log (reason=...) and on the connect page
of the frontend in the dashboard.`

// errRefused is a server that finished the handshake and then hung up without a byte.
var errRefused = errors.New("refused")

type options struct {
	addr, cert, key, ca string
	insecure, useTCP    bool
	text                string
	n                   int
	timeout             time.Duration
	folders             []string // where cert.pem and key.pem are looked for
}

func main() {
	o := options{folders: folders()}
	flag.StringVar(&o.addr, "addr", "localhost:9090", "`host:port` of the balancer; the host is the name its certificate must have")
	flag.StringVar(&o.cert, "cert", "", "certificate `file` (default cert.pem here, then beside this program)")
	flag.StringVar(&o.key, "key", "", "key `file` (default key.pem beside the certificate)")
	flag.StringVar(&o.ca, "ca", "", "`file` of the authority that the server is checked against (default ca.pem beside the certificate, else the system's)")
	flag.BoolVar(&o.insecure, "insecure", false, "do not check the server's certificate")
	flag.IntVar(&o.n, "n", 1, "how many requests, each on its own connection")
	flag.StringVar(&o.text, "tcp", "", "send this `text` over plain TCP instead of an HTTP request, and print what comes back")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "for one request, connecting included")
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { o.useTCP = o.useTCP || f.Name == "tcp" })
	if flag.NArg() > 0 || o.n < 1 || o.timeout <= 0 {
		fmt.Fprintln(os.Stderr, "balancer-client: -n and -timeout must be positive, and there are only flags")
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "balancer-client:", err)
		if errors.Is(err, errRefused) {
			fmt.Fprintln(os.Stderr, refusedHint)
		}
		os.Exit(1)
	}
}

// folders are the current directory and the program's own.
func folders() []string {
	list := []string{"."}
	if exe, err := os.Executable(); err == nil {
		list = append(list, filepath.Dir(exe))
	}
	return list
}

func run(o options, out io.Writer) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	for i := 1; i <= o.n; i++ {
		start := time.Now()
		a, err := o.ask(cfg)
		if err != nil {
			return fmt.Errorf("request %d to %s: %w", i, o.addr, err)
		}
		if o.n == 1 {
			fmt.Fprintln(out, strings.TrimRight(a.text, "\r\n"))
			continue
		}
		first, _, _ := strings.Cut(a.text, "\n")
		fmt.Fprintf(out, "%4d  %s%s  (%s)\n", i, a.status, strings.TrimRight(first, "\r"), time.Since(start).Round(100*time.Microsecond))
	}
	return nil
}

// config reads the files and makes what every connection uses.
func (o options) config() (*tls.Config, error) {
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil {
		return nil, fmt.Errorf("-addr: %w", err)
	}
	certFile, keyFile, err := o.files()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read %s and %s: %w", certFile, keyFile, err)
	}
	roots, err := o.roots(filepath.Join(filepath.Dir(certFile), "ca.pem"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: host, RootCAs: roots, InsecureSkipVerify: o.insecure,
		// Certificates alone would leave it out when the server's hint does not name our authority; the
		// server could then only say that there was none.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}, nil
}

// files finds the certificate and its key. A key that is not named lies beside its certificate.
func (o options) files() (cert, key string, err error) {
	cert = o.cert
	key = o.key
	if cert == "" {
		for _, folder := range o.folders {
			if exists(filepath.Join(folder, "cert.pem")) && (key != "" || exists(filepath.Join(folder, "key.pem"))) {
				cert = filepath.Join(folder, "cert.pem")
				break
			}
		}
	}
	if cert == "" {
		var names []string
		for _, folder := range o.folders {
			if abs, err := filepath.Abs(folder); err == nil {
				folder = abs
			}
			names = append(names, folder)
		}
		return "", "", fmt.Errorf("no cert.pem with key.pem in %s: unpack the bundle of a frontend there, or name the files with -cert and -key",
			strings.Join(names, " or "))
	}
	if key == "" {
		key = filepath.Join(filepath.Dir(cert), "key.pem")
	}
	return cert, key, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// roots reads the authority; nil means the system's.
func (o options) roots(beside string) (*x509.CertPool, error) {
	path := o.ca
	if path == "" {
		if !exists(beside) {
			return nil, nil
		}
		path = beside
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

type answer struct{ status, text string }

// ask makes one connection and one request.
func (o options) ask(cfg *tls.Config) (answer, error) {
	deadline := time.Now().Add(o.timeout)
	raw, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", o.addr)
	if err != nil {
		return answer{}, err
	}
	defer raw.Close()
	if err := raw.SetDeadline(deadline); err != nil {
		return answer{}, err
	}
	conn := tls.Client(raw, cfg)
	if err := conn.Handshake(); err != nil {
		return answer{}, handshakeError(err)
	}
	sent := o.send(conn)
	// In TLS 1.3 the client is done before the server has looked at its certificate, so a refusal shows
	// here; a failed write may be one as well, and the alert says so only to who reads.
	in := bufio.NewReader(conn)
	if _, err := in.Peek(1); err != nil {
		return answer{}, firstReadError(err)
	}
	if sent != nil {
		return answer{}, fmt.Errorf("send: %w", sent)
	}
	return o.receive(in)
}

func (o options) send(conn *tls.Conn) error {
	if o.useTCP {
		if _, err := io.WriteString(conn, o.text+"\n"); err != nil {
			return err
		}
		return conn.CloseWrite()
	}
	_, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: balancer-client\r\nConnection: close\r\n\r\n", o.addr)
	return err
}

func (o options) receive(in *bufio.Reader) (answer, error) {
	if o.useTCP {
		text, err := io.ReadAll(in)
		return answer{text: string(text)}, err
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return answer{}, fmt.Errorf("the upstream does not speak HTTP (try -tcp): %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.Status + "  ", text: string(body)}, err
}

func handshakeError(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case isRemoteAlert(err) || hungUp(err):
		return fmt.Errorf("%w in the handshake: %w", errRefused, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("the server's certificate is of an authority that is not trusted here; put the bundle's ca.pem beside the certificate or name it with -ca: %w", err)
	}
	return fmt.Errorf("handshake: %w", err)
}

func firstReadError(err error) error {
	if isRemoteAlert(err) || hungUp(err) {
		return fmt.Errorf("%w right after the handshake: %w", errRefused, err)
	}
	return fmt.Errorf("no answer: %w", err)
}

// isRemoteAlert tells whether the other side sent a TLS alert; crypto/tls marks it so and not by a type.
func isRemoteAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
