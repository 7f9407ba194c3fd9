package health

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
)

// Reason says why a check failed, in a word that is fit for logs and metrics. The list is closed.
type Reason string

// Why a check failed.
const (
	ReasonRefused  Reason = "route-refused" // nothing listens there
	ReasonTimeout  Reason = "route-timeout" // no answer in time, or no way there
	ReasonDNS      Reason = "route-dns"     // the name has no address
	ReasonPolicy   Reason = "route-policy"  // Dial does not want to
	ReasonTLS      Reason = "route-tls"     // the TLS handshake failed
	ReasonClosed   Reason = "route-closed"  // it closed without an answer
	ReasonReset    Reason = "route-reset"   // it reset the connection
	ReasonAnswer   Reason = "route-answer"  // it answered something else than was wanted
	ReasonInternal Reason = "internal"      // this machine's fault: out of file descriptors or ports
)

// Failure is why a check failed.
type Failure struct {
	Reason Reason
	Detail string // for people
	Err    error  // the cause, optional
}

// Error implements error.
func (f *Failure) Error() string {
	text := string(f.Reason)
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Dial connects to host:port. Its error may say what it stands for by a method HealthReason() Reason; others are
// judged as [ReasonOf] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// ReasonOf tells what a failed check, connect or look-up stands for, ReasonInternal when it stands for nothing else.
func ReasonOf(err error) Reason {
	var failure *Failure
	var own interface{ HealthReason() Reason }
	var dns *net.DNSError
	switch {
	case errors.As(err, &failure):
		return failure.Reason
	case errors.As(err, &own):
		return own.HealthReason()
	case errors.As(err, &dns):
		return ReasonDNS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return ReasonRefused
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL),
		errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return ReasonInternal
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return ReasonTimeout
	}
	return ReasonInternal
}
