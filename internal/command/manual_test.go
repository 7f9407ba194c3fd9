package command

import (
	"flag"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/xdire/xlb/internal/config"
)

// What shells complete and what the manual says is what the help texts say.
func TestManualAndCompletionSayWhatHelpSays(t *testing.T) {
	var page strings.Builder
	if err := Manual(&page, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	all := words()
	config.Flags().VisitAll(func(f *flag.Flag) {
		if !strings.Contains(page.String(), `\fB`+roff("-"+f.Name)+`\fR`) {
			t.Errorf("the manual page lacks -%s", f.Name)
		}
		if !slices.Contains(all["serve"], "-"+f.Name) {
			t.Errorf("serve does not complete -%s", f.Name)
		}
	})
	for _, c := range (&admin{}).commands() {
		if !slices.Contains(all["admin"], c.name) {
			t.Errorf("admin does not complete %s", c.name)
		}
		if !strings.Contains(page.String(), "  "+roff(c.name)) {
			t.Errorf("the manual page lacks admin %s", c.name)
		}
	}
	for _, name := range []string{"serve", "tls", "trust", "untrust", "admin", "check", "backup", "restore", "export", "apply", "version", "man", "completion"} {
		if !slices.Contains(all[""], name) {
			t.Errorf("xlb does not complete %s", name)
		}
	}
	if !slices.Contains(all["backup"], "-recipient") || !slices.Contains(all["apply"], "-prune") {
		t.Errorf("backup completes %v, apply %v", all["backup"], all["apply"])
	}
}

func TestBashCompletes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	var script strings.Builder
	if err := Completion([]string{"bash"}, &script); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"xlb ad": "admin", "xlb admin rel": "reload", "xlb serve -drain-d": "-drain-delay", "xlb -lb": "-lb-addr", "xlb restore -ident": "-identity", "xlb completion z": "zsh",
	} {
		typed := strings.Fields(line)
		ask := "COMP_WORDS=(" + line + "); COMP_CWORD=" + string('0'+rune(len(typed)-1)) + `; _xlb; echo "${COMPREPLY[@]}"`
		out, err := exec.Command("bash", "-c", script.String()+ask).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%q completes to %q (%v), want %q", line, out, err, want)
		}
	}
	for _, shell := range []string{"zsh", "fish"} {
		var b strings.Builder
		if err := Completion([]string{shell}, &b); err != nil || !strings.Contains(b.String(), "-drain-delay") {
			t.Errorf("%s: %v\n%s", shell, err, b.String())
		}
	}
	if err := Completion([]string{"cmd"}, &script); err == nil {
		t.Error("cmd completes")
	}
}
