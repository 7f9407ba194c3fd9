package control

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/xdire/xlb/store"
)

// Every leaf of the record has one row, and every row has a leaf of its own. The sealed key is set by the key
// that comes with the call.
func TestEveryOptionHasARow(t *testing.T) {
	var s FrontendSpec
	leaves := map[any]string{}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			name := path + v.Type().Field(i).Name
			if v.Field(i).Kind() == reflect.Struct {
				walk(v.Field(i), name+".")
				continue
			}
			leaves[v.Field(i).Addr().Interface()] = name
		}
	}
	walk(reflect.ValueOf(&s.Options).Elem(), "")
	leaves[any(&s.RouteKey)] = "RouteKey"
	delete(leaves, any(&s.Options.RouteTLS.Key))
	fields := map[string]bool{}
	for _, o := range OptionTable {
		if fields[o.Field] {
			t.Errorf("%s has two rows", o.Field)
		}
		fields[o.Field] = true
		if o.ReadOnly {
			continue
		}
		at := o.at(&s)
		if leaves[at] == "" {
			t.Errorf("%s reaches no leaf of the record, or one that has a row already", o.Field)
		}
		delete(leaves, at)
	}
	for _, name := range leaves {
		t.Errorf("%s has no row", name)
	}
}

// A default is within its own bounds and choices, and is what a new frontend has.
func TestDefaultsOfOptionsAreValid(t *testing.T) {
	for _, kind := range []string{"", store.CheckHTTP} {
		s := DefaultFrontend()
		s.Options.Check.Kind = kind
		for _, problem := range checkOptions(&s) {
			t.Error(problem)
		}
	}
}

var update = flag.Bool("update", false, "write the tables of the documents anew")

const tableBegins, tableEnds = "<!-- options: written by go test ./control -update -->\n", "<!-- options end -->\n"

// The table in the document is made of the one in the program.
func TestDocumentedOptionsAreTheRealOnes(t *testing.T) {
	const path = "../docs/api.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), tableBegins)
	got, after, found := strings.Cut(rest, tableEnds)
	if !found {
		t.Fatalf("%s has no place for the table of options", path)
	}
	want := optionTable()
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the table of options in %s is not today's: go test ./control -run Documented -update\ngot\n%s\nwant\n%s", path, got, want)
	}
	if err := os.WriteFile(path, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func optionTable() string {
	var b strings.Builder
	b.WriteString("| field | | default | from where to where |\n|---|---|---|---|\n")
	for _, o := range OptionTable {
		doc := o.Doc
		if o.Zero != "" {
			doc += "; 0 is " + o.Zero
		}
		s := DefaultFrontend()
		initial := fmt.Sprint(o.Value(&s))
		bounds := ""
		switch _, isNumber := o.Value(&s).(int64); {
		case isNumber:
			initial = digits(initial)
			bounds = strings.TrimSpace(fmt.Sprintf("%s to %s %s", digits(fmt.Sprint(o.Low)), digits(fmt.Sprint(o.High)), o.Unit))
		case len(o.Choices) > 0:
			bounds = "`" + strings.Join(o.Choices, "` `") + "`"
		case o.ReadOnly:
			bounds = "in answers only"
		case o.High > 0:
			bounds = "at most " + digits(fmt.Sprint(o.High)) + " bytes"
		}
		if initial == "" {
			initial = "empty"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.Field, doc, initial, bounds)
	}
	return b.String()
}

// digits sets the thousands of a number apart.
func digits(n string) string {
	for i := len(n) - 3; i > 0; i -= 3 {
		n = n[:i] + "," + n[i:]
	}
	return n
}
