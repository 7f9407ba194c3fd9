package serve

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/xdire/xlb/internal/config"
)

// listeners are the sockets that XLB accepts on.
type listeners struct{ http, lb, ops, acme, admin net.Listener }

func listen(cfg config.Config) (ls listeners, err error) {
	open := func(what, address string) net.Listener {
		if err != nil || address == "" {
			return nil
		}
		l, failed := net.Listen("tcp", address)
		if failed != nil {
			err = fmt.Errorf("%s: %w", what, failed)
			return nil
		}
		return l
	}
	ls.http = open("-http-addr", cfg.HTTPAddr)
	ls.lb = open("-lb-addr", cfg.LBAddr)
	ls.ops = open("-ops-addr", cfg.OpsAddr)
	ls.acme = open("-acme-http-addr", cfg.ACMEHTTPAddr)
	if err != nil {
		ls.close()
	}
	return ls, err
}

func (ls listeners) all() []net.Listener {
	var all []net.Listener
	for _, l := range []net.Listener{ls.http, ls.lb, ls.ops, ls.acme} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

func (ls *listeners) close() {
	for _, l := range ls.all() {
		l.Close()
	}
	if ls.admin != nil {
		ls.admin.Close()
	}
}

func (ls listeners) addresses() []netip.AddrPort {
	var all []netip.AddrPort
	for _, l := range ls.all() {
		all = append(all, l.Addr().(*net.TCPAddr).AddrPort())
	}
	return all
}

func isLoopback(a net.Addr) bool { return a.(*net.TCPAddr).IP.IsLoopback() }
func port(a net.Addr) int        { return a.(*net.TCPAddr).Port }
