package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/source"
)

// Shares of the control plane's connections.
const (
	strangersPerSource  = 64 // on which nobody has logged in
	connectionsOfClient = 64 // on which this client has
)

// door is a listener that bounds the connections on which nobody has logged in yet, in all and of each source: one more
// closes one of those. A connection that a client has used for a request of its own counts among the client's from
// then on, as long as there is room for it there.
type door struct {
	net.Listener
	gate    *source.Gate[*visitor]
	clients *clientConns
}

// visitor is a connection that came through the door.
type visitor struct {
	net.Conn
	ticket  *source.Ticket[*visitor]
	clients *clientConns

	mu     sync.Mutex
	client string // among whose connections it counts, empty while it is a stranger's
	closed bool
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if source.OutOfFiles(err) && d.shed() {
		conn, err = d.Listener.Accept()
	}
	if err != nil {
		return nil, err
	}
	v := &visitor{Conn: conn, clients: d.clients}
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return conn, nil
	}
	var crowded *visitor
	var someone bool
	if v.ticket, crowded, someone = d.gate.Enter(from.Addr(), v); someone {
		crowded.Conn.Close() // whoever serves it sees the end
	}
	return v, nil
}

// shed closes a connection of the source that has most, when files have run out.
func (d *door) shed() bool {
	v, someone := d.gate.Evict()
	if someone {
		v.Conn.Close()
	}
	return someone
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.ticket.Leave()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.client != "" && !v.closed {
		v.clients.leave(v.client)
	}
	v.closed = true
	return v.Conn.Close()
}

// belongsTo counts it among a client's connections, and returns false when there is no room for it.
func (v *visitor) belongsTo(client string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.client == "" && !v.closed && v.clients.enter(client) {
		v.client = client
		v.ticket.Leave()
	}
	return v.client != ""
}

// clientConns counts the connections on which somebody is logged in.
type clientConns struct {
	most int

	mu  sync.Mutex
	all int
	by  map[string]int
}

func (c *clientConns) enter(client string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= c.most || c.by[client] >= connectionsOfClient {
		return false
	}
	if c.by == nil {
		c.by = map[string]int{}
	}
	c.all++
	c.by[client]++
	return true
}

func (c *clientConns) leave(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.by[client]--; c.by[client] == 0 {
		delete(c.by, client)
	}
}

// visitorOf is the visitor under a connection of the server, nil when there is none.
func visitorOf(conn net.Conn) *visitor {
	if secure, isTLS := conn.(*tls.Conn); isTLS {
		conn = secure.NetConn()
	}
	v, _ := conn.(*visitor)
	return v
}

type visitorKey struct{}

// withVisitor remembers who a request comes from.
func withVisitor(ctx context.Context, conn net.Conn) context.Context {
	if v := visitorOf(conn); v != nil {
		return context.WithValue(ctx, visitorKey{}, v)
	}
	return ctx
}

// welcome counts connections on which somebody is logged in among that client's. One for which there is no room is
// served, as a stranger's, and closed after the answer.
func (s *Server) welcome(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := control.ActorFrom(r.Context()).ClientID
		if v, came := r.Context().Value(visitorKey{}).(*visitor); came && client != "" && !v.belongsTo(client) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
