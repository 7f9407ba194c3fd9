package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/xdire/xlb/internal/datadir"
)

const adminUsage = `Administer the server that runs on this machine, through the socket in its data directory.

  xlb admin [-data-dir DIR] COMMAND

  status                      how the server does
  clients [TEXT]              clients whose name or id has the text, oldest first
  client ID                   one client, with its limits against their use
  make-admin ID               make a client an administrator
  unmake-admin ID             make it no longer one
  disable ID                  shut a client out, and close its connections now
  enable ID                   let it in again
  reset-key ID                give a client that has lost its key a new one, shown once
  limits ID NAME=N ...        set limits; none is no bound, default the server's own
  delete ID NAME              delete a client and everything it has; its name says that you mean it
  sessions ID                 browsers that are logged in as a client
  end-sessions ID             log them all out
  invite                      make a code that lets one client in, shown once
  invites                     those that can still be used
  revoke-invite ID            take one back
  audit                       what was done with this command, newest first
  authority                   the authorities, and how many good certificates hang on each
  authority add               make the one that is to issue next; it is trusted from now on
  authority use ID            let it issue; the one that did is trusted until it is retired
  authority retire ID         trust it no more; with anyway though certificates of it are good
  authority trust ID          trust one again that was retired
  authority remove ID         throw one away, and its key
  reload                      let a new process take over, which reads flags' files anew, or is another version; no
                              connection is lost
`

// admin is the commands, over the server's socket.
type admin struct {
	api
	dir string // of the server's data
	out io.Writer
}

// Admin does `xlb admin`: args are what follows.
func Admin(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("xlb admin", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, adminUsage) }
	dir := flags.String("data-dir", orEnv("XLB_DATA_DIR", "./data"), "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return ExitError(1)
	}
	a := &admin{api: overSocket(*dir), dir: *dir, out: out}
	name := flags.Arg(0)
	rest := flags.Args()[1:]
	for _, c := range a.commands() {
		if c.name != name {
			continue
		}
		if len(rest) < c.least || len(rest) > c.most {
			return fmt.Errorf("%s takes other arguments; xlb admin -h lists them", name)
		}
		return c.do(ctx, rest)
	}
	return fmt.Errorf("unknown command %q; xlb admin -h lists those that there are", name)
}

type adminCommand struct {
	name        string
	least, most int // arguments
	do          func(ctx context.Context, args []string) error
}

func (a *admin) commands() []adminCommand {
	patch := func(body string) func(context.Context, []string) error {
		return func(ctx context.Context, args []string) error {
			return a.change(ctx, "PATCH", "/admin/clients/"+url.PathEscape(args[0]), body)
		}
	}
	return []adminCommand{
		{"status", 0, 0, a.status},
		{"clients", 0, 1, a.clients},
		{"client", 1, 1, a.client},
		{"make-admin", 1, 1, patch(`{"admin":true}`)},
		{"unmake-admin", 1, 1, patch(`{"admin":false}`)},
		{"disable", 1, 1, patch(`{"disabled":true}`)},
		{"enable", 1, 1, patch(`{"disabled":false}`)},
		{"reset-key", 1, 1, a.resetKey},
		{"limits", 2, 20, a.limits},
		{"delete", 2, 2, a.delete},
		{"sessions", 1, 1, a.sessions},
		{"end-sessions", 1, 1, func(ctx context.Context, args []string) error {
			return a.change(ctx, "DELETE", "/admin/clients/"+url.PathEscape(args[0])+"/sessions", "")
		}},
		{"invite", 0, 0, a.invite},
		{"invites", 0, 0, a.invites},
		{"revoke-invite", 1, 1, func(ctx context.Context, args []string) error {
			return a.change(ctx, "DELETE", "/admin/invites/"+url.PathEscape(args[0]), "")
		}},
		{"audit", 0, 0, a.audit},
		{"authority", 0, 3, a.authority},
		{"reload", 0, 0, a.reload},
	}
}

func orEnv(name, otherwise string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return otherwise
}

// overSocket is the API on the socket of a data directory.
func overSocket(dir string) api {
	path := datadir.Socket(dir)
	return api{base: "http://xlb/api/v1", client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("no server answers on %s: %w; -data-dir says where it keeps its data", path, errors.Unwrap(err))
			}
			return conn, nil
		},
	}}}
}

// change does something that has no answer worth showing.
func (a *admin) change(ctx context.Context, method, path, body string) error {
	if err := a.call(ctx, method, path, body, nil); err != nil {
		return err
	}
	fmt.Fprintln(a.out, "Done.")
	return nil
}

// stamp is a moment as the API writes it.
type stamp struct{ Seconds int64 }

func (s stamp) String() string { return time.Unix(s.Seconds, 0).UTC().Format("2006-01-02 15:04") }

func (a *admin) status(ctx context.Context, _ []string) error {
	var s struct {
		StartedAt, AuthorityExpiresAt                    stamp
		Version, Authority, StoreError                   string
		Clients, Disabled, Administrators, NearLimits    int
		Invites, Connections, MaxConnections, Handshakes int
		Shed, ChecksLateMs, StoreFreeBytes               int64
	}
	if err := a.call(ctx, "GET", "/admin/server", "", &s); err != nil {
		return err
	}
	store := "takes writes"
	if s.StoreError != "" {
		store = s.StoreError
	}
	if s.StoreFreeBytes >= 0 {
		store += fmt.Sprintf(", %d MB free", s.StoreFreeBytes>>20)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"Version", s.Version + ", since " + s.StartedAt.String()},
		{"Authority", s.Authority + ", until " + s.AuthorityExpiresAt.String()},
		{"Clients", fmt.Sprintf("%d, %d administrators, %d disabled, %d near a limit", s.Clients, s.Administrators, s.Disabled, s.NearLimits)},
		{"Invites", strconv.Itoa(s.Invites)},
		{"Connections", fmt.Sprintf("%d of %s, %d handshakes", s.Connections, bound(s.MaxConnections), s.Handshakes)},
		{"Turned away", fmt.Sprintf("%d, for want of room", s.Shed)},
		{"Checks", fmt.Sprintf("late by %d ms at most", s.ChecksLateMs)},
		{"Store", store},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}

func bound(n int) string {
	if n == 0 {
		return "no bound"
	}
	return strconv.Itoa(n)
}

type adminClient struct {
	UUID, Name                           string
	Admin, Disabled                      bool
	CreatedAt                            stamp
	Frontends, Certificates, Connections int
	Limits                               []struct {
		Name      string
		Used, Max int
	}
}

func (c adminClient) state() string {
	switch {
	case c.Disabled:
		return "disabled"
	case c.Admin:
		return "administrator"
	}
	return "active"
}

func (a *admin) clients(ctx context.Context, args []string) error {
	query := url.Values{"limit": {"1000"}}
	if len(args) > 0 {
		query.Set("q", args[0])
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSTATE\tSINCE\tFRONTENDS\tCERTIFICATES\tCONNECTIONS")
	for {
		var page struct {
			Items []adminClient
			Next  string
		}
		if err := a.call(ctx, "GET", "/admin/clients?"+query.Encode(), "", &page); err != nil {
			return err
		}
		for _, c := range page.Items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\n", c.UUID, c.Name, c.state(), c.CreatedAt, c.Frontends, c.Certificates, c.Connections)
		}
		if page.Next == "" {
			return w.Flush()
		}
		query.Set("after", page.Next)
	}
}

func (a *admin) client(ctx context.Context, args []string) error {
	var c adminClient
	if err := a.call(ctx, "GET", "/admin/clients/"+url.PathEscape(args[0]), "", &c); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s  %s, %s, since %s\n", c.UUID, c.Name, c.state(), c.CreatedAt)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, l := range c.Limits {
		fmt.Fprintf(w, "%s\t%d of %s\n", l.Name, l.Used, bound(l.Max))
	}
	return w.Flush()
}

func (a *admin) resetKey(ctx context.Context, args []string) error {
	var made struct{ UUID, Key string }
	if err := a.call(ctx, "POST", "/admin/clients/"+url.PathEscape(args[0])+"/key", "", &made); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "The new key of %s, shown this once:\n%s\n", made.UUID, made.Key)
	return nil
}

func (a *admin) limits(ctx context.Context, args []string) error {
	var fields []string
	for _, arg := range args[1:] {
		name, value, found := strings.Cut(arg, "=")
		switch _, err := strconv.Atoi(value); {
		case found && value == "none":
			value = "0"
		case found && value == "default":
			value = "null"
		case !found || err != nil:
			return fmt.Errorf("%s is no limit; write NAME=N, NAME=none or NAME=default", arg)
		}
		fields = append(fields, strconv.Quote(name)+":"+value)
	}
	return a.change(ctx, "PATCH", "/admin/clients/"+url.PathEscape(args[0]), `{"limits":{`+strings.Join(fields, ",")+`}}`)
}

// delete wants the name too: an id is too easily that of another line.
func (a *admin) delete(ctx context.Context, args []string) error {
	var c adminClient
	path := "/admin/clients/" + url.PathEscape(args[0])
	if err := a.call(ctx, "GET", path, "", &c); err != nil {
		return err
	}
	if c.Name != args[1] {
		return fmt.Errorf("that client has another name; nothing was deleted")
	}
	return a.change(ctx, "DELETE", path, "")
}

func (a *admin) sessions(ctx context.Context, args []string) error {
	var list struct {
		Items []struct {
			ID, UserAgent, Address string
			CreatedAt, UsedAt      stamp
		}
	}
	if err := a.call(ctx, "GET", "/admin/clients/"+url.PathEscape(args[0])+"/sessions", "", &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tADDRESS\tSINCE\tLAST USED\tBROWSER")
	for _, s := range list.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Address, s.CreatedAt, s.UsedAt, printable(s.UserAgent))
	}
	return w.Flush()
}

func (a *admin) invite(ctx context.Context, _ []string) error {
	var made struct {
		Code      string
		ExpiresAt stamp
	}
	if err := a.call(ctx, "POST", "/admin/invites", "", &made); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Lets one client in, until %s UTC, shown this once:\n%s\n", made.ExpiresAt, made.Code)
	return nil
}

func (a *admin) invites(ctx context.Context, _ []string) error {
	var list struct {
		Items []struct {
			ID                   string
			CreatedAt, ExpiresAt stamp
		}
	}
	if err := a.call(ctx, "GET", "/admin/invites", "", &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tMADE\tUNTIL")
	for _, i := range list.Items {
		fmt.Fprintf(w, "%s\t%s\t%s\n", i.ID, i.CreatedAt, i.ExpiresAt)
	}
	return w.Flush()
}

func (a *admin) audit(ctx context.Context, _ []string) error {
	var list struct {
		Items []struct {
			At                              stamp
			Outcome, Action, Object, Reason string
		}
	}
	if err := a.call(ctx, "GET", "/admin/audit", "", &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tOUTCOME\tACTION\tOBJECT\tREASON")
	for _, one := range slices.Backward(list.Items) { // the newest is nearest to the prompt
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", one.At, one.Outcome, one.Action, printable(one.Object), one.Reason)
	}
	return w.Flush()
}

// printable leaves out what would do something to a terminal: a browser may call itself anything.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}
