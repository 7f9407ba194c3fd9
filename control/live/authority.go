package live

import (
	"maps"

	"github.com/xdire/xlb/store"
)

// setAuthorities goes by what the store says of the authorities from now on. Connections with certificates of one that is not
// trusted any more are closed.
func (l *Live) setAuthorities(all store.Authorities) {
	set := l.cfg.Authorities(all)
	if set == nil {
		return // what was before goes on
	}
	known := map[string]bool{}
	for _, m := range set {
		known[m.ID()] = m.State.Trusted()
	}
	if before := l.authorities.Load(); before != nil && maps.Equal(*before, known) {
		return
	}
	l.authorities.Store(&known)
	for key, cert := range l.certificates.all() {
		if cert.Retired != known[key.Authority] {
			continue
		}
		changed := *cert // what others have got already is not changed
		changed.Retired = !cert.Retired
		l.setCertificate(key, &changed)
		l.bus.mark(cert.ClientID)
		if changed.Retired {
			l.drop(serialKey(key.Authority, key.Serial), ReasonRetired)
		}
	}
}

// trusts tells whether certificates of an authority are accepted.
func (l *Live) trusts(authority string) bool { return (*l.authorities.Load())[authority] }

// bySerial looks a certificate up of which only the serial is known: it is random, so no two authorities have it.
func (l *Live) bySerial(serial string) (*Certificate, bool) {
	for authority := range *l.authorities.Load() {
		if cert, known := l.certificates.get(CertificateKey{authority, serial}); known {
			return cert, true
		}
	}
	return nil, false
}
