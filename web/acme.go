package web

import (
	"context"
	"net"
	"time"

	"github.com/xdire/xlb/internal/source"
)

// acmeProtocol is what the hello of an authority offers that asks whose name it is (RFC 8737).
const acmeProtocol = "acme-tls/1"

const (
	// acmeConnections are those to the port that Config.ACME answers on, acmePerSource those of one source.
	acmeConnections = 64
	acmePerSource   = 8
	acmeTimeout     = 10 * time.Second // for a request and its answer
)

// ServeACME answers with Config.ACME on l, in plain HTTP, until ctx ends. Strangers ask there.
func (s *Server) ServeACME(ctx context.Context, l net.Listener) error {
	srv := s.newHTTP(s.cfg.ACME)
	srv.ReadTimeout = acmeTimeout
	srv.WriteTimeout = acmeTimeout
	srv.IdleTimeout = acmeTimeout
	srv.ConnContext = withVisitor
	guarded := &door{
		Listener: l, gate: source.NewGate[*visitor](acmeConnections, acmePerSource), clients: &clientConns{},
		proxyFrom: s.cfg.ProxyFrom, unknown: source.NewGate[*visitor](acmeConnections, 0),
	}
	return s.serveUntil(ctx, srv, func() error { return srv.Serve(guarded) })
}
