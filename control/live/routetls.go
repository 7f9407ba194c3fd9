package live

import (
	"crypto/tls"
	"crypto/x509"
	"reflect"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
)

// routeTLS is TLS to the routes of a frontend, for one state of its settings. Pools and checks tell settings apart
// by their pointers and keep sessions in them, so what is here is made once and used until the settings change.
// Nil is plain TCP.
type routeTLS struct {
	settings    store.RouteTLS
	certificate *tls.Certificate
	roots       *x509.CertPool
	byName      map[string]*namedTLS
}

// namedTLS is for the routes with one name, or for all that have none.
type namedTLS struct {
	backend *lb.BackendTLS
	check   *tls.Config
}

// routeTLSOf is TLS as the settings ask for it, which is old when that is the same.
func (l *Live) routeTLSOf(t store.RouteTLS, old *routeTLS) *routeTLS {
	if t.Mode == "" {
		return nil
	}
	if old != nil && reflect.DeepEqual(old.settings, t) {
		return old
	}
	over := &routeTLS{settings: t, certificate: l.cfg.RouteCertificate(t), byName: map[string]*namedTLS{}}
	if t.CA != "" {
		over.roots = x509.NewCertPool()
		over.roots.AppendCertsFromPEM([]byte(t.CA)) // checked when it was saved
	}
	return over
}

// named is for routes with a name, which they are asked for unless the settings have another.
func (over *routeTLS) named(name string) *namedTLS {
	if over.settings.ServerName != "" {
		name = over.settings.ServerName
	}
	if known := over.byName[name]; known != nil {
		return known
	}
	insecure := over.settings.Mode == store.RouteTLSInsecure
	n := &namedTLS{
		backend: &lb.BackendTLS{ServerName: name, RootCAs: over.roots, InsecureSkipVerify: insecure, Certificate: over.certificate},
		check:   &tls.Config{ServerName: name, RootCAs: over.roots, InsecureSkipVerify: insecure},
	}
	if over.certificate != nil {
		n.check.Certificates = []tls.Certificate{*over.certificate}
	}
	over.byName[name] = n
	return n
}

// backend is how connections to routes with the name are made, nil for plain TCP.
func (over *routeTLS) backend(name string) *lb.BackendTLS {
	if over == nil {
		return nil
	}
	return over.named(name).backend
}

// checks is the same for checks.
func (over *routeTLS) checks(name string) *tls.Config {
	if over == nil {
		return nil
	}
	return over.named(name).check
}
