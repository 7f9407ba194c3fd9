package command

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"text/tabwriter"
)

const authoritiesPath = "/admin/authorities"

// authorityStates are what the words after `xlb admin authority` make of one.
var authorityStates = map[string]string{"use": "current", "trust": "retiring", "retire": "retired"}

// authority does what follows `xlb admin authority`.
func (a *admin) authority(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return a.authorities(ctx)
	case args[0] == "add" && len(args) == 1:
		return a.addAuthority(ctx)
	case args[0] == "remove" && len(args) == 2:
		return a.change(ctx, "DELETE", authoritiesPath+"/"+url.PathEscape(args[1]), "")
	case authorityStates[args[0]] != "" && (len(args) == 2 || len(args) == 3 && args[2] == "anyway"):
		body := `{"state":"` + authorityStates[args[0]] + `","anyway":` + strconv.FormatBool(len(args) == 3) + `}`
		return a.change(ctx, "PATCH", authoritiesPath+"/"+url.PathEscape(args[1]), body)
	}
	return fmt.Errorf("authority takes add, use ID, retire ID, trust ID or remove ID; xlb admin -h says what they do")
}

type adminAuthority struct {
	ID, State         string
	NotAfter          stamp
	Certificates      int
	LastExpiresAt     *stamp
	Servers, Stranded bool
}

func (a *admin) authorities(ctx context.Context) error {
	var list struct{ Items []adminAuthority }
	if err := a.call(ctx, "GET", authoritiesPath, "", &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tUNTIL\tCERTIFICATES\tLAST EXPIRES\tPORTS")
	for _, one := range list.Items {
		last, ports := "", ""
		if one.LastExpiresAt != nil {
			last = one.LastExpiresAt.String()
		}
		switch {
		case one.Servers:
			ports = "present certificates of it"
		case one.Stranded:
			ports = "cannot be checked with it alone"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", one.ID, one.State, one.NotAfter, one.Certificates, last, ports)
	}
	return w.Flush()
}

func (a *admin) addAuthority(ctx context.Context) error {
	var made adminAuthority
	if err := a.call(ctx, "POST", authoritiesPath, "", &made); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "%s is trusted now, and in ca.pem. When programs have that, let it issue:\nxlb admin authority use %s\n", made.ID, made.ID)
	return err
}
