package live

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/xdire/xlb/lb"
)

// Connection is a live connection of a frontend, through this process.
type Connection struct {
	ID       string // decimal digits
	Serial   string // of its certificate
	Name     string // of its certificate, may be empty
	Source   netip.AddrPort
	Route    string // empty while it waits for one
	Since    time.Time
	Age      time.Duration
	Idle     time.Duration
	BytesIn  int64 // from the client
	BytesOut int64 // to the client
	Resumed  bool  // its TLS session
}

// Connections lists the live connections of a frontend, newest first.
func (l *Live) Connections(frontendID string) []Connection {
	found := l.balancer.Connections(frontendKey(frontendID))
	slices.SortFunc(found, func(a, b lb.Conn) int { return cmp.Compare(b.ID, a.ID) })
	all := make([]Connection, 0, len(found))
	for _, one := range found {
		all = append(all, l.connectionOf(one))
	}
	return all
}

// ConnectionsOf is how many live connections a client has.
func (l *Live) ConnectionsOf(clientID string) int {
	return len(l.balancer.Connections(clientKey(clientID)))
}

// Kill closes a live connection of a frontend with a reset, and returns false when there is none with that id.
func (l *Live) Kill(frontendID, id string) bool {
	number, err := strconv.ParseUint(id, 10, 64)
	return err == nil && l.balancer.Kill(frontendKey(frontendID), number)
}

// AddressesOf lists what a route of a frontend stands for now.
func (l *Live) AddressesOf(frontendID, dest string) []string {
	f, known := l.frontends.get(frontendID)
	if !known {
		return nil
	}
	return f.addresses[dest]
}

func (l *Live) connectionOf(one lb.Conn) Connection {
	conn := Connection{
		ID: strconv.FormatUint(one.ID, 10), Source: one.Remote, Route: one.Backend, Since: one.Start, Age: time.Since(one.Start),
		Idle: one.Idle, BytesIn: one.BytesIn, BytesOut: one.BytesOut, Resumed: one.Resumed,
	}
	if b, _ := one.Tag.(*Holder); b != nil {
		conn.Serial = b.Certificate.Serial
		if cert, known := l.certificates.get(b.Certificate); known {
			conn.Name = cert.Name
		}
	}
	return conn
}
