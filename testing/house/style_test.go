package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	styleComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	styleClass   = regexp.MustCompile(`\.([a-zA-Z][\w-]*)`)
	word         = regexp.MustCompile(`[A-Za-z][\w-]*`)
)

// Every class that the styles have a rule for stands somewhere in the pages or their scripts.
func TestStylesAreUsed(t *testing.T) {
	read := func(pattern string, visit func(text string)) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_templ.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			visit(string(text))
		}
	}
	used := map[string]bool{}
	for _, pattern := range []string{"views/*.templ", "views/*.go", "static/js/*.js"} {
		read(pattern, func(text string) {
			for _, one := range word.FindAllString(text, -1) {
				used[one] = true
			}
		})
	}
	read("static/css/*.css", func(text string) {
		for _, class := range styleClass.FindAllStringSubmatch(styleComment.ReplaceAllString(text, ""), -1) {
			if !used[class[1]] {
				t.Errorf("the class %s has a style, and no page or script uses it", class[1])
				used[class[1]] = true
			}
		}
	})
}
