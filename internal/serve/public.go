package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/xdire/xlb/internal/acmecert"
	"github.com/xdire/xlb/internal/certfile"
	"github.com/xdire/xlb/internal/config"
)

// publicCertificate is one that browsers trust.
type publicCertificate interface {
	For(*tls.ClientHelloInfo) *tls.Certificate
	Run(context.Context) error
}

// openPublic opens the certificate of -http-cert, or gets one with ACME; nil for neither. handler answers on -acme-http-addr.
func openPublic(cfg config.Config, keeper acmecert.Keeper, log *slog.Logger) (public publicCertificate, handler http.Handler, err error) {
	say := func(name string, leaf *x509.Certificate, err error) {
		if err != nil {
			log.Warn("the public certificate stays as it is", "name", name, "error", err)
			return
		}
		log.Info("public certificate", "names", strings.Join(leaf.DNSNames, ","), "until", leaf.NotAfter.UTC())
	}
	if cfg.ACME != "" {
		manager := acmecert.New(acmecert.Config{Contact: cfg.ACME, Names: cfg.ACMEHosts, Directory: cfg.ACMEDirectory, Keeper: keeper, Changed: say})
		if cfg.ACMEHTTPAddr != "" {
			handler = manager.Handler()
		}
		return manager, handler, nil
	}
	if cfg.HTTPCert == "" {
		return nil, nil, nil
	}
	pair, err := certfile.Open(certfile.Config{Cert: cfg.HTTPCert, Key: cfg.HTTPKey, Changed: func(leaf *x509.Certificate, err error) { say("", leaf, err) }})
	if err != nil {
		return nil, nil, fmt.Errorf("-http-cert: %w", err)
	}
	say("", pair.Leaf(), nil)
	return pair, nil, nil
}
