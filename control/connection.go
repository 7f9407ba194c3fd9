package control

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/pki"
)

// Connection is a live connection of a frontend, through this process.
type Connection = live.Connection

// ConnectionQuery selects connections to list.
type ConnectionQuery struct {
	// Text is a part of the source, the route, the certificate's serial or its name. Empty: all.
	Text string
	// Route is a route of the frontend, as it is written there. Empty: all.
	Route string
	// Limit is 1 to MaxConnections. Zero: MaxConnections.
	Limit int
}

// MaxConnections is the longest list of connections.
const MaxConnections = 1000

// ConnectionList is the newest of the connections that a query selects.
type ConnectionList struct {
	Items []Connection
	Total int // how many the query selects, with those beyond its limit
}

// Connections lists live connections of a frontend of the actor, newest first.
func (c *Control) Connections(ctx context.Context, frontendID string, q ConnectionQuery) (ConnectionList, error) {
	_, a, err := c.may(ctx, actConnectionList, frontendID)
	if err != nil {
		return ConnectionList{}, err
	}
	frontendID, err = c.liveFrontend(a, frontendID)
	if err != nil {
		return ConnectionList{}, err
	}
	if q.Limit == 0 {
		q.Limit = MaxConnections
	}
	if q.Limit < 1 || q.Limit > MaxConnections {
		return ConnectionList{}, invalid("limit", "Use 1 to %d.", MaxConnections)
	}
	list := ConnectionList{Items: []Connection{}}
	text := strings.ToLower(strings.TrimSpace(q.Text))
	addresses := c.live.AddressesOf(frontendID, q.Route)
	for _, conn := range c.live.Connections(frontendID) {
		if matches(conn, text) && (q.Route == "" || conn.Route == q.Route || slices.Contains(addresses, conn.Route)) {
			if list.Total++; list.Total <= q.Limit {
				list.Items = append(list.Items, conn)
			}
		}
	}
	return list, nil
}

// liveFrontend is the uuid of a frontend of the actor, as the balancer's keys have it.
func (c *Control) liveFrontend(a Actor, id string) (string, error) {
	f, known := c.live.Frontend(canonicalID(id))
	if !known || f.ClientID != a.ClientID {
		return "", notFound("frontend")
	}
	return f.UUID, nil
}

// matches takes a text in lower case. Serials are found as people write them, too.
func matches(conn Connection, text string) bool {
	if text == "" {
		return true // a page asks so each second, for thousands
	}
	for _, field := range []string{conn.Source.String(), conn.Route, conn.Serial, conn.Name} {
		if strings.Contains(strings.ToLower(field), text) {
			return true
		}
	}
	serial, err := pki.ParseSerial(text)
	return err == nil && serial == conn.Serial
}

// CloseConnection closes one live connection of a frontend of the actor with a reset. It is closed when
// the call returns.
func (c *Control) CloseConnection(ctx context.Context, frontendID, id string) (err error) {
	ctx, a, err := c.may(ctx, actConnectionClose, frontendID+"/connections/"+id)
	if err != nil {
		return err
	}
	defer c.noteFailed(ctx, &err)
	frontendID, err = c.liveFrontend(a, frontendID)
	if err != nil {
		return err
	}
	if !c.live.Kill(frontendID, id) {
		return notFound("connection")
	}
	c.noteClosed(ctx, a, frontendID+"/connections/"+id, 1)
	return nil
}

// ConnectionFilter names connections to close: those that fit every field that is set.
type ConnectionFilter struct {
	Route  string // host:port, as in the frontend
	Serial string // of the certificate, in any spelling
	Source string // an address, or an address with a port
	All    bool   // every one of the frontend; it goes with none of the others
}

// CloseConnections closes the live connections of a frontend of the actor that the filter names, with a
// reset. It tells how many it closed.
func (c *Control) CloseConnections(ctx context.Context, frontendID string, filter ConnectionFilter) (_ int, err error) {
	ctx, a, err := c.may(ctx, actConnectionClose, frontendID+"/connections")
	if err != nil {
		return 0, err
	}
	defer c.noteFailed(ctx, &err)
	frontendID, err = c.liveFrontend(a, frontendID)
	if err != nil {
		return 0, err
	}
	names, err := filter.check(c.live.AddressesOf(frontendID, filter.Route))
	if err != nil {
		return 0, err
	}
	closed := 0
	for _, one := range c.live.Connections(frontendID) {
		if names(one) && c.live.Kill(frontendID, one.ID) {
			closed++
		}
	}
	c.noteClosed(ctx, a, frontendID+"/connections", closed)
	return closed, nil
}

// check returns what tells whether the filter names a connection, or what is wrong with the filter. addresses are
// those that its route stands for.
func (f ConnectionFilter) check(addresses []string) (func(Connection) bool, error) {
	named := f.Route != "" || f.Serial != "" || f.Source != ""
	switch {
	case !named && !f.All:
		return nil, invalid("all", "Name a route, a serial or a source, or set all to true.")
	case named && f.All:
		return nil, invalid("all", "Leave all out where a route, a serial or a source is named.")
	}
	var problems []error
	serial, err := pki.ParseSerial(f.Serial)
	if f.Serial != "" && err != nil {
		problems = append(problems, invalid("serial", "Use the hex digits of a serial, at most 40."))
	}
	from, err := sourceFilter(f.Source)
	if err != nil {
		problems = append(problems, err)
	}
	return func(c Connection) bool {
		return (f.Route == "" || c.Route == f.Route || slices.Contains(addresses, c.Route)) && (f.Serial == "" || c.Serial == serial) && from(c.Source)
	}, errors.Join(problems...)
}

// sourceFilter fits an address with any port, or with the one that is given.
func sourceFilter(text string) (func(netip.AddrPort) bool, error) {
	if text == "" {
		return func(netip.AddrPort) bool { return true }, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return func(source netip.AddrPort) bool { return source.Addr() == addr.Unmap() }, nil
	}
	if pair, err := netip.ParseAddrPort(text); err == nil {
		pair = netip.AddrPortFrom(pair.Addr().Unmap(), pair.Port())
		return func(source netip.AddrPort) bool { return source == pair }, nil
	}
	return nil, invalid("source", "Use an address, such as 10.2.0.14, or an address with a port, such as 10.2.0.14:51884.")
}

// Ended is a connection that was let in and has ended.
type Ended = live.Ended

// MaxEnded is how many ended connections are remembered for each client, in memory.
const MaxEnded = live.EndedPerClient

// Ended lists connections of a frontend of the actor that have ended, newest first: up to limit, which is 1 to MaxEnded;
// zero is MaxEnded.
func (c *Control) Ended(ctx context.Context, frontendID string, limit int) ([]Ended, error) {
	_, a, err := c.may(ctx, actConnectionList, frontendID)
	if err != nil {
		return nil, err
	}
	frontendID, err = c.liveFrontend(a, frontendID)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = MaxEnded
	}
	if limit < 1 || limit > MaxEnded {
		return nil, invalid("limit", "Use 1 to %d.", MaxEnded)
	}
	all := c.live.Ended(a.ClientID, frontendID)
	return all[:min(len(all), limit)], nil
}
