package lb

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Dialer connects to backends. The zero value dials every address. It is safe for concurrent use.
type Dialer struct {
	// Allow is asked for every address just before it is dialled, also for those that a name resolves
	// to by then. An error keeps it from being dialled. Nil allows all.
	Allow func(netip.AddrPort) error
	// Inside, if set, is asked first for the connection to an address that is served inside of the program. It returns
	// neither connection nor error for an address that is not, which is then dialled. Allow has no say in it.
	Inside func(ctx context.Context, address string) (net.Conn, error)
	// Resolver looks names up. Nil is net.DefaultResolver.
	Resolver *net.Resolver
	// Timeout bounds one DialContext or Open: the look-up, all addresses, the preface and TLS together.
	// 0 is 5 s, negative is none but the context's.
	Timeout time.Duration
}

const defaultDialTimeout = 5 * time.Second

// leastDialTime is what each address of a name gets of the time that there is. Who runs the zone chooses how many
// addresses there are, and refusing is fast: without a bound, one DialContext would make thousands of connects.
const leastDialTime = 250 * time.Millisecond

// DialContext connects to host:port over TCP and returns the first connection that comes about. Of the addresses of a name
// it tries as many as have a quarter of a second each, and 64 at most, in the order of the addresses. The error is a
// *Refusal with a reason of a backend. The caller closes the connection.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := d.within(ctx)
	defer cancel()
	if d.Inside != nil {
		conn, err := d.Inside(ctx, address)
		if err != nil {
			return nil, dialError(err)
		}
		if conn != nil {
			return conn, nil
		}
	}
	targets, err := d.resolve(ctx, address)
	if err != nil {
		return nil, dialError(err)
	}
	if deadline, bounded := ctx.Deadline(); bounded {
		room := max(1, int(time.Until(deadline)/leastDialTime))
		targets = targets[:min(len(targets), room)]
	}
	var failed error
	for i, target := range targets {
		conn, err := d.dial(ctx, network, target, len(targets)-i)
		if err == nil {
			return conn, nil
		}
		if failed == nil || ReasonOf(failed) == ReasonBackendPolicy {
			failed = err
		}
	}
	return nil, failed
}

// within bounds ctx by the Timeout.
func (d *Dialer) within(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case d.Timeout == 0:
		return context.WithTimeout(ctx, defaultDialTimeout)
	case d.Timeout > 0:
		return context.WithTimeout(ctx, d.Timeout)
	}
	return context.WithCancel(ctx)
}

// Opening is what happens on a connection to a backend before the stream. The zero value is nothing.
type Opening struct {
	Preface []byte      // sent first and in plain text, such as AppendProxyHeader writes; empty is none
	TLS     *BackendTLS // begins after that; nil is none
}

// Open dials like DialContext and opens the connection. It is a *tls.Conn when TLS is wanted. The error is
// a *Refusal with a reason of a backend. The caller closes the connection.
func (d *Dialer) Open(ctx context.Context, network, address string, with Opening) (net.Conn, error) {
	ctx, cancel := d.within(ctx)
	defer cancel()
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := sendPreface(ctx, conn, with.Preface); err != nil {
		conn.Close()
		return nil, err
	}
	if with.TLS == nil {
		return conn, nil
	}
	secure, err := with.TLS.Client(ctx, conn, address)
	if err != nil {
		return nil, err // not secure: a nil *tls.Conn is no nil net.Conn
	}
	return secure, nil
}

// sendPreface gives up when ctx ends: a preface can be longer than what the kernel takes at once.
func sendPreface(ctx context.Context, conn net.Conn, preface []byte) error {
	if len(preface) == 0 {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := conn.Write(preface)
	switch {
	case !stop():
		return &Refusal{Reason: ReasonBackendTimeout, Detail: "it did not take the preface", Err: ctx.Err()}
	case err != nil:
		return &Refusal{Reason: ReasonBackendReset, Detail: "it did not take the preface", Err: err}
	}
	return nil
}

// dial connects to one address, in its share of the time that is left for all that remain.
func (d *Dialer) dial(ctx context.Context, network string, target netip.AddrPort, remaining int) (net.Conn, error) {
	if d.Allow != nil {
		if err := d.Allow(target); err != nil {
			return nil, &Refusal{Reason: ReasonBackendPolicy, Err: err}
		}
	}
	dialer := net.Dialer{KeepAlive: -1} // what lasts gets its own, see conn.settle
	if deadline, bounded := ctx.Deadline(); bounded {
		dialer.Timeout = max(time.Until(deadline)/time.Duration(remaining), time.Millisecond)
	}
	conn, err := dialer.DialContext(ctx, network, target.String())
	if err != nil {
		return nil, dialError(err)
	}
	return conn, nil
}

func dialError(err error) error {
	return &Refusal{Reason: dialReason(err), Err: err}
}

// resolve returns the addresses behind host:port in the order to try them.
func (d *Dialer) resolve(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "port is no number from 0 to 65535", Addr: address}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}, nil
	}
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	ips, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	ips = tidy(ips, false)
	targets := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		targets[i] = netip.AddrPortFrom(ip, uint16(port))
	}
	return targets, nil
}
