// Package config is what flags and the environment say.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/xdire/xlb/internal/egress"
)

// Usage is what `xlb -help` says before the flags.
const Usage = `usage: xlb [serve | tls | trust | admin | check | backup | restore | export | apply | version] [flags]

  serve       run the control plane and the data plane (the default)
  tls         make the authority's certificate and key in the data directory
  trust       let this machine's browsers trust the authority; untrust takes that back; xlb trust -h says how
  admin       administer the server that runs on this machine; xlb admin -h says how
  check       look whether serve could start with these flags, and say all that is wrong
  backup      write all that a server needs to one encrypted file; xlb backup -h says how
  restore     make a data directory of such a file
  export      write all frontends of a client to a file; xlb export -h says how
  apply       make the frontends of a client like a file; xlb apply -h says how
  version     print the version, the commit and what it was built with
  man         print this as a manual page
  completion  print what bash, zsh or fish complete: completion bash, and so on

Each flag can be set by an environment variable: -http-addr by XLB_HTTP_ADDR, and so on.

`

// Config is how the server is to run. Rates and bounds are negative where they are unbounded, as the packages that get
// them have it; on the command line that is 0.
type Config struct {
	HTTPAddr, LBAddr, OpsAddr string // host:port; OpsAddr is empty for none
	DataDir                   string
	CADir                     string // of an authority that the store does not keep; empty: none
	CAKeyPassFile             string // what opens its key; empty: the key is not encrypted, or a credential of systemd opens it
	HTTPCert, HTTPKey         string // files; empty: none
	ACME                      string // the contact's address; empty: no ACME
	ACMEHosts                 []string
	ACMEDirectory             string   // URL; empty: Let's Encrypt
	ACMEHTTPAddr              string   // host:port; empty: none
	Hostnames                 []string // the first one is shown
	Signup                    string   // open, invite, closed, or empty for what fits the addresses
	SignupRate                int      // per minute and source
	SignupTotalRate           int      // per minute, of all sources together
	MaxClients                int
	AuthRate                  int // failed log-ins per minute and source
	Egress                    egress.Lists
	EgressFile                string // empty: none
	ProxyFrom                 []netip.Prefix
	DestRate                  int           // new destinations of a client in an hour
	AuditDays                 int           // that audit records are kept
	DrainDelay                time.Duration // between /readyz and the end of accepting
	DrainTimeout              time.Duration
	LogLevel                  slog.Level
	LogFormat                 string // text or json
	OpsHosts                  []string
	OpsPprof                  bool
	MetricsDetail             string // frontend, client or total
	AcceptLoss                bool
	TakeOver                  time.Duration // how long to wait for the process that has the store; 0: not at all
}

// Flags are those of `xlb serve`, with their defaults.
func Flags() *flag.FlagSet {
	var cfg Config
	return cfg.flags()
}

// Parse reads the environment, then the arguments. It returns flag.ErrHelp when help was asked for, and has written it.
func Parse(args []string) (Config, error) {
	var cfg Config
	flags := cfg.flags()
	environment := fromEnvironment(flags)
	if err := flags.Parse(args); err != nil {
		return cfg, errors.Join(environment, err)
	}
	if err := errors.Join(environment, cfg.check(flags.Args())); err != nil {
		return cfg, err
	}
	for _, bound := range []*int{&cfg.SignupRate, &cfg.SignupTotalRate, &cfg.AuthRate, &cfg.MaxClients, &cfg.DestRate, &cfg.AuditDays} {
		if *bound == 0 {
			*bound = -1
		}
	}
	return cfg, nil
}

// flags fill the config when they are parsed.
func (cfg *Config) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("xlb", flag.ContinueOnError)
	flags.StringVar(&cfg.HTTPAddr, "http-addr", "localhost:8083", "where the control plane listens, https")
	flags.StringVar(&cfg.LBAddr, "lb-addr", ":9090", "where the data plane listens, TLS 1.3")
	flags.StringVar(&cfg.OpsAddr, "ops-addr", "", "where health and metrics are served, plain HTTP; keep it private (off when empty)")
	flags.StringVar(&cfg.DataDir, "data-dir", "./data", "where the authority and the store are kept")
	flags.StringVar(&cfg.CADir, "ca-dir", "", "where an authority of your own is: cacert.pem with those that it hangs on, the root last, and cakey.pem (default: xlb makes its own)")
	flags.StringVar(&cfg.CAKeyPassFile, "ca-key-pass-file", "", "a file with the passphrase of that key (default: the credential ca-key-pass of systemd, if there is one)")
	flags.StringVar(&cfg.HTTPCert, "http-cert", "", "a certificate that browsers trust, PEM with its chain: the control plane presents it for its names; read again when it changes")
	flags.StringVar(&cfg.HTTPKey, "http-key", "", "its private key, PEM")
	flags.StringVar(&cfg.ACME, "acme", "", "get a certificate that browsers trust from Let's Encrypt, or from -acme-directory, whose terms you agree to by this; the e-mail address that they may write to")
	flags.Func("acme-host", "a name of the control plane that it is for; repeat it for several", addTo(&cfg.ACMEHosts))
	flags.StringVar(&cfg.ACMEDirectory, "acme-directory", "", "the directory's URL of another authority that speaks ACME")
	flags.StringVar(&cfg.ACMEHTTPAddr, "acme-http-addr", "", "where the authority's question on port 80 arrives, plain HTTP; without it port 443 has to arrive at -http-addr")
	flags.StringVar(&cfg.Signup, "signup", "", "who may sign up: open, invite or closed (default: open while the control plane listens on loopback only, closed otherwise)")
	flags.Func("hostname", "a name or address that clients connect to; repeat it for several", addTo(&cfg.Hostnames))
	flags.IntVar(&cfg.SignupRate, "signup-rate", 30, "sign-ups per minute and source, 0 = unbounded")
	flags.IntVar(&cfg.SignupTotalRate, "signup-total-rate", 120, "sign-ups without an invite per minute, of all sources together, 0 = unbounded")
	flags.IntVar(&cfg.MaxClients, "max-clients", 10_000, "clients, the last tenth of them with an invite; 0 = unbounded")
	flags.IntVar(&cfg.AuthRate, "auth-rate", 60, "failed log-ins per minute and source, 0 = unbounded")
	flags.Func("allow-dest", "networks that routes may reach, such as 10.0.0.0/8,10.0.0.0/8:5432+6379; when set, nothing else", addRules(&cfg.Egress.Allow))
	flags.Func("deny-dest", "networks that routes never reach, written the same way", addRules(&cfg.Egress.Deny))
	flags.Func("permit-dest", "special-purpose networks and addresses of this machine that routes may reach all the same", addRules(&cfg.Egress.Permit))
	flags.StringVar(&cfg.EgressFile, "egress-file", "", "a file with more of these: allow, deny or permit and a network on each line; it is read again when it changes")
	flags.IntVar(&cfg.DestRate, "dest-rate", 1000, "new destinations of a client in an hour, tried and saved, 0 = unbounded")
	flags.Func("proxy-from", "networks (CIDR, comma separated) from which connections to both ports begin with a PROXY header, v1 or v2; it turns local mode off", addPrefixes(&cfg.ProxyFrom))
	flags.IntVar(&cfg.AuditDays, "audit-days", 400, "days that audit records are kept, 0 = for ever")
	flags.DurationVar(&cfg.DrainDelay, "drain-delay", 0, "how long new connections are still taken while /readyz says that the server drains, so that a load balancer in front notices")
	flags.DurationVar(&cfg.DrainTimeout, "drain-timeout", 30*time.Second, "how long live connections may finish when the server stops")
	flags.DurationVar(&cfg.TakeOver, "take-over", 0, "how long to wait for another xlb to release the data directory, to take over from it; a reload does that by itself")
	flags.TextVar(&cfg.LogLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flags.StringVar(&cfg.LogFormat, "log-format", "text", "text or json")
	flags.Func("ops-host", "a name by which the operations port may be asked, beside addresses and localhost; repeat it for several", addTo(&cfg.OpsHosts))
	flags.BoolVar(&cfg.OpsPprof, "ops-pprof", false, "serve profiles on the operations port")
	flags.StringVar(&cfg.MetricsDetail, "metrics-detail", "frontend", "of what /metrics has series: frontend (and its routes), client or total")
	flags.BoolVar(&cfg.AcceptLoss, "accept-loss", false, "start once on a store that has lost changes that were answered; the log says since when")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), Usage)
		flags.PrintDefaults()
	}
	return flags
}

// check says everything that is wrong at once: who mends one thing should not find the next at the next start.
func (c Config) check(rest []string) error {
	var wrong []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	for _, one := range rest {
		add(true, "unexpected argument %q", one)
	}
	add(c.Signup != "" && c.Signup != "open" && c.Signup != "invite" && c.Signup != "closed", "-signup: use open, invite or closed")
	add((c.HTTPCert == "") != (c.HTTPKey == ""), "-http-cert and -http-key: use both or neither")
	add(c.CAKeyPassFile != "" && c.CADir == "", "-ca-key-pass-file: it is for the key in -ca-dir")
	add(c.ACME != "" && !strings.Contains(c.ACME, "@"), "-acme: use an e-mail address")
	add(c.ACME != "" && len(c.ACMEHosts) == 0, "-acme: say for which names, with -acme-host")
	add(c.ACME == "" && (len(c.ACMEHosts) > 0 || c.ACMEDirectory != "" || c.ACMEHTTPAddr != ""), "-acme-host, -acme-directory and -acme-http-addr: they belong to -acme")
	add(c.ACME != "" && c.HTTPCert != "", "-acme and -http-cert: use one of them")
	for _, host := range c.ACMEHosts {
		add(!strings.Contains(host, ".") || strings.ContainsAny(host, "*:/ "), "-acme-host %s: use a DNS name that the world knows", host)
	}
	add(c.LogFormat != "text" && c.LogFormat != "json", "-log-format: use text or json")
	add(c.MetricsDetail != "frontend" && c.MetricsDetail != "client" && c.MetricsDetail != "total", "-metrics-detail: use frontend, client or total")
	add(min(c.SignupRate, c.SignupTotalRate, c.AuthRate, c.MaxClients, c.DestRate, c.AuditDays) < 0 || c.DrainTimeout < 0 || c.DrainDelay < 0 || c.TakeOver < 0,
		"-signup-rate, -signup-total-rate, -max-clients, -auth-rate, -dest-rate, -audit-days, -drain-delay, -drain-timeout and -take-over: use 0 or more")
	return errors.Join(wrong...)
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
			if one = strings.ToLower(strings.TrimSpace(one)); one != "" {
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

func addRules(list *[]egress.Rule) func(string) error {
	return func(text string) error {
		for _, one := range strings.Split(text, ",") {
			rule, err := egress.ParseRule(one)
			if err != nil {
				return err
			}
			*list = append(*list, rule)
		}
		return nil
	}
}

// Log returns a logger that writes to w, at the level and in the format that were asked for.
func (c Config) Log(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
