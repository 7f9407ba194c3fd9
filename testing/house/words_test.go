package house

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/xdire/xlb/views"
)

// What the scripts say stands where all words of the product stand, and nowhere else.
func TestScriptsTakeTheirWordsFromTheCatalogue(t *testing.T) {
	files, err := filepath.Glob("../../static/js/*.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	asked := map[string]bool{}
	key := regexp.MustCompile(`\bword\("([^"]+)"`)
	sentence := regexp.MustCompile("[\"`][A-Z][a-z]+[ .][^\"`]*[\"`]")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range key.FindAllStringSubmatch(string(text), -1) {
			asked[found[1]] = true
			if views.ScriptWords[found[1]] == "" {
				t.Errorf("%s says word(%q), which is not in views.ScriptWords", name, found[1])
			}
		}
		for _, words := range sentence.FindAllString(string(text), -1) {
			t.Errorf("%s says %s: put it into views.ScriptWords", name, words)
		}
	}
	// The names of the pause button are put together in the script.
	for _, name := range []string{"pause", "pauseLive", "resume", "resumeLive"} {
		asked[name] = true
	}
	for name := range views.ScriptWords {
		if !asked[name] {
			t.Errorf("no script says %q", name)
		}
	}
}
