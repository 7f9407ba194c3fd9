package command

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/smallstep/truststore"

	"github.com/xdire/xlb/internal/datadir"
)

const trustUsage = `Let this machine trust the authority of a server, so that browsers open its dashboard without a warning; untrust takes
that back. Whoever has the authority's key can be any site to those browsers: do it for a server of your own.

  xlb trust [-data-dir DIR | -ca FILE] [-no-system] [-no-browsers] [-java]
  xlb untrust, the same

  -data-dir DIR   the server's data directory, on this machine (default: XLB_DATA_DIR, or ./data)
  -ca FILE        the ca.pem of a server elsewhere
  -no-system      leave the system's store as it is: curl and most programs go by it. It may ask for sudo's password
  -no-browsers    leave Firefox and Chromium as they are
  -java           Java's store too (JAVA_HOME)
`

// trustStore is a place that programs look for authorities in.
type trustStore struct {
	name            string
	missing         error // why there is none to change; nil: there is
	install, remove func(file string, cert *x509.Certificate) error
}

// Trust does `xlb trust`, and `xlb untrust` when remove is set: args are what follows.
func Trust(args []string, remove bool, out io.Writer) error {
	flags := flag.NewFlagSet("xlb trust", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, trustUsage) }
	dir := flags.String("data-dir", orEnv("XLB_DATA_DIR", "./data"), "")
	file := flags.String("ca", "", "")
	noSystem := flags.Bool("no-system", false, "")
	noBrowsers := flags.Bool("no-browsers", false, "")
	java := flags.Bool("java", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *file == "" {
		*file, _ = datadir.Authority(*dir)
	}
	certs, err := authoritiesIn(*file)
	if err != nil {
		return err
	}
	failed := 0
	for _, store := range trustStores(!*noSystem, !*noBrowsers, *java) {
		if err := store.change(certs, remove); err != nil {
			fmt.Fprintf(out, "WRONG  %s: %v\n", store.name, err)
			failed++
			continue
		}
		switch {
		case store.missing != nil:
			fmt.Fprintf(out, "note   %s: %v\n", store.name, store.missing)
		case remove:
			fmt.Fprintf(out, "ok     %s: no longer trusted\n", store.name)
		default:
			fmt.Fprintf(out, "ok     %s: trusted\n", store.name)
		}
	}
	if failed > 0 {
		return ExitError(1)
	}
	return nil
}

// trustStores are those that were asked for, on this machine.
func trustStores(system, browsers, java bool) (all []trustStore) {
	if system {
		all = append(all, trustStore{
			name:    "the system",
			install: func(_ string, cert *x509.Certificate) error { return truststore.Install(cert) },
			remove:  func(_ string, cert *x509.Certificate) error { return truststore.Uninstall(cert) },
		})
	}
	if browsers {
		nss, _ := truststore.NewNSSTrust()
		all = append(all, trustStore{"Firefox and Chromium", nss.PreCheck(), nss.Install, nss.Uninstall})
	}
	if java {
		jvm, err := truststore.NewJavaTrust()
		if err == nil {
			err = jvm.PreCheck()
		}
		all = append(all, trustStore{"Java", err, jvm.Install, jvm.Uninstall})
	}
	return all
}

// change adds certificates to a store, or takes them out.
func (s trustStore) change(certs []*x509.Certificate, remove bool) error {
	if s.missing != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "xlb-trust-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, cert := range certs {
		file := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
			return err
		}
		do := s.install
		if remove {
			do = s.remove
		}
		if err := do(file, cert); err != nil {
			return err
		}
	}
	return nil
}

// authoritiesIn reads the certificates of a ca.pem.
func authoritiesIn(file string) (certs []*x509.Certificate, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; -data-dir says where the server keeps its data", err)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return certs, nil
}
