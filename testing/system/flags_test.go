package system

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	flagHelp = regexp.MustCompile(`(?m)^  -([a-z-]+)[^\n]*\n\s+([^\n]*)`)
	flagRow  = regexp.MustCompile("(?m)^\\| ((?:`-[a-z-]+`(?:, )?)+) \\| ((?:`XLB_[A-Z_]+`(?:, )?)+) \\| ([^|]*?) ?\\|")
	helpSays = regexp.MustCompile(`\(default "?([^")]*)"?\)$`)
)

// Every flag is in the table of the documents, with its variable and its default.
func TestDocumentedFlagsAreTheRealOnes(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range flagRow.FindAllStringSubmatch(string(text), -1) {
		names, variables, defaults := strings.Split(row[1], ", "), strings.Split(row[2], ", "), strings.Split(row[3], ", ")
		for i, name := range names {
			name = strings.Trim(name, "`-")
			if want := "`XLB_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "`"; variables[i] != want {
				t.Errorf("-%s: the variable is %s, documented as %s", name, want, variables[i])
			}
			documented[name] = strings.Trim(defaults[min(i, len(defaults)-1)], "` ")
		}
	}
	out, _ := runIn(t, t.TempDir(), binaries.xlb, "-h")
	all := flagHelp.FindAllStringSubmatch(out, -1)
	if len(all) < 10 {
		t.Fatalf("only %d flags in\n%s", len(all), out)
	}
	for _, flag := range all {
		name := flag[1]
		said, known := documented[name]
		if !known {
			t.Errorf("-%s is not documented", name)
			continue
		}
		if is := helpSays.FindStringSubmatch(flag[2]); is != nil && strings.ToLower(is[1]) != said && !strings.Contains(flag[2], said) {
			t.Errorf("-%s: the default is %s, documented as %s", name, is[1], said)
		}
	}
}
