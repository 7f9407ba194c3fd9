package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/xdire/xlb/internal/config"
)

// socket is an address that XLB listens on, or will.
type socket struct {
	name     string // as in LISTEN_FDNAMES
	flag     string
	address  string
	addr     *net.TCPAddr // where it listens, or will; not changed once newSockets has returned, as others read it
	listener net.Listener // nil until it is open
}

// sockets are those of the ports. ops and acme are nil where there are none.
type sockets struct{ http, lb, ops, acme *socket }

// newSockets finds out where to listen, and takes the sockets that were passed to this process. Those with the port 0, which
// nobody can wait for, are opened at once: it takes that to know their ports.
func newSockets(cfg config.Config) (s *sockets, err error) {
	s = &sockets{
		http: &socket{name: "http", flag: "-http-addr", address: cfg.HTTPAddr}, lb: &socket{name: "lb", flag: "-lb-addr", address: cfg.LBAddr},
		ops: &socket{name: "ops", flag: "-ops-addr", address: cfg.OpsAddr}, acme: &socket{name: "acme", flag: "-acme-http-addr", address: cfg.ACMEHTTPAddr},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, one := range s.all() {
		if one.address == "" {
			continue
		}
		if one.addr, err = net.ResolveTCPAddr("tcp", one.address); err != nil {
			return s, fmt.Errorf("%s: %w", one.flag, err)
		}
		if one.addr.IP == nil { // every address, as net.Listen has it
			one.addr.IP = net.IPv6unspecified
		}
	}
	if err := s.inherit(); err != nil {
		return s, err
	}
	for _, place := range []**socket{&s.ops, &s.acme} {
		if one := *place; one.address == "" && one.listener == nil {
			*place = nil
		}
	}
	for _, one := range s.all() {
		if one.listener == nil && one.addr.Port == 0 {
			if err := one.open(); err != nil {
				return s, err
			}
		}
		if one.listener != nil {
			one.addr = one.listener.Addr().(*net.TCPAddr)
		}
	}
	return s, nil
}

// passedVariable marks a process that gets its sockets from the one that it takes over from, which cannot know its number in
// advance. LISTEN_PID has to be that number.
const passedVariable = "XLB_LISTEN_PASSED"

// inherit takes the sockets of systemd, or of the process that this one takes over from: by their names, or by their ports
// where nobody gave them names.
func (s *sockets) inherit() error {
	if os.Getenv(passedVariable) != "" {
		os.Unsetenv(passedVariable)
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	var wrong []error
	for _, file := range activation.Files(true) {
		l, err := net.FileListener(file)
		file.Close() // the listener has a copy
		tcp, isTCP := l.(*net.TCPListener)
		if err != nil || !isTCP {
			wrong = append(wrong, fmt.Errorf("the socket %s that was passed to xlb is none of TCP that listens (%v)", file.Name(), err))
			continue
		}
		one := s.of(file.Name(), tcp.Addr().(*net.TCPAddr).Port)
		if one == nil || one.listener != nil {
			tcp.Close()
			wrong = append(wrong, fmt.Errorf("the socket %s (%s) that was passed to xlb: name it http, lb, ops or acme, each once", file.Name(), tcp.Addr()))
			continue
		}
		one.listener = tcp
	}
	return errors.Join(wrong...)
}

func (s *sockets) of(name string, port int) *socket {
	for _, one := range s.all() {
		if one.name == name {
			return one
		}
	}
	for _, one := range s.all() {
		if one.addr != nil && one.addr.Port == port {
			return one
		}
	}
	return nil
}

func (s *sockets) all() (all []*socket) {
	for _, one := range []*socket{s.http, s.lb, s.ops, s.acme} {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

// open listens where nobody does yet.
func (one *socket) open() (err error) {
	if one.listener != nil {
		return nil
	}
	plain := net.ListenConfig{}
	if one.name == "lb" {
		plain.KeepAlive = -1 // the balancer sets it, when a connection lasts
	}
	if one.listener, err = plain.Listen(context.Background(), "tcp", one.address); err != nil {
		one.listener = nil
		return fmt.Errorf("%s: %w", one.flag, err)
	}
	return nil
}

const (
	// openPoll is how often it is tried to listen where another process still does.
	openPoll = 2 * time.Millisecond
	// openPatience is for how long: one that drains closes as soon as it sees this process.
	openPatience = 2 * time.Second
)

// open listens on all of them. While another process still does, it is tried again for a while.
func (s *sockets) open(ctx context.Context) error {
	deadline := time.Now().Add(openPatience)
	for _, one := range s.all() {
		err := one.open()
		for errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline) && ctx.Err() == nil {
			time.Sleep(openPoll)
			err = one.open()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *sockets) close() {
	for _, one := range s.all() {
		if one.listener != nil {
			one.listener.Close()
		}
	}
}

func (s *sockets) addresses() (all []netip.AddrPort) {
	for _, one := range s.all() {
		all = append(all, one.addr.AddrPort())
	}
	return all
}

// pass names the sockets that are open, for a process that gets them in this order from descriptor 3 on.
func (s *sockets) pass() (open []*net.TCPListener, names string) {
	for _, one := range s.all() {
		if tcp, isTCP := one.listener.(*net.TCPListener); isTCP {
			open = append(open, tcp)
			if names += ":" + one.name; len(open) == 1 {
				names = one.name
			}
		}
	}
	return open, names
}
