package live

import (
	"cmp"
	"slices"
	"sync"
)

// Identity is a certificate with the connections that it has open.
type Identity struct {
	Serial, Name string // of the certificate; the name may be empty
	Active       int
}

// identities counts the open connections of a frontend by their certificates: to count them on every look would be a walk
// over all. The zero value is empty.
type identities struct {
	mu   sync.Mutex
	open map[CertificateKey]int
}

func (i *identities) add(key CertificateKey, n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil {
		i.open = map[CertificateKey]int{}
	}
	i.open[key] += n
	if i.open[key] <= 0 {
		delete(i.open, key)
	}
}

// Identities are the certificates that have connections of a frontend open, the one with most of them first.
func (l *Live) Identities(id string) []Identity {
	f, known := l.frontends.get(id)
	if !known {
		return nil
	}
	all := f.seen.identities.list()
	for i := range all {
		if cert, known := l.certificates.get(CertificateKey{l.cfg.Authority, all[i].Serial}); known {
			all[i].Name = cert.Name
		}
	}
	return all
}

func (i *identities) list() []Identity {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make([]Identity, 0, len(i.open))
	for key, n := range i.open {
		all = append(all, Identity{Serial: key.Serial, Active: n})
	}
	slices.SortFunc(all, func(a, b Identity) int {
		return cmp.Or(cmp.Compare(b.Active, a.Active), cmp.Compare(a.Serial, b.Serial))
	})
	return all
}
