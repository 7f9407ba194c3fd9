package command

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/xdire/xlb/internal/config"
)

// The manual page and what shells complete are made of the help texts, so that they say the same.

// helps are the texts of the commands that have one of their own.
var helps = []struct{ names, text string }{
	{"admin", adminUsage}, {"backup restore", backupUsage}, {"export apply", fileUsage}, {"trust untrust", trustUsage},
}

// Manual writes the manual page xlb(8).
func Manual(out io.Writer, version string) error {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n", roff(title)) }
	verbatim := func(text string) { fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(strings.Trim(text, "\n"))) }
	fmt.Fprintf(&b, ".TH XLB 8 \"\" \"xlb %s\" \"XLB\"\n", roff(version))
	section("NAME")
	b.WriteString(roff("xlb - a TCP load balancer whose address is an identity\n"))
	section("SYNOPSIS")
	b.WriteString(".B xlb\n[\\fICOMMAND\\fR] [\\fIFLAGS\\fR]\n")
	section("DESCRIPTION")
	b.WriteString(roff("Programs that present a client certificate on one TLS 1.3 port are balanced over the routes of the frontend that the certificate was issued for. Clients sign up, make frontends and get certificates through a dashboard or a JSON API.\n"))
	section("COMMANDS")
	_, commands, _ := strings.Cut(config.Usage, "\n\n")
	commands, rest, _ := strings.Cut(commands, "\n\n")
	verbatim(commands)
	section("FLAGS OF SERVE AND CHECK")
	b.WriteString(roff(strings.TrimSpace(rest) + "\n"))
	config.Flags().VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR \\fI%s\\fR\n%s\n", roff("-"+f.Name), roff(name), roff(usage+defaultOf(f)))
	})
	for _, h := range helps {
		section(strings.ToUpper("xlb " + strings.ReplaceAll(h.names, " ", ", xlb ")))
		verbatim(h.text)
	}
	section("SIGNALS")
	for _, one := range [][2]string{
		{"SIGTERM, SIGINT", "Drain and end; a second one ends at once."},
		{"SIGUSR2", "Let a new process take over, as xlb admin reload does."}, {"SIGHUP", "Nothing."},
	} {
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", roff(one[0]), roff(one[1]))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func defaultOf(f *flag.Flag) string {
	if f.DefValue == "" || f.DefValue == "false" || f.DefValue == "0" || f.DefValue == "0s" {
		return ""
	}
	return fmt.Sprintf(" (default %s)", f.DefValue)
}

// roff writes text so that it stands as it is in a manual page.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

var (
	commandLine = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*)(?:  | [A-Z[])`)
	flagLine    = regexp.MustCompile(`(?m)^  (-[a-z-]+)`)
)

func named(line *regexp.Regexp, text string) (all []string) {
	seen := map[string]bool{}
	for _, found := range line.FindAllStringSubmatch(text, -1) {
		if !seen[found[1]] {
			all = append(all, found[1])
			seen[found[1]] = true
		}
	}
	return all
}

// words are what may follow a command, by command; the empty one is for `xlb` alone.
func words() map[string][]string {
	all := map[string][]string{"": append(named(commandLine, config.Usage), "untrust"), "completion": {"bash", "zsh", "fish"}}
	config.Flags().VisitAll(func(f *flag.Flag) {
		all["serve"] = append(all["serve"], "-"+f.Name)
		all["check"] = append(all["check"], "-"+f.Name)
	})
	for _, h := range helps {
		for _, name := range strings.Fields(h.names) {
			all[name] = named(flagLine, h.text)
		}
	}
	all["admin"] = append([]string{"-data-dir"}, named(commandLine, adminUsage)...)
	return all
}

// Completion writes what a shell has to read to complete the words of xlb.
func Completion(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("say for which shell: xlb completion bash, zsh or fish")
	}
	all := words()
	var b strings.Builder
	switch args[0] {
	case "bash":
		b.WriteString("# bash completion for xlb\n_xlb() {\n\tlocal words\n\tcase ${COMP_WORDS[1]} in\n")
		for _, name := range all[""] {
			fmt.Fprintf(&b, "\t%s) words=%q ;;\n", name, strings.Join(all[name], " "))
		}
		fmt.Fprintf(&b, "\t*) words=%q ;;\n\tesac\n", strings.Join(append(all[""], all["serve"]...), " "))
		fmt.Fprintf(&b, "\t[ \"$COMP_CWORD\" -gt 1 ] || words=%q\n", strings.Join(append(all[""], all["serve"]...), " "))
		b.WriteString("\tCOMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _xlb xlb\n")
	case "zsh":
		b.WriteString("#compdef xlb\nif (( CURRENT == 2 )); then\n")
		fmt.Fprintf(&b, "\tcompadd -- %s\nelse\n\tcase $words[2] in\n", strings.Join(append(all[""], all["serve"]...), " "))
		for _, name := range all[""] {
			fmt.Fprintf(&b, "\t%s) compadd -- %s ;;\n", name, strings.Join(all[name], " "))
		}
		b.WriteString("\tesac\n\t_files\nfi\n")
	case "fish":
		fmt.Fprintf(&b, "complete -c xlb -n '__fish_use_subcommand' -f -a '%s'\n", strings.Join(all[""], " "))
		for _, name := range all[""] {
			for _, word := range all[name] {
				fmt.Fprintf(&b, "complete -c xlb -n '__fish_seen_subcommand_from %s' -a '%s'\n", name, word)
			}
		}
	default:
		return fmt.Errorf("there is no completion for %q; use bash, zsh or fish", args[0])
	}
	_, err := io.WriteString(out, b.String())
	return err
}
