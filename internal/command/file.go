package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

const fileUsage = `Write all frontends of a client to a file, and make them like a file.

  xlb export [flags] [-o FILE]
  xlb apply  [flags] -f FILE [-dry-run] [-prune]

  -url URL        the server (XLB_URL; https://localhost:8083)
  -ca FILE        whom to trust, PEM (XLB_CA; what the system trusts)
  -key-file FILE  where the API key is, if not in XLB_API_KEY; export needs the scope read, apply write
  -o FILE         where to write to; otherwise to the standard output
  -f FILE         what to read; - is the standard input
  -dry-run        say what would be done; exit status 2 when that is something
  -prune          delete frontends that are not in the file, with their certificates

Frontends are matched by name. An apply that fails can be repeated: what is made stays.
`

// remote are the flags that export and apply have in common.
type remote struct {
	flags            *flag.FlagSet
	url, ca, keyFile *string
}

func newRemote(name string, out io.Writer) remote {
	flags := flag.NewFlagSet("xlb "+name, flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, fileUsage) }
	return remote{
		flags: flags, url: flags.String("url", orEnv("XLB_URL", "https://localhost:8083"), ""), ca: flags.String("ca", os.Getenv("XLB_CA"), ""),
		keyFile: flags.String("key-file", "", ""),
	}
}

// parse reads the arguments; done is true when help was asked for.
func (r remote) parse(args []string) (done bool, err error) {
	err = r.flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return true, nil
	}
	if err == nil && r.flags.NArg() > 0 {
		err = fmt.Errorf("what is %q? -h lists what there is", r.flags.Arg(0))
	}
	return false, err
}

// api is the server that the flags name. The key comes from the environment or a file: arguments are seen by everybody.
func (r remote) api() (*api, error) {
	key := os.Getenv("XLB_API_KEY")
	if *r.keyFile != "" {
		text, err := os.ReadFile(*r.keyFile)
		if err != nil {
			return nil, err
		}
		key = string(text)
	}
	if key = strings.TrimSpace(key); key == "" {
		return nil, errors.New("there is no API key: set XLB_API_KEY or use -key-file; the account page makes one")
	}
	base, err := url.Parse(*r.url)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("-url has to begin with https:// and name a host")
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS13}
	if *r.ca != "" {
		text, err := os.ReadFile(*r.ca)
		if err != nil {
			return nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate, PEM", *r.ca)
		}
	}
	return &api{base: "https://" + base.Host + "/api/v1", token: key, client: &http.Client{
		Timeout: 2 * time.Minute, Transport: &http.Transport{TLSClientConfig: trust, Proxy: http.ProxyFromEnvironment},
	}}, nil
}

// Export does `xlb export`: args are what follows.
func Export(ctx context.Context, args []string, out io.Writer) error {
	r := newRemote("export", out)
	file := r.flags.String("o", "", "")
	if done, err := r.parse(args); done || err != nil {
		return err
	}
	server, err := r.api()
	if err != nil {
		return err
	}
	var text json.RawMessage
	if err := server.call(ctx, "GET", "/client/export", "", &text); err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	if *file == "" {
		_, err := out.Write(pretty.Bytes())
		return err
	}
	return os.WriteFile(*file, pretty.Bytes(), 0o600)
}

type plan struct {
	Changes int
	Items   []struct {
		Action, Name  string
		Before, After map[string]json.RawMessage
	}
}

// Apply does `xlb apply`: args are what follows.
func Apply(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	r := newRemote("apply", out)
	file := r.flags.String("f", "", "")
	dry := r.flags.Bool("dry-run", false, "")
	prune := r.flags.Bool("prune", false, "")
	if done, err := r.parse(args); done || err != nil {
		return err
	}
	if *file == "" {
		return errors.New("-f is missing: the file to apply, or - for the standard input")
	}
	server, err := r.api()
	if err != nil {
		return err
	}
	text, err := readFile(*file, in)
	if err != nil {
		return err
	}
	var p plan
	query := url.Values{"dryRun": {fmt.Sprint(*dry)}, "prune": {fmt.Sprint(*prune)}}
	if err := server.call(ctx, "POST", "/client/import?"+query.Encode(), string(text), &p); err != nil {
		return err
	}
	p.write(out, *dry)
	if *dry && p.Changes > 0 {
		return ExitError(2)
	}
	return nil
}

// maxFile is what the server takes, and one byte to see that there is more.
const maxFile = 16<<20 + 1

func readFile(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxFile))
}

// write tells what is different, and nothing of what is the same.
func (p plan) write(out io.Writer, dry bool) {
	marks := map[string]string{"create": "+", "change": "~", "delete": "-"}
	for _, item := range p.Items {
		mark, told := marks[item.Action]
		if !told {
			continue
		}
		fmt.Fprintf(out, "%s %s\n", mark, item.Name)
		names := maps.Clone(item.Before)
		if names == nil {
			names = map[string]json.RawMessage{}
		}
		maps.Copy(names, item.After)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			fmt.Fprintf(out, "    %s: %s -> %s\n", name, orNothing(item.Before[name]), orNothing(item.After[name]))
		}
	}
	switch {
	case p.Changes == 0:
		fmt.Fprintf(out, "All %d are as in the file.\n", len(p.Items))
	case dry:
		fmt.Fprintf(out, "%d of %d would be changed.\n", p.Changes, len(p.Items))
	default:
		fmt.Fprintf(out, "%d of %d changed.\n", p.Changes, len(p.Items))
	}
}

func orNothing(value json.RawMessage) string {
	if len(value) == 0 {
		return "nothing"
	}
	return string(value)
}
