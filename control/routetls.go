package control

import (
	"crypto/tls"
)

// sealedRouteKey is the name under which keys for routes are sealed.
const sealedRouteKey = "route-key"

// checkRouteKey seals a new key, and checks that key and certificate belong together.
func (c *Control) checkRouteKey(spec *FrontendSpec) error {
	t := &spec.Options.RouteTLS
	if t.Certificate == "" {
		if spec.RouteKey != "" {
			return invalid("routeTls.certificate", "Send the certificate of the key too.")
		}
		t.Key = nil
		return nil
	}
	if spec.RouteKey != "" {
		t.Key = c.sealer.seal(sealedRouteKey, []byte(spec.RouteKey))
		spec.RouteKey = ""
	}
	if t.Key == nil {
		return invalid("routeTls.key", "Send the private key of the certificate too, PEM.")
	}
	if len(t.Certificate) > maxCA || len(t.Key) > maxCA || c.routeCertificate(*t) == nil {
		t.Key = nil
		return invalid("routeTls.key", "Certificate and key must be PEM, at most 64 KB, and belong together.")
	}
	return nil
}

// routeCertificate is what XLB shows to routes, nil for nothing.
func (c *Control) routeCertificate(t RouteTLS) *tls.Certificate {
	if t.Certificate == "" {
		return nil
	}
	key, err := c.sealer.open(sealedRouteKey, t.Key)
	if err != nil {
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(t.Certificate), key)
	if err != nil {
		return nil
	}
	return &pair
}
