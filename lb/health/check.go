package health

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kind is what a check does.
type Kind int

// The kinds of checks. All of them connect first.
const (
	None Kind = iota // nothing
	TCP              // nothing more
	TLS              // does a TLS handshake
	Send             // sends bytes, if there are any, and looks for others in the answer
	HTTP             // asks for a page and looks at the status
)

// Check says how to find out whether a backend works. The zero value is no check. Its slices must not be
// changed while it is in use.
type Check struct {
	Kind Kind

	Interval time.Duration // from one check to the next; 0 and negative are 5 s
	Timeout  time.Duration // of one check, look-up and connect included; 0 and negative are 2 s, more than Interval is Interval
	Rise     int           // checks in a row that must pass until a backend is up again; 0 and negative are 2
	Fall     int           // checks in a row that must fail until it is down; 0 and negative are 3
	Jitter   float64       // each wait is longer or shorter by up to this share of Interval; 0 is 0.1, negative is none, at most 0.5

	// Send goes out first, for Send. It may be empty: some servers speak first.
	Send []byte
	// Expect has to come somewhere in the first 4 KB of the answer, for Send. Empty is satisfied
	// with any byte. An answer without it fails when the backend closes, has sent 4 KB, or Timeout is over.
	Expect []byte

	Method   string        // for HTTP: GET, HEAD or OPTIONS; empty is GET
	Path     string        // for HTTP, with the query; empty is "/"
	Host     string        // for HTTP, the Host header; empty is the backend's address
	Statuses []StatusRange // for HTTP, the good ones; empty is 200 to 399

	// TLS is the client's side of the handshake. It is cloned, and gets the backend's host as ServerName
	// unless it has one. Nil is a handshake for TLS that does not verify the certificate, which tells
	// that somebody speaks TLS there and not who, and plain HTTP for HTTP.
	TLS *tls.Config

	// Preface goes out before everything else and in plain text, such as a PROXY header that tells that the
	// connection is the balancer's own. Empty is none.
	Preface []byte
}

// StatusRange is the HTTP statuses from From to To, both included. To 0 is From alone.
type StatusRange struct{ From, To int }

const (
	defaultCheckInterval = 5 * time.Second
	defaultCheckTimeout  = 2 * time.Second
	defaultCheckRise     = 2
	defaultCheckFall     = 3
	defaultCheckJitter   = 0.1
	mostCheckJitter      = 0.5

	mostCheckBytes = 4096 // of an answer that a check reads, and of what it sends
	mostQuoted     = 32   // bytes of what was expected that a failed check shows
)

func (c Check) withDefaults() Check {
	if c.Interval <= 0 {
		c.Interval = defaultCheckInterval
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultCheckTimeout
	}
	c.Timeout = min(c.Timeout, c.Interval)
	if c.Rise <= 0 {
		c.Rise = defaultCheckRise
	}
	if c.Fall <= 0 {
		c.Fall = defaultCheckFall
	}
	if c.Jitter == 0 {
		c.Jitter = defaultCheckJitter
	}
	c.Jitter = min(max(c.Jitter, 0), mostCheckJitter)
	return c
}

// equal tells whether two checks are set alike. Of TLS it compares the pointers.
func (c Check) equal(o Check) bool {
	return c.Kind == o.Kind && c.Interval == o.Interval && c.Timeout == o.Timeout && c.Rise == o.Rise && c.Fall == o.Fall &&
		c.Jitter == o.Jitter && bytes.Equal(c.Send, o.Send) && bytes.Equal(c.Expect, o.Expect) && c.Method == o.Method &&
		c.Path == o.Path && c.Host == o.Host && slices.Equal(c.Statuses, o.Statuses) && c.TLS == o.TLS && bytes.Equal(c.Preface, o.Preface)
}

// Validate tells in words what makes the check impossible to do: an unknown kind, more than 4 KB to send or
// to expect, or a request that is not HTTP. It does not judge times and counts: their bounds are up to the
// program.
func (c Check) Validate() error {
	switch {
	case c.Kind < None || c.Kind > HTTP:
		return fmt.Errorf("there is no check of kind %d", c.Kind)
	case c.Kind == Send && len(c.Send) > mostCheckBytes:
		return fmt.Errorf("a check sends at most %d bytes", mostCheckBytes)
	case c.Kind == Send && len(c.Expect) > mostCheckBytes:
		return fmt.Errorf("a check reads at most %d bytes", mostCheckBytes)
	case c.Kind == HTTP:
		return c.validateHTTP()
	}
	return nil
}

// Probe does the check once, without Interval, Rise and Fall, in at most Timeout. A nil dial is that of
// net.Dialer. The error is a *Failure: its Reason is one of a route, its Detail says in words what happened, with
// a short printable quote of the answer at most. ReasonInternal is this machine's fault or, without an Err,
// that of a check that Validate refuses. None passes.
func (c Check) Probe(ctx context.Context, dial Dial, addr string) error {
	if c.Kind == None {
		return nil
	}
	if err := c.Validate(); err != nil {
		return &Failure{Reason: ReasonInternal, Detail: err.Error()}
	}
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	c = c.withDefaults()
	p := probe{check: c, addr: addr, started: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	p.ctx = ctx
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return p.dialFailed(err)
	}
	defer conn.Close()
	// Closing is what ends every read and write in time, also the last alert of TLS, which sets a deadline
	// of its own.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if len(c.Preface) > 0 {
		if _, err := conn.Write(c.Preface); err != nil {
			return p.brokeOff(err)
		}
	}
	return p.talk(conn)
}

// probe is one check under way.
type probe struct {
	ctx     context.Context
	check   Check
	addr    string
	started time.Time
}

// talk does what the kind of check asks for on a connection.
func (p *probe) talk(conn net.Conn) error {
	switch p.check.Kind {
	case Send:
		return p.exchange(conn)
	case TLS, HTTP:
		if p.check.Kind == TLS || p.check.TLS != nil {
			secure, err := p.shakeHands(conn)
			if err != nil {
				return err
			}
			defer secure.Close()
			conn = secure
		}
		if p.check.Kind == HTTP {
			return p.askHTTP(conn)
		}
	}
	return nil
}

// exchange sends what is to be sent and reads until what is expected has come.
func (p *probe) exchange(conn net.Conn) error {
	if _, err := conn.Write(p.check.Send); err != nil {
		return p.brokeOff(err)
	}
	want := p.check.Expect
	answer, err := readUntil(conn, func(answer []byte) bool { return len(answer) > 0 && bytes.Contains(answer, want) })
	switch {
	case err == nil:
		return nil
	case len(answer) == 0:
		return p.brokeOff(err)
	}
	return p.unexpected("expected "+quote(want)+", got "+countOf(answer), err)
}

// errLong says that an answer was read up to the bound.
var errLong = errors.New("the answer is too long")

// readUntil reads up to 4 KB until there is enough. The error is nil exactly when there is.
func readUntil(conn io.Reader, enough func([]byte) bool) ([]byte, error) {
	answer := make([]byte, 0, 512)
	for len(answer) < mostCheckBytes {
		answer = slices.Grow(answer, 512)
		n, err := conn.Read(answer[len(answer):min(cap(answer), mostCheckBytes)])
		answer = answer[:len(answer)+n]
		if enough(answer) {
			return answer, nil
		}
		if err != nil {
			return answer, err
		}
	}
	return answer, errLong
}

func (p *probe) shakeHands(conn net.Conn) (*tls.Conn, error) {
	cfg := &tls.Config{InsecureSkipVerify: true} // asked for by a nil TLS; nothing secret is sent
	if p.check.TLS != nil {
		cfg = p.check.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(p.addr)
	}
	secure := tls.Client(conn, cfg)
	err := secure.HandshakeContext(p.ctx)
	if err == nil {
		return secure, nil
	}
	if detail := tlsDetail(err); detail != "" && p.ctx.Err() == nil {
		return nil, &Failure{Reason: ReasonTLS, Detail: detail, Err: err}
	}
	return nil, p.brokeOff(err)
}

// tlsDetail says what TLS disliked, and nothing when the connection broke. The errors of crypto/x509 quote
// the certificate, so they are not for people.
func tlsDetail(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var notTLS tls.RecordHeaderError
	var alert *net.OpError
	var errno syscall.Errno
	switch {
	case errors.As(err, &unknown):
		return "the certificate is of an unknown authority"
	case errors.As(err, &name):
		return "the certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not valid yet"
	case errors.As(err, &invalid):
		return "the certificate is not valid"
	case errors.As(err, &notTLS):
		return "the answer is not TLS"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return "the TLS handshake was refused: " + strings.TrimPrefix(alert.Err.Error(), "tls: ")
	case errors.As(err, &errno), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ""
	}
	return "the TLS handshake failed"
}

// unexpected is an answer that is not the wanted one, unless the check itself was cancelled.
func (p *probe) unexpected(detail string, err error) error {
	if errors.Is(p.ctx.Err(), context.Canceled) {
		return p.brokeOff(err)
	}
	return &Failure{Reason: ReasonAnswer, Detail: detail, Err: err}
}

// brokeOff explains why a connection that had come about said nothing more.
func (p *probe) brokeOff(err error) error {
	reason := ReasonReset
	detail := "the connection broke"
	switch {
	case errors.Is(p.ctx.Err(), context.Canceled):
		reason = ReasonInternal
		detail = "cancelled"
		err = p.ctx.Err()
	case p.ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		reason = ReasonTimeout
		detail = "no answer in " + p.waited()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = ReasonClosed
		detail = "closed without an answer"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		reason = ReasonReset
		detail = "connection reset"
	}
	return &Failure{Reason: reason, Detail: detail, Err: err}
}

// dialFailed explains why no connection came about.
func (p *probe) dialFailed(err error) error {
	reason := ReasonOf(err)
	var detail string
	var dns *net.DNSError
	var malformed *net.AddrError
	var errno syscall.Errno
	switch {
	case errors.Is(p.ctx.Err(), context.Canceled):
		reason = ReasonInternal
		detail = "cancelled"
	case reason == ReasonPolicy:
		detail = "this server does not allow the address"
	case errors.As(err, &dns) && dns.IsNotFound:
		detail = "the name has no address"
	case errors.As(err, &dns):
		detail = "the name could not be looked up"
	case errors.As(err, &malformed):
		reason = ReasonDNS
		detail = "the address is not host:port"
	case errors.As(err, &errno) && errno != syscall.ETIMEDOUT:
		detail = errno.Error()
	case reason == ReasonTimeout:
		detail = "no answer in " + p.waited()
	default:
		detail = "no connection"
	}
	return &Failure{Reason: reason, Detail: detail, Err: err}
}

// waited is how long the check has lasted, for people: "2 s". What a busy machine adds is left out.
func (p *probe) waited() string {
	d := min(time.Since(p.started), p.check.Timeout).Round(10 * time.Millisecond)
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// ours tells whether a check failed for a fault of this machine, which says nothing about the backend.
func ours(err error) bool {
	var errno syscall.Errno
	return ReasonOf(err) == ReasonInternal && errors.As(err, &errno)
}

// quote shows the first line of what was expected, or the start of it, in printable ASCII.
func quote(expected []byte) string {
	line, _, _ := strings.Cut(string(expected[:min(len(expected), mostQuoted+1)]), "\n")
	line = strings.TrimSuffix(line, "\r")
	if len(line) <= mostQuoted {
		return strconv.QuoteToASCII(line)
	}
	return strconv.QuoteToASCII(line[:mostQuoted]) + "..."
}

// countOf says how long an answer is. What a route answers is not for those who may only name it: never a byte
// of it is shown.
func countOf(answer []byte) string { return fmt.Sprintf("%d other bytes", len(answer)) }
