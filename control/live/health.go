package live

import (
	"context"
	"log/slog"

	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/lb/health"
	"github.com/xdire/xlb/store"
)

// healthChanged returns what hears of the health of a frontend's routes: the log, and the pages that show it.
func (l *Live) healthChanged(f store.Frontend) func(string, lb.Health) {
	return func(addr string, h lb.Health) {
		up := h.State != lb.Down && h.State != lb.Ejected
		detail := h.Detail
		if h.State == lb.Ejected {
			detail = "ejected " + detail
		}
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "route changed", slog.String("client", f.ClientID), slog.String("frontend", f.UUID),
			slog.String("route", addr), slog.Bool("up", up), slog.String("reason", string(h.Reason)), slog.String("detail", detail))
		l.bus.mark(f.ClientID)
	}
}

// checked returns what hears of every check of a frontend's routes.
func (l *Live) checked(f *frontend) func(string, health.Result) {
	timeout := seconds(f.record.Options.Check.TimeoutSec)
	return func(addr string, r health.Result) {
		f.seen.checks.note(addr, timeout, r)
		l.bus.mark(f.record.ClientID)
	}
}

// checkOf is the check that a frontend's options ask for, of routes with that name, if they have one.
func checkOf(o *store.Options, name string, over *routeTLS) health.Check {
	k := o.Check
	check := health.Check{
		Kind: checkKinds[k.Kind], Interval: seconds(k.IntervalSec), Timeout: seconds(k.TimeoutSec), Rise: k.Rise, Fall: k.Fall,
		Send: []byte(k.Send), Expect: []byte(k.Expect), Method: k.Method, Path: k.Path, Host: k.Host,
		Statuses: []health.StatusRange{{From: k.StatusLow, To: k.StatusHigh}},
		TLS:      over.checks(name),
	}
	if name != "" && check.Host == "" {
		check.Host = name
	}
	return check
}

var checkKinds = map[string]health.Kind{store.CheckTCP: health.TCP, store.CheckTLS: health.TLS, store.CheckSend: health.Send, store.CheckHTTP: health.HTTP}
