package web

import (
	"crypto/tls"
	"testing"
)

// Browsers are told whose certificates would fit; other programs are not, or GnuTLS would show none.
func TestAuthoritiesAreNamedToBrowsers(t *testing.T) {
	f := start(t)
	cfg := f.server.tlsConfig()
	for name, tc := range map[string]struct {
		hello tls.ClientHelloInfo
		named bool
	}{
		"Chromium": {tls.ClientHelloInfo{CipherSuites: []uint16{0x5A5A, 0x1301, 0x1302, 0x1303}, Extensions: []uint16{0, 16, 43}}, true},
		"Firefox":  {tls.ClientHelloInfo{CipherSuites: []uint16{0x1301, 0x1303, 0x1302}, Extensions: []uint16{0, 16, 34, 43}}, true},
		"GnuTLS":   {tls.ClientHelloInfo{CipherSuites: []uint16{0x1302, 0x1303, 0x1301}, Extensions: []uint16{0, 16, 22, 23, 28, 43}}, false},
		"no suite": {tls.ClientHelloInfo{CipherSuites: []uint16{0x0A1A, 0x5A6A}}, false},
	} {
		one, err := cfg.GetConfigForClient(&tc.hello)
		if err != nil {
			t.Fatal(err)
		}
		if named := one != nil && one.ClientCAs.Equal(f.control.ClientAuthorities()); named != tc.named {
			t.Errorf("%s: named %v, want %v", name, named, tc.named)
		}
	}
}
