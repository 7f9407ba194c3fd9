// Package web serves: the HTTPS server, the routes on one screen, middleware, identity, cookie sessions,
// static files, and the operations port. Rules live in control, encoding in handlers.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/handlers"
	"github.com/xdire/xlb/internal/source"
	"github.com/xdire/xlb/static"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// maxStreams is how many requests one HTTP/2 connection may have at once: each costs before it is looked at.
	maxStreams = 32
	// maxDrain bounds how long requests may finish: streams of the balancer may need longer, these do not.
	maxDrain = 10 * time.Second
)

// Config is what [New] needs.
type Config struct {
	// Control must be set.
	Control *control.Control
	// Log receives what an answer hides, and each request at debug level. Nil discards.
	Log *slog.Logger
	// DrainTimeout is how long requests in flight may finish when the server stops, at most 10 s.
	// Zero or negative: they are cut.
	DrainTimeout time.Duration
	// Strangers is how many connections there may be on which nobody has logged in, and up to 64 of each source;
	// one more closes one of those. Zero or negative: 512.
	Strangers int
	// Clients is how many connections there may be on which somebody has, and up to 64 of each client; one more is
	// served as a stranger's and closed after the answer. Zero or negative: 1,024.
	Clients int
	// ProxyFrom are the networks from which connections begin with a PROXY header, which tells who the client is. Nil is
	// nowhere.
	ProxyFrom []netip.Prefix
	// PublicCertificate is what the server presents to who asks for a name that it is good for; nil for other names, which
	// get the own authority's. Nil is none.
	PublicCertificate func(*tls.ClientHelloInfo) *tls.Certificate
	// ACME answers an authority's questions in plain HTTP. Nil: ServeACME is not called.
	ACME http.Handler
	// OpsHosts are the names, in lower case, by which the operations port may be asked, beside addresses and localhost.
	OpsHosts []string
	// Pprof serves profiles on the operations port. They show what is in memory, and cost a processor.
	Pprof bool
	// MetricsDetail is of what /metrics has series. Empty: MetricsOfFrontends.
	MetricsDetail MetricsDetail
	// Reload has another process take over, and returns when that waits for the store. Nil: that cannot be asked for.
	Reload func(context.Context) error
	// Version marks the build. Empty: dev.
	Version string
}

// Server is the control plane's HTTPS server and its operations port.
type Server struct {
	cfg     Config
	log     *slog.Logger
	control *control.Control
	pages   *handlers.Pages
	session *cookieSessions
	handler http.Handler

	inFlight inFlight
	imports  imports

	draining   atomic.Bool
	serving    atomic.Bool
	streams    context.Context // ends event streams, which would otherwise hold up the shutdown
	endStreams context.CancelFunc
}

// New builds the server. It serves nothing yet.
func New(cfg Config) (*Server, error) {
	if cfg.Control == nil {
		return nil, errors.New("web: Config.Control is missing")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.Strangers <= 0 {
		cfg.Strangers = 512
	}
	if cfg.Clients <= 0 {
		cfg.Clients = 1024
	}
	s := &Server{cfg: cfg, log: cfg.Log, control: cfg.Control, session: newCookieSessions(cfg.Control)}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	s.pages = handlers.NewPages(handlers.PagesConfig{
		Control: cfg.Control, Sessions: s.session, Asset: static.URL, Log: cfg.Log, Version: cfg.Version,
	})
	s.handler = s.routes()
	return s, nil
}

// Drain makes /readyz say that the server drains.
func (s *Server) Drain() { s.draining.Store(true) }

// Handler answers the API, the pages and static files.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers HTTPS on l until ctx ends, then lets requests in flight finish and returns nil. It works once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.serving.Swap(true) {
		return errors.New("web: Serve was called twice")
	}
	srv := s.newHTTP(s.handler)
	srv.TLSConfig = s.tlsConfig()
	srv.RegisterOnShutdown(s.endStreams)
	srv.ConnContext = withVisitor
	guarded := &door{
		Listener: l, gate: source.NewGate[*visitor](s.cfg.Strangers, strangersPerSource), clients: &clientConns{most: s.cfg.Clients},
		proxyFrom: s.cfg.ProxyFrom, unknown: source.NewGate[*visitor](s.cfg.Strangers, 0),
	}
	return s.serveUntil(ctx, srv, func() error { return srv.ServeTLS(guarded, "", "") })
}

// certificate is the public one for its names. All others, and addresses, get the own authority's, which programs with
// ca.pem know.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.cfg.PublicCertificate != nil {
		if cert := s.cfg.PublicCertificate(hello); cert != nil {
			return cert, nil
		}
	}
	return s.control.ServerCertificate(hello)
}

// tlsConfig asks for a certificate and takes none as an answer: one call renews it, and all others look at
// tokens and cookies. To browsers the authorities are named, so that they ask their users only where a
// certificate would fit. Others do not need that, and GnuTLS shows no RSA certificate where names come
// together with the algorithms of TLS 1.3 alone.
func (s *Server) tlsConfig() *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: s.certificate, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert,
	}
	if s.cfg.PublicCertificate != nil { // who asks for that checks whose name it is (RFC 8737), and sends nothing after it
		base.NextProtos = append(base.NextProtos, acmeProtocol)
	}
	cfg := base.Clone()
	cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if v := visitorOf(hello.Conn); v != nil {
			v.heard()
		}
		speaks := func(protocol string) bool { return slices.Contains(base.NextProtos, protocol) }
		browser := isBrowser(hello)
		old := len(hello.SupportedProtos) > 0 && !slices.ContainsFunc(hello.SupportedProtos, speaks)
		if !browser && !old {
			return nil, nil
		}
		one := base.Clone()
		if browser {
			one.ClientCAs = s.control.ClientAuthorities()
		}
		if old { // HTTP/1.0, or something unknown: that is no reason to refuse the connection
			one.NextProtos = []string{"http/1.0"}
			if !slices.Contains(hello.SupportedProtos, "http/1.0") {
				one.NextProtos = nil
			}
		}
		return one, nil
	}
	return cfg
}

// delegatedCredentials is an extension (RFC 9345) that Firefox offers, and hardly anything else.
const delegatedCredentials = 34

// isBrowser tells whether a browser says hello. Chromium and Safari offer a cipher suite that means nothing
// (RFC 8701: 0x0A0A, 0x1A1A, and so on), which libraries do not.
func isBrowser(hello *tls.ClientHelloInfo) bool {
	isGrease := func(suite uint16) bool { return suite&0x0F0F == 0x0A0A && suite>>8 == suite&0xFF }
	return slices.ContainsFunc(hello.CipherSuites, isGrease) || slices.Contains(hello.Extensions, delegatedCredentials)
}

// ServeOps answers health checks, scrapes and profiles on l, in plain HTTP, until ctx ends, which should be last. From Drain on
// it says that the server drains.
func (s *Server) ServeOps(ctx context.Context, l net.Listener) error {
	srv := s.newHTTP(s.OpsHandler())
	return s.serveUntil(ctx, srv, func() error { return srv.Serve(l) })
}

func (s *Server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}
