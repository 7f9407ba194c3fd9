package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/source"
)

// strangersPerSource is how many connections one source may have on which nobody has logged in.
const strangersPerSource = 64

// door is a listener that bounds the connections on which nobody has logged in yet, in all and of each source: one more
// closes one of those. A connection that a client has used for a request of its own counts no longer.
type door struct {
	net.Listener
	gate *source.Gate[*visitor]
}

// visitor is a connection that came through the door.
type visitor struct {
	net.Conn
	ticket *source.Ticket[*visitor]
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &visitor{Conn: conn}
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

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.ticket.Leave()
	return v.Conn.Close()
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

// welcome lets connections off the count on which somebody is logged in.
func (s *Server) welcome(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, came := r.Context().Value(visitorKey{}).(*visitor); came && control.ActorFrom(r.Context()).ClientID != "" {
			v.ticket.Leave()
		}
		next.ServeHTTP(w, r)
	})
}
