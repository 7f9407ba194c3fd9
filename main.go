// Command xlb is a self-service TCP load balancer whose address is an identity: the client certificate
// that a program presents selects the pool of routes its stream is balanced over.
//
// This file parses the configuration, builds the parts, runs them and stops them. Rules live in control.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/xdire/xlb/control"
	"github.com/xdire/xlb/internal/files"
	"github.com/xdire/xlb/lb"
	"github.com/xdire/xlb/pki"
	"github.com/xdire/xlb/store"
	"github.com/xdire/xlb/web"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

const usage = `usage: xlb [serve | tls | version] [flags]

  serve    run the control plane and the data plane (the default)
  tls      make the authority's certificate and key in the data directory
  version  print the version

Each flag can be set by an environment variable: -http-addr by XLB_HTTP_ADDR, and so on.

`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "xlb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	command := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command = args[0]
		args = args[1:]
	}
	cfg, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	syscall.Umask(0o077) // what we write is ours alone
	switch command {
	case "serve":
		signal.Ignore(syscall.SIGHUP) // a terminal that closes, or a reload: there is nothing to reload
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // the second signal ends the process at once
		return serve(ctx, cfg)
	case "tls":
		return makeAuthority(cfg.dataDir)
	case "version":
		fmt.Println("xlb", version, runtime.Version())
		return nil
	}
	return fmt.Errorf("unknown command %q; use serve, tls or version", command)
}

// config is what flags and the environment say.
type config struct {
	files                                      files.Budget // zero: the defaults
	httpAddr, lbAddr, opsAddr, dataDir, signup string
	hostnames                                  []string
	signupRate, authRate                       int
	allowDest, denyDest                        []netip.Prefix
	drainTimeout                               time.Duration
	logLevel                                   slog.Level
	logFormat                                  string
	acceptLoss                                 bool
}

func parse(args []string) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("xlb", flag.ContinueOnError)
	flags.StringVar(&cfg.httpAddr, "http-addr", "localhost:8083", "where the control plane listens, https")
	flags.StringVar(&cfg.lbAddr, "lb-addr", ":9090", "where the data plane listens, TLS 1.3")
	flags.StringVar(&cfg.opsAddr, "ops-addr", "", "where health and profiles are served, plain HTTP; keep it private (off when empty)")
	flags.StringVar(&cfg.dataDir, "data-dir", "./data", "where the authority and the store are kept")
	flags.StringVar(&cfg.signup, "signup", "", "who may sign up: open, invite or closed (default: open while the control plane listens on loopback only, closed otherwise)")
	flags.Func("hostname", "a name or address that clients connect to; repeat it for several", addTo(&cfg.hostnames))
	flags.IntVar(&cfg.signupRate, "signup-rate", 30, "sign-ups per minute and source, 0 = unbounded")
	flags.IntVar(&cfg.authRate, "auth-rate", 60, "failed log-ins per minute and source, 0 = unbounded")
	flags.Func("allow-dest", "networks (CIDR, comma separated) that routes may reach; when set, nothing else", addPrefixes(&cfg.allowDest))
	flags.Func("deny-dest", "networks (CIDR, comma separated) that routes never reach", addPrefixes(&cfg.denyDest))
	flags.DurationVar(&cfg.drainTimeout, "drain-timeout", 30*time.Second, "how long live connections may finish when the server stops")
	flags.TextVar(&cfg.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flags.StringVar(&cfg.logFormat, "log-format", "text", "text or json")
	flags.BoolVar(&cfg.acceptLoss, "accept-loss", false, "start once on a store that has lost changes that were answered; the log says since when")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if err := fromEnvironment(flags); err != nil {
		return cfg, err
	}
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	return cfg, cfg.check(flags.Args())
}

func (c config) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case c.signup != "" && c.signup != "open" && c.signup != "invite" && c.signup != "closed":
		return fmt.Errorf("-signup: use open, invite or closed")
	case c.logFormat != "text" && c.logFormat != "json":
		return fmt.Errorf("-log-format: use text or json")
	case c.signupRate < 0 || c.authRate < 0 || c.drainTimeout < 0:
		return fmt.Errorf("-signup-rate, -auth-rate and -drain-timeout: use 0 or more")
	}
	return nil
}

// fromEnvironment sets flags from XLB_ variables; the command line comes after it and wins.
func fromEnvironment(flags *flag.FlagSet) error {
	var problems []error
	flags.VisitAll(func(f *flag.Flag) {
		name := "XLB_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := os.Getenv(name); value != "" {
			if err := flags.Set(f.Name, value); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return errors.Join(problems...)
}

func addTo(list *[]string) func(string) error {
	return func(text string) error {
		for _, one := range strings.Split(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				*list = append(*list, one)
			}
		}
		return nil
	}
}

func addPrefixes(list *[]netip.Prefix) func(string) error {
	return func(text string) error {
		for _, one := range strings.Split(text, ",") {
			prefix, err := netip.ParsePrefix(strings.TrimSpace(one))
			if err != nil {
				return fmt.Errorf("%q is no network; write 10.0.0.0/8", one)
			}
			*list = append(*list, prefix.Masked())
		}
		return nil
	}
}

// serve builds everything and runs it until ctx ends, then drains.
func serve(ctx context.Context, cfg config) error {
	log := newLog(cfg)
	listeners, err := listen(cfg)
	if err != nil {
		return err
	}
	defer listeners.close()
	if limit, err := lb.RaiseFileLimit(); err == nil {
		cfg.files = files.Share(limit)
		log.Info("file limit raised", "files", limit, "connections", cfg.files.Connections)
	}
	if err := os.MkdirAll(cfg.dataDir, 0o700); err != nil {
		return err
	}
	if err := checkData(cfg.dataDir); err != nil {
		return err
	}
	engine, err := store.OpenBadger(filepath.Join(cfg.dataDir, "store"), store.BadgerConfig{
		AcceptLoss: cfg.acceptLoss,
		Log: func(level store.LogLevel, message string) {
			log.Log(context.Background(), map[store.LogLevel]slog.Level{store.LogWarning: slog.LevelWarn, store.LogError: slog.LevelError}[level], "store", "message", message)
		},
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	c, err := newControl(ctx, cfg, log, engine, listeners)
	if err != nil {
		return err
	}
	server, err := web.New(web.Config{Control: c, Log: log, DrainTimeout: cfg.drainTimeout, Version: version, Strangers: cfg.files.Strangers, Clients: cfg.files.Clients})
	if err != nil {
		return err
	}
	announce(cfg, c, listeners)
	return runAll(ctx, cfg, log, engine, c, server, listeners)
}

// runAll runs every task until ctx ends or one fails. The store's own tasks outlive the servers, so that
// what is in flight can still be saved.
func runAll(ctx context.Context, cfg config, log *slog.Logger, engine *store.Badger, c *control.Control, server *web.Server, ls listeners) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	tasks, background := errgroup.WithContext(background)
	tasks.Go(func() error { return engine.Run(background) })
	for _, t := range c.Tasks() {
		tasks.Go(func() error {
			if err := t.Run(background); err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			return nil
		})
	}
	if ls.ops != nil { // answers until the last connection has drained, and says so
		tasks.Go(func() error { return server.ServeOps(background, ls.ops) })
	}
	c.Settle(ctx)
	servers, serving := errgroup.WithContext(ctx)
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
		log.Info("draining", "timeout", cfg.drainTimeout)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.drainTimeout)
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

func newControl(ctx context.Context, cfg config, log *slog.Logger, engine *store.Badger, ls listeners) (*control.Control, error) {
	records, err := store.New(engine)
	if err != nil {
		return nil, err
	}
	if err := checkRecords(ctx, cfg.dataDir, records); err != nil {
		return nil, err
	}
	authority, err := loadAuthority(cfg.dataDir, log)
	if err != nil {
		return nil, err
	}
	masterKey, err := secretFile(masterKeyFile(cfg.dataDir), 32)
	if err != nil {
		return nil, err
	}
	local := isLoopback(ls.http.Addr())
	setupPath := filepath.Join(cfg.dataDir, "setup-code")
	setupCode, err := setupCode(ctx, records, setupPath, local)
	if err != nil {
		return nil, err
	}
	return control.New(ctx, control.Config{
		Store: records, Authority: authority, MasterKey: masterKey, Log: log,
		Local: local, Signup: cfg.signup, SetupCode: setupCode,
		SetupDone: func() { os.Remove(setupPath) },
		Hostnames: hostnames(cfg), DataPort: port(ls.lb.Addr()), Own: ls.addresses,
		AllowDest: cfg.allowDest, DenyDest: cfg.denyDest,
		SignupRate: rateOf(cfg.signupRate), AuthRate: rateOf(cfg.authRate), Busy: busy,
		MaxHandshakes: cfg.files.Handshakes, MaxConnections: cfg.files.Connections,
	})
}

// rateOf turns the flag's 0 = unbounded into the library's negative = unbounded.
func rateOf(perMinute int) int {
	if perMinute == 0 {
		return -1
	}
	return perMinute
}

// hostnames are the names of -hostname, then this machine's own.
func hostnames(cfg config) []string {
	names := append([]string(nil), cfg.hostnames...)
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
	code, err := secretFile(path, 16)
	return hex.EncodeToString(code), err
}

// listeners are the sockets that XLB accepts on.
type listeners struct{ http, lb, ops net.Listener }

func listen(cfg config) (ls listeners, err error) {
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
	ls.http = open("-http-addr", cfg.httpAddr)
	ls.lb = open("-lb-addr", cfg.lbAddr)
	ls.ops = open("-ops-addr", cfg.opsAddr)
	if err != nil {
		ls.close()
	}
	return ls, err
}

func (ls listeners) all() []net.Listener {
	var all []net.Listener
	for _, l := range []net.Listener{ls.http, ls.lb, ls.ops} {
		if l != nil {
			all = append(all, l)
		}
	}
	return all
}

func (ls listeners) close() {
	for _, l := range ls.all() {
		l.Close()
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
func announce(cfg config, c *control.Control, ls listeners) {
	fmt.Printf("XLB %s\n", version)
	host, _, _ := net.SplitHostPort(c.Endpoint())
	fmt.Printf("  Dashboard and API       https://%s\n", net.JoinHostPort(host, strconv.Itoa(port(ls.http.Addr()))))
	fmt.Printf("  Programs connect to     %s\n", c.Endpoint())
	fmt.Printf("  Authority to trust      %s\n", filepath.Join(cfg.dataDir, "cacert.pem"))
	if c.NeedsSetup() {
		fmt.Printf("  Set-up code for the first client is in %s\n", filepath.Join(cfg.dataDir, "setup-code"))
	}
}

func newLog(cfg config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.logLevel}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
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

func authorityFiles(dir string) (cert, key string) {
	return filepath.Join(dir, "cacert.pem"), filepath.Join(dir, "cakey.pem")
}

func masterKeyFile(dir string) string { return filepath.Join(dir, "master.key") }

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// The parts of a data directory belong together. One that is missing was lost, or the directory is the wrong
// one: to make it anew would end every certificate, or begin with an empty store.
const restoreWhole = "restore the whole data directory from a backup, or begin with an empty one"

// checkData looks for a store that was lost. At the first start it comes before the master key.
func checkData(dir string) error {
	if missing(filepath.Join(dir, "store", "MANIFEST")) && !missing(masterKeyFile(dir)) {
		return fmt.Errorf("%s is missing beside %s; %s", filepath.Join(dir, "store"), masterKeyFile(dir), restoreWhole)
	}
	return nil
}

// checkRecords looks for what was lost beside a store that is in use. A first start that was cut short has
// left an empty one.
func checkRecords(ctx context.Context, dir string, records *store.Store) error {
	used, err := records.Used(ctx)
	if err != nil || !used {
		return err
	}
	cert, key := authorityFiles(dir)
	if missing(cert) && missing(key) {
		return fmt.Errorf("%s and %s are missing, and the store has clients: a new authority would end every certificate; %s", cert, key, restoreWhole)
	}
	if missing(masterKeyFile(dir)) {
		return fmt.Errorf("%s is missing, and the store has secrets that are sealed with it; %s", masterKeyFile(dir), restoreWhole)
	}
	return nil
}

// loadAuthority reads the authority from the data directory, and makes it at the first start.
func loadAuthority(dir string, log *slog.Logger) (*pki.Authority, error) {
	certPath, keyPath := authorityFiles(dir)
	cert, certErr := os.ReadFile(certPath)
	key, keyErr := os.ReadFile(keyPath)
	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		log.Info("making the authority", "certificate", certPath)
		if err := makeAuthority(dir); err != nil {
			return nil, err
		}
		return loadAuthority(dir, log)
	}
	if errors.Is(certErr, fs.ErrNotExist) && keyErr == nil {
		return nil, fmt.Errorf("%s is missing beside %s; restore it from the backup, or remove the key when nothing was ever issued with it", certPath, keyPath)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("the authority is incomplete; restore both files from the backup: %w", err)
	}
	authority, err := pki.ParseAuthority(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w; restore both files from the backup", certPath, keyPath, err)
	}
	return authority, nil
}

// makeAuthority writes a new authority, never over an existing one: that would end every identity.
func makeAuthority(dir string) error {
	certPath, keyPath := authorityFiles(dir)
	for _, path := range []string{certPath, keyPath} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s exists already; a new authority would end every certificate it issued", path)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		return err
	}
	key, err := authority.KeyPEM()
	if err != nil {
		return err
	}
	// The certificate comes last: a key without one is what a crash in between leaves.
	if err := writeNew(keyPath, key, 0o600); err != nil {
		return err
	}
	return writeNew(certPath, authority.CertificatePEM(), 0o644)
}

// writeNew writes a file that must not exist: whole or not at all, and on the disk when it returns.
func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // unlike a rename, it never replaces
}

// secretFile reads n random bytes, in hex, from a file of mode 0600, and makes it when it is missing.
func secretFile(path string, n int) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, n)
		rand.Read(secret)
		return secret, writeNew(path, []byte(hex.EncodeToString(secret)+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != n {
		return nil, fmt.Errorf("%s is damaged: it must hold %d hex digits; restore it from the backup", path, 2*n)
	}
	return secret, nil
}
