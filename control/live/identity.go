package live

import (
	"cmp"
	"slices"
	"sync"
	"time"
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
	used map[CertificateKey]time.Time // the last beginning or end of a connection
}

// maxUsed is of how many certificates of a frontend it is known when they were used. One that is forgotten is known again
// at its next connection.
const maxUsed = 1000

func (i *identities) add(key CertificateKey, n int, at time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil {
		i.open = map[CertificateKey]int{}
		i.used = map[CertificateKey]time.Time{}
	}
	i.open[key] += n
	if i.open[key] <= 0 {
		delete(i.open, key)
	}
	if len(i.used) >= maxUsed && i.used[key].IsZero() {
		clear(i.used)
	}
	i.used[key] = at
}

// Use is what is known of the use of a certificate through this process.
type Use struct {
	Open int       // connections
	At   time.Time // the last beginning or end of a connection; zero: none since the process began
}

// Uses tells how certificates of a client are used, by serial.
func (l *Live) Uses(clientID string) map[string]Use {
	all := map[string]Use{}
	for _, f := range l.holdings.frontendsOf(clientID) {
		f.seen.identities.uses(all)
	}
	return all
}

func (i *identities) uses(all map[string]Use) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for key, at := range i.used {
		all[key.Serial] = Use{i.open[key], at}
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
		all[i].Name = l.certificateName(f.record.ClientID, all[i].Serial)
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
