package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/xdire/xlb/internal/certfile"
	"github.com/xdire/xlb/internal/config"
	"github.com/xdire/xlb/internal/datadir"
	"github.com/xdire/xlb/internal/egress"
	"github.com/xdire/xlb/pki"
)

// checklist is what a check has found.
type checklist struct {
	out   io.Writer
	wrong int
}

func (c *checklist) ok(format string, args ...any) { c.line("ok", format, args...) }

// note is what a person should know, and what stops no start.
func (c *checklist) note(format string, args ...any) { c.line("note", format, args...) }

func (c *checklist) bad(format string, args ...any) {
	c.wrong++
	c.line("WRONG", format, args...)
}

func (c *checklist) line(kind, format string, args ...any) {
	fmt.Fprintf(c.out, "%-6s %s\n", kind, fmt.Sprintf(format, args...))
}

// Check does ` + "`xlb check`" + `: it looks whether a server could start with these flags, without starting it, and says each thing
// that is wrong. bad is what is wrong with the flags themselves.
func Check(cfg config.Config, bad error, now time.Time, out io.Writer) error {
	c := &checklist{out: out}
	if bad == nil {
		c.ok("flags and environment")
	}
	for _, err := range parts(bad) {
		c.bad("%v", err)
	}
	c.ports(cfg)
	if _, err := egress.New(egress.Config{Lists: cfg.Egress, File: cfg.EgressFile}); err != nil {
		c.bad("-egress-file: %v", err)
	} else if cfg.EgressFile != "" {
		c.ok("-egress-file %s", cfg.EgressFile)
	}
	c.publicCertificate(cfg, now)
	found, wrong := datadir.Examine(cfg.DataDir)
	for _, err := range wrong {
		c.bad("-data-dir: %v", err)
	}
	if len(wrong) == 0 {
		c.ok("-data-dir %s", cfg.DataDir)
	}
	authority := found.Authority
	if outside, err := datadir.Outside(cfg.CADir, cfg.CAKeyPassFile); err != nil {
		c.bad("-ca-dir: %v", err)
	} else if outside != nil {
		c.ok("-ca-dir %s", cfg.CADir)
		authority = outside
	}
	c.authority(authority, now)
	c.clock(found, now)
	if c.wrong > 0 {
		fmt.Fprintf(out, "%d wrong\n", c.wrong)
		return ExitError(1)
	}
	return nil
}

// parts are the errors that one is made of.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if several, is := err.(interface{ Unwrap() []error }); is {
		var all []error
		for _, one := range several.Unwrap() {
			all = append(all, parts(one)...)
		}
		return all
	}
	return []error{err}
}

// ports listens on each address, all at the same time: two flags may name the same one.
func (c *checklist) ports(cfg config.Config) {
	for _, one := range []struct{ flag, address string }{{"-http-addr", cfg.HTTPAddr}, {"-lb-addr", cfg.LBAddr}, {"-ops-addr", cfg.OpsAddr}, {"-acme-http-addr", cfg.ACMEHTTPAddr}} {
		if one.address == "" {
			continue
		}
		l, err := net.Listen("tcp", one.address)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			c.bad("%s %s: something listens there already; ss -ltnp says what", one.flag, one.address)
		case errors.Is(err, fs.ErrPermission):
			c.bad("%s %s: ports below 1024 need the right CAP_NET_BIND_SERVICE", one.flag, one.address)
		case err != nil:
			c.bad("%s: %v", one.flag, err)
		default:
			defer l.Close()
			c.ok("%s %s is free", one.flag, one.address)
		}
	}
}

// publicCertificate looks at the one that browsers are to trust.
func (c *checklist) publicCertificate(cfg config.Config, now time.Time) {
	if cfg.HTTPCert == "" || cfg.HTTPKey == "" {
		return
	}
	pair, err := certfile.Open(certfile.Config{Cert: cfg.HTTPCert, Key: cfg.HTTPKey})
	if err != nil {
		c.bad("-http-cert: %v", err)
		return
	}
	names := strings.Join(pair.Leaf().DNSNames, ", ")
	if until := pair.Leaf().NotAfter; now.After(until) {
		c.bad("-http-cert for %s expired on %s", names, day(until))
	} else {
		c.ok("-http-cert for %s is good until %s", names, day(until))
	}
}

// soonExpires is how long before its end an authority is worth a word: programs need its follower by then.
const soonExpires = 180 * 24 * time.Hour

func (c *checklist) authority(a *pki.Authority, now time.Time) {
	if a == nil {
		return // the first start makes it, or it is said already why it cannot be read
	}
	until := a.Certificate().NotAfter
	switch {
	case now.After(until):
		c.bad("the authority expired on %s: nothing that it has issued is believed any more", day(until))
	case now.Add(soonExpires).After(until):
		c.note("the authority expires on %s, and all that it has issued with it", day(until))
	default:
		c.ok("the authority is good until %s", day(until))
	}
}

// clockSlack is how far clocks may be apart for a reason.
const clockSlack = time.Minute

// clock looks whether it goes wrong by what is known of earlier times, and whether anything keeps it right.
func (c *checklist) clock(found datadir.Found, now time.Time) {
	wrong := c.wrong
	if a := found.Authority; a != nil && now.Add(clockSlack).Before(a.Certificate().NotBefore) {
		c.bad("the clock says %s, and the authority begins on %s", stampOf(now), stampOf(a.Certificate().NotBefore))
	}
	if now.Add(clockSlack).Before(found.Changed) {
		c.bad("the clock says %s, and the store was changed at %s", stampOf(now), stampOf(found.Changed))
	}
	if c.wrong > wrong {
		return
	}
	if kept, known := clockKept(); known && !kept {
		c.note("the clock says %s, and nothing keeps it right (NTP): certificates and sessions go by it", stampOf(now))
		return
	}
	c.ok("the clock says %s", stampOf(now))
}

func day(t time.Time) string     { return t.UTC().Format(time.DateOnly) }
func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }
