package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/source"
	"github.com/xdire/xlb/lb"
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
	gate      *source.Gate[*visitor]
	clients   *clientConns
	proxyFrom []netip.Prefix         // whose connections begin with a PROXY header
	unknown   *source.Gate[*visitor] // of those, the ones whose header has not come
}

// visitor is a connection that came through the door.
type visitor struct {
	net.Conn
	door *door

	header  sync.Once // reads the PROXY header, where there has to be one
	failed  error     // of reading it
	proxied net.Addr  // what it tells; nil: nothing

	mu     sync.Mutex
	ticket *source.Ticket[*visitor]
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
	bound(conn)
	v := &visitor{Conn: conn, door: d}
	from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return conn, nil
	}
	if lb.TrustsProxy(d.proxyFrom, from.Addr()) {
		v.enter(d.unknown, from.Addr())
		return v, nil
	}
	v.header.Do(func() {}) // none is wanted
	v.enter(d.gate, from.Addr())
	return v, nil
}

const (
	// unsentMost is what the kernel keeps of answers that were not taken yet, in bytes; it doubles this. By itself it goes up
	// to 4 MB, and who asks for answers and reads none would have that of each connection.
	unsentMost = 128 << 10
	// unackedMost is how long it keeps them while the other side takes nothing.
	unackedMost = 20 * time.Second
)

// bound bounds what a connection costs outside of this process.
func bound(conn net.Conn) {
	if tcp, is := conn.(*net.TCPConn); is {
		tcp.SetWriteBuffer(unsentMost)
		setUnacknowledged(tcp, unackedMost)
	}
}

// enter takes a place in a gate, for the one that it has.
func (v *visitor) enter(gate *source.Gate[*visitor], from netip.Addr) {
	v.mu.Lock()
	if v.ticket != nil {
		v.ticket.Leave()
	}
	ticket, crowded, someone := gate.Enter(from, v)
	v.ticket = ticket
	if v.closed {
		ticket.Leave()
	}
	v.mu.Unlock()
	if someone {
		crowded.Conn.Close() // whoever serves it sees the end
	}
}

// headerTimeout bounds how long a PROXY header may take: the proxy sends it with the connection.
const headerTimeout = 5 * time.Second

// readHeader learns from a PROXY header who is there. It runs where the connection is served, as the first one that asks
// for the address or for a byte: in Accept it would hold everybody up.
func (v *visitor) readHeader() {
	v.header.Do(func() {
		v.Conn.SetReadDeadline(time.Now().Add(headerTimeout))
		defer v.Conn.SetReadDeadline(time.Time{})
		client, _, err := lb.ReadProxyHeader(v.Conn)
		if err != nil {
			v.failed = err
			v.Conn.Close()
			return
		}
		from, err := netip.ParseAddrPort(v.Conn.RemoteAddr().String())
		if client.IsValid() {
			v.proxied = net.TCPAddrFromAddrPort(client)
			from = client
		}
		if err == nil {
			v.enter(v.door.gate, from.Addr())
		}
	})
}

// Read implements net.Conn.
func (v *visitor) Read(p []byte) (int, error) {
	v.readHeader()
	if v.failed != nil {
		return 0, v.failed
	}
	return v.Conn.Read(p)
}

// RemoteAddr implements net.Conn.
func (v *visitor) RemoteAddr() net.Addr {
	v.readHeader()
	if v.proxied != nil {
		return v.proxied
	}
	return v.Conn.RemoteAddr()
}

// heard notes that the client has said something.
func (v *visitor) heard() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ticket.Heard()
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
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ticket.Leave()
	if v.client != "" && !v.closed {
		v.door.clients.leave(v.client)
	}
	v.closed = true
	return v.Conn.Close()
}

// belongsTo counts it among a client's connections, and returns false when there is no room for it.
func (v *visitor) belongsTo(client string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.client == "" && !v.closed && v.door.clients.enter(client) {
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
