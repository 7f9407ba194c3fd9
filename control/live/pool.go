package live

import (
	"time"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/lb/health"
	"github.com/xdire/xlb/store"
)

var routeStates = map[string]lb.State{"": lb.Ready, store.RouteDrain: lb.Drain, store.RouteMaintenance: lb.Maintenance}

// poolOf is a frontend as the balancer knows it: every address of a name is a backend of its own.
func (l *Live) poolOf(f *frontend) lb.PoolConfig {
	o := f.record.Options
	cfg := lb.PoolConfig{
		Strategy: lb.Strategy(f.record.Strategy), Budget: seconds(f.record.RouteTimeoutSec),
		PanicPercent: orOff(o.PanicPercent), SlowStart: seconds(o.SlowStartSec),
		QueueLimit: orOff(o.QueueLimit), DrainTimeout: max(seconds(o.DrainTimeoutSec), time.Nanosecond),
		Checker: l.checker, Group: f.record.ClientID, CloseOnDown: o.CloseOnDown, Changed: l.healthChanged(f.record), Checked: l.checked(f),
		Eject: lb.EjectConfig{Failures: o.EjectAfter, EarlyClose: o.EjectOn == store.EjectEarlyClose},
	}
	for _, r := range f.record.Routes {
		name := nameOf(r.Dest)
		check := checkOf(o, name, f.tls)
		if !f.record.Active {
			check = health.Check{}
		}
		for _, addr := range f.addresses[r.Dest] {
			cfg.Backends = append(cfg.Backends, lb.Backend{
				Addr: addr, Capacity: r.Capacity, Weight: r.Weight, Backup: r.Backup, State: routeStates[r.State],
				TLS: f.tls.backend(name), ProxyProtocol: o.Proxy, Check: check,
			})
		}
	}
	return cfg
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// orOff turns 0 = off into the library's negative = off.
func orOff(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
