// Command xlb is a self-service TCP load balancer whose address is an identity: the client certificate
// that a program presents selects the pool of routes its stream is balanced over.
//
// This file parses the configuration, builds the parts, runs them and stops them. Rules live in control.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/acmecert"
	"github.com/xdire/xlb/internal/certfile"
	"github.com/xdire/xlb/internal/command"
	"github.com/xdire/xlb/internal/config"
	"github.com/xdire/xlb/internal/datadir"
	"github.com/xdire/xlb/internal/files"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/store"
	"github.com/xdire/xlb/web"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	err := run(os.Args[1:])
	var exit command.ExitError
	if errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "xlb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name = args[0]
		args = args[1:]
	}
	switch name { // those that talk to a server have flags of their own
	case "admin":
		return command.Admin(context.Background(), args, os.Stdout)
	case "export":
		return command.Export(context.Background(), args, os.Stdout)
	case "backup":
		return command.Backup(context.Background(), args, os.Stdout, terminal(os.Stderr))
	case "restore":
		syscall.Umask(0o077)
		return command.Restore(context.Background(), args, os.Stdin, os.Stdout, terminal(os.Stderr))
	case "trust", "untrust":
		return command.Trust(args, name == "untrust", os.Stdout)
	case "apply":
		return command.Apply(context.Background(), args, os.Stdin, os.Stdout)
	}
	cfg, err := config.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if name == "check" {
		return command.Check(cfg, err, time.Now(), os.Stdout)
	}
	if err != nil {
		return err
	}
	syscall.Umask(0o077) // what we write is ours alone
	switch name {
	case "serve":
		signal.Ignore(syscall.SIGHUP) // a terminal that closes, or a reload: there is nothing to reload
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // the second signal ends the process at once
		return serve(ctx, cfg)
	case "tls":
		return datadir.MakeAuthority(cfg.DataDir)
	case "version":
		fmt.Println("xlb", version, runtime.Version())
		return nil
	}
	return fmt.Errorf("unknown command %q; use serve, tls, trust, untrust, check, admin, backup, restore, export, apply or version", name)
}

// terminal is a file when a person looks at it: nobody wants a bar in a log.
func terminal(f *os.File) io.Writer {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return f
}

// serve builds everything and runs it until ctx ends, then drains.
func serve(ctx context.Context, cfg config.Config) error {
	log := cfg.Log(os.Stderr)
	listeners, err := listen(cfg)
	if err != nil {
		return err
	}
	defer listeners.close()
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
		Log: func(level store.LogLevel, message string) {
			log.Log(context.Background(), map[store.LogLevel]slog.Level{store.LogWarning: slog.LevelWarn, store.LogError: slog.LevelError}[level], "store", "message", message)
		},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	c, err := newControl(ctx, cfg, budget, log, engine, listeners)
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
	server, err := web.New(web.Config{Control: c, Log: log, PublicCertificate: forName, ACME: acmeHandler, DrainTimeout: cfg.DrainTimeout, Version: version, MetricsDetail: web.MetricsDetail(cfg.MetricsDetail), ProxyFrom: cfg.ProxyFrom, OpsHosts: cfg.OpsHosts, Pprof: cfg.OpsPprof,
		Strangers: budget.Strangers, Clients: budget.Clients})
	if err != nil {
		return err
	}
	// Without it the server serves, and is administered through the API.
	if listeners.admin, err = datadir.ListenSocket(cfg.DataDir); err != nil {
		log.Warn("xlb admin cannot reach this server", "error", err)
	}
	announce(cfg, c, listeners)
	return runAll(ctx, cfg, log, engine.Run, c, server, listeners, public)
}

// publicCertificate is one that browsers trust.
type publicCertificate interface {
	For(*tls.ClientHelloInfo) *tls.Certificate
	Run(context.Context) error
}

// openPublic opens the certificate of -http-cert, or gets one with ACME; nil for neither. handler answers on -acme-http-addr.
func openPublic(cfg config.Config, keeper acmecert.Keeper, log *slog.Logger) (public publicCertificate, handler http.Handler, err error) {
	say := func(name string, leaf *x509.Certificate, err error) {
		if err != nil {
			log.Warn("the public certificate stays as it is", "name", name, "error", err)
			return
		}
		log.Info("public certificate", "names", strings.Join(leaf.DNSNames, ","), "until", leaf.NotAfter.UTC())
	}
	if cfg.ACME != "" {
		manager := acmecert.New(acmecert.Config{Contact: cfg.ACME, Names: cfg.ACMEHosts, Directory: cfg.ACMEDirectory, Keeper: keeper, Changed: say})
		if cfg.ACMEHTTPAddr != "" {
			handler = manager.Handler()
		}
		return manager, handler, nil
	}
	if cfg.HTTPCert == "" {
		return nil, nil, nil
	}
	pair, err := certfile.Open(certfile.Config{Cert: cfg.HTTPCert, Key: cfg.HTTPKey, Changed: func(leaf *x509.Certificate, err error) { say("", leaf, err) }})
	if err != nil {
		return nil, nil, fmt.Errorf("-http-cert: %w", err)
	}
	say("", pair.Leaf(), nil)
	return pair, nil, nil
}

// runAll runs every task until ctx ends or one fails. The store's own tasks outlive the servers, so that
// what is in flight can still be saved.
func runAll(ctx context.Context, cfg config.Config, log *slog.Logger, upkeep func(context.Context) error, c *control.Control, server *web.Server, ls listeners, public publicCertificate) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	tasks, background := errgroup.WithContext(background)
	tasks.Go(func() error { return upkeep(background) })
	for _, t := range c.Tasks() {
		tasks.Go(func() error {
			if err := t.Run(background); err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			return nil
		})
	}
	if public != nil {
		tasks.Go(func() error { return public.Run(background) })
	}
	if ls.ops != nil { // answers until the last connection has drained, and says so
		tasks.Go(func() error { return server.ServeOps(background, ls.ops) })
	}
	if ls.acme != nil {
		tasks.Go(func() error { return server.ServeACME(background, ls.acme) })
	}
	if ls.admin != nil {
		tasks.Go(func() error { return server.ServeOperator(background, ls.admin) })
	}
	c.Settle(ctx)
	accepting, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	servers, serving := errgroup.WithContext(accepting)
	servers.Go(func() error {
		defer leave()
		select {
		case <-ctx.Done():
		case <-serving.Done(): // one has failed
			return nil
		case <-background.Done():
			return nil
		}
		server.Drain()
		select { // whoever sends connections here sees it, and sends the next ones elsewhere
		case <-time.After(cfg.DrainDelay):
		case <-serving.Done():
		case <-background.Done():
		}
		return nil
	})
	servers.Go(func() error { return server.Serve(serving, ls.http) })
	servers.Go(func() error {
		if err := c.Balancer().Serve(ls.lb); !errors.Is(err, lb.ErrServerClosed) {
			return err
		}
		return nil
	})
	servers.Go(func() error {
		select {
		case <-serving.Done():
		case <-background.Done(): // a task failed: serving on would serve stale rules
		}
		log.Info("draining", "timeout", cfg.DrainTimeout)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.DrainTimeout)
		defer cancel()
		if err := c.Balancer().Shutdown(drain); err != nil {
			log.Warn("connections were cut", "error", err)
		}
		return context.Cause(background)
	})
	err := servers.Wait()
	stopBackground()
	if taskErr := tasks.Wait(); taskErr != nil {
		return taskErr
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func newControl(ctx context.Context, cfg config.Config, budget files.Budget, log *slog.Logger, engine store.Engine, ls listeners) (*control.Control, error) {
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
	local := isLoopback(ls.http.Addr()) && len(cfg.ProxyFrom) == 0
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
		Hostnames: hostnames(cfg), DataPort: port(ls.lb.Addr()), Own: ls.addresses,
		DataAddr: func() netip.AddrPort { return ls.lb.Addr().(*net.TCPAddr).AddrPort() },
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

// announce says, for people, where everything is.
func announce(cfg config.Config, c *control.Control, ls listeners) {
	trust, _ := datadir.Authority(cfg.DataDir)
	fmt.Printf("XLB %s\n", version)
	host, _, _ := net.SplitHostPort(c.Endpoint())
	fmt.Printf("  Dashboard and API       https://%s\n", net.JoinHostPort(host, strconv.Itoa(port(ls.http.Addr()))))
	fmt.Printf("  Programs connect to     %s\n", c.Endpoint())
	fmt.Printf("  Authority to trust      %s\n", trust)
	if c.Local() {
		fmt.Printf("  Browsers warn until     xlb trust -data-dir %s\n", cfg.DataDir)
	}
	if c.NeedsSetup() {
		fmt.Printf("  Set-up code for the first client is in %s\n", datadir.SetupCode(cfg.DataDir))
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
