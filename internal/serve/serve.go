// Package serve builds a server, runs it and stops it. Rules live in control.
package serve

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/config"
	"github.com/xdire/xlb/internal/datadir"
	"github.com/xdire/xlb/internal/files"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
	"github.com/xdire/xlb/web"
)

// Run builds everything and runs it until ctx ends, then drains. version is of the build.
func Run(ctx context.Context, cfg config.Config, version string) error {
	log := cfg.Log(os.Stderr)
	sockets, err := newSockets(cfg)
	if err != nil {
		return err
	}
	defer sockets.close()
	var budget files.Budget // zero: the defaults
	if limit, err := lb.RaiseFileLimit(); err == nil {
		budget = files.Share(limit)
		log.Info("file limit raised", "files", limit, "connections", budget.Connections)
	}
	if err := datadir.Prepare(cfg.DataDir); err != nil {
		return err
	}
	engine, err := store.OpenBadger(datadir.Store(cfg.DataDir), store.BadgerConfig{
		AcceptLoss: cfg.AcceptLoss,
		Wait:       cfg.TakeOver,
		Stop:       ctx.Done(),
		Log: func(level store.LogLevel, message string) {
			log.Log(context.Background(), map[store.LogLevel]slog.Level{store.LogWarning: slog.LevelWarn, store.LogError: slog.LevelError}[level], "store", "message", message)
		},
	})
	if errors.Is(err, store.ErrLocked) && ctx.Err() != nil { // it was asked to end while it waited
		return nil
	}
	if err != nil {
		return err
	}
	defer engine.Close()
	c, err := newControl(ctx, cfg, budget, log, engine, sockets)
	if err != nil {
		return err
	}
	public, acmeHandler, err := openPublic(cfg, c, log)
	if err != nil {
		return err
	}
	var forName func(*tls.ClientHelloInfo) *tls.Certificate
	if public != nil {
		forName = public.For
	}
	s := &server{
		cfg: cfg, version: version, log: log, engine: engine, control: c, sockets: sockets, public: public,
		reloading: make(chan struct{}, 1), next: make(chan *child, 1), followed: make(chan struct{}), done: make(chan struct{}),
	}
	s.web, err = web.New(web.Config{Control: c, Log: log, Reload: s.reload, PublicCertificate: forName, ACME: acmeHandler, DrainTimeout: cfg.DrainTimeout, Version: version, MetricsDetail: web.MetricsDetail(cfg.MetricsDetail), ProxyFrom: cfg.ProxyFrom, OpsHosts: cfg.OpsHosts, Pprof: cfg.OpsPprof,
		Strangers: budget.Strangers, Clients: budget.Clients})
	if err != nil {
		return err
	}
	// Without it the server serves, and is administered through the API.
	if s.admin, err = datadir.ListenSocket(cfg.DataDir); err != nil {
		log.Warn("xlb admin cannot reach this server", "error", err)
	} else {
		defer s.admin.Close()
	}
	return s.run(ctx)
}

func newControl(ctx context.Context, cfg config.Config, budget files.Budget, log *slog.Logger, engine store.Engine, s *sockets) (*control.Control, error) {
	records, err := store.New(engine)
	if err != nil {
		return nil, err
	}
	if err := datadir.Check(ctx, cfg.DataDir, records); err != nil {
		return nil, err
	}
	outside, err := datadir.Outside(cfg.CADir, cfg.CAKeyPassFile)
	if err != nil {
		return nil, fmt.Errorf("-ca-dir: %w", err)
	}
	authority, err := datadir.FirstAuthority(ctx, cfg.DataDir, records, outside, log)
	if err != nil {
		return nil, err
	}
	masterKey, err := datadir.LoadMasterKey(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	// Who comes through a proxy is not on this machine, though the connection is.
	local := s.http.addr.IP.IsLoopback() && len(cfg.ProxyFrom) == 0
	setupPath := datadir.SetupCode(cfg.DataDir)
	setupCode, err := setupCode(ctx, records, setupPath, local)
	if err != nil {
		return nil, err
	}
	return control.New(ctx, control.Config{
		Store: records, Authority: authority, MasterKey: masterKey, Log: log,
		Outside: outside, KeepAuthorities: datadir.KeepAuthority(cfg.DataDir),
		Local: local, Signup: cfg.Signup, SetupCode: setupCode,
		SetupDone: func() { os.Remove(setupPath) },
		Hostnames: hostnames(cfg), DataPort: s.lb.addr.Port, Own: s.addresses,
		DataAddr: func() netip.AddrPort { return s.lb.addr.AddrPort() },
		Egress:   cfg.Egress, EgressFile: cfg.EgressFile, Limits: control.Limits{NewDestinationsPerHour: cfg.DestRate},
		SignupRate: cfg.SignupRate, SignupTotalRate: cfg.SignupTotalRate, MaxClients: cfg.MaxClients, AuditDays: cfg.AuditDays, AuthRate: cfg.AuthRate, Busy: busy,
		MaxHandshakes: budget.Handshakes, MaxConnections: budget.Connections, ProxyFrom: cfg.ProxyFrom,
	})
}

// hostnames are the names of -hostname, then this machine's own.
func hostnames(cfg config.Config) []string {
	names := append([]string(nil), cfg.Hostnames...)
	if len(names) == 0 {
		names = append(names, "localhost")
	}
	if own, err := os.Hostname(); err == nil && own != "" {
		names = append(names, strings.ToLower(own))
	}
	return names
}

// setupCode returns the one-time code that lets the first client in, made at the first start. There is
// none in local mode, where sign-up is open, nor once somebody is the administrator.
func setupCode(ctx context.Context, records *store.Store, path string, local bool) (string, error) {
	_, err := records.First(ctx)
	if err == nil || local {
		return "", nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	code, err := datadir.Secret(path, 16)
	return hex.EncodeToString(code), err
}

// announce says, for people, where everything is.
func (s *server) announce() {
	trust, _ := datadir.Authority(s.cfg.DataDir)
	fmt.Printf("XLB %s\n", s.version)
	host, _, _ := net.SplitHostPort(s.control.Endpoint())
	fmt.Printf("  Dashboard and API       https://%s\n", net.JoinHostPort(host, strconv.Itoa(s.sockets.http.addr.Port)))
	fmt.Printf("  Programs connect to     %s\n", s.control.Endpoint())
	fmt.Printf("  Authority to trust      %s\n", trust)
	if s.control.Local() {
		fmt.Printf("  Browsers warn until     xlb trust -data-dir %s\n", s.cfg.DataDir)
	}
	if s.control.NeedsSetup() {
		fmt.Printf("  Set-up code for the first client is in %s\n", datadir.SetupCode(s.cfg.DataDir))
	}
}

// busy tells whether more programs want to run than there are processors.
func busy() bool {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false
	}
	load, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	return err == nil && load > float64(runtime.NumCPU())
}
