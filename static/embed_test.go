package static

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func sample() fstest.MapFS {
	return fstest.MapFS{
		"icon.svg":        {Data: []byte("<svg/>")},
		"vendor/.gitkeep": {},
		"css/01-a.css":    {Data: []byte("/* x */\na {\n  color: red;\n}\n")},
		"css/02-b.css":    {Data: []byte("b { margin: 0 }\n")},
		"js/00-shared.js": {Data: []byte("// for all\nconst y = 0;\n")},
		"js/a.js":         {Data: []byte("// a\nconst x = 1;\n")},
		"js/b.js":         {Data: []byte("\tconst x = 2;\n")},
	}
}

func TestJoin(t *testing.T) {
	s := mustBuild(sample())
	if got, want := string(s.byName["app.css"].Data), "a{color:red}b{margin:0}\n"; got != want {
		t.Errorf("app.css is %q, want %q", got, want)
	}
	if got, want := string(s.byName["app.js"].Data), "const y = 0;\n{\nconst x = 1;\n}\n{\nconst x = 2;\n}\n"; got != want {
		t.Errorf("app.js is %q, want %q", got, want)
	}
}

func TestHashFollowsContent(t *testing.T) {
	before := mustBuild(sample())
	again := mustBuild(sample())
	src := sample()
	src["css/02-b.css"].Data = []byte("b { margin: 1px }\n")
	after := mustBuild(src)
	if before.byName["app.css"].URL != again.byName["app.css"].URL {
		t.Error("the same content got two names")
	}
	if before.byName["app.css"].URL == after.byName["app.css"].URL {
		t.Error("changed content kept its name")
	}
	if before.byName["app.js"].URL != after.byName["app.js"].URL {
		t.Error("content that did not change got another name")
	}
}

func TestFont(t *testing.T) {
	without := mustBuild(sample())
	if a := without.byName["inter.woff2"]; a.URL != "" {
		t.Errorf("a font that is not there has the address %s, want %q", a.URL, "")
	}
	if strings.Contains(string(without.byName["app.css"].Data), "@font-face") {
		t.Error("the style sheet names a font that is not there")
	}
	src := sample()
	src["vendor/inter.woff2"] = &fstest.MapFile{Data: []byte("wOF2....")}
	src["vendor/.stamp"] = &fstest.MapFile{}
	with := mustBuild(src)
	font := with.byName["inter.woff2"]
	if font.Gzip != nil || font.ContentType != "font/woff2" {
		t.Errorf("font: %+v", font)
	}
	css := string(with.byName["app.css"].Data)
	if !strings.Contains(css, `url("`+font.URL+`")`) || !strings.Contains(css, "font-display:optional") {
		t.Errorf("the style sheet does not load %s: %s", font.URL, css)
	}
	if len(with.byName) != 4 {
		t.Errorf("%d assets, want 4", len(with.byName))
	}
}

func TestIncompleteSource(t *testing.T) {
	for _, missing := range []string{"icon.svg", "css", "js", "vendor"} {
		src := sample()
		for name := range src {
			if strings.HasPrefix(name, missing) {
				delete(src, name)
			}
		}
		if _, err := build(src); err == nil {
			t.Errorf("built without %s", missing)
		}
	}
	src := sample()
	src["vendor/app.css"] = &fstest.MapFile{}
	if _, err := build(src); err == nil {
		t.Error("two assets of one name")
	}
}

func TestURLAndLookupAgree(t *testing.T) {
	for name, kind := range map[string]string{"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		url := URL(name)
		if !regexp.MustCompile(`^/static/[a-z]+\.[0-9a-f]{10}\.[a-z]+$`).MatchString(url) {
			t.Errorf("%s is at %q", name, url)
		}
		a, ok := Lookup(strings.TrimPrefix(url, Prefix))
		if !ok || a.Name != name || a.URL != url || !strings.HasPrefix(a.ContentType, kind) {
			t.Errorf("%s: %v %s %s %s", name, ok, a.Name, a.URL, a.ContentType)
		}
		if len(a.Data) == 0 || !strings.Contains(url, strings.Trim(a.ETag, `"`)) {
			t.Errorf("%s: %d bytes, etag %s", name, len(a.Data), a.ETag)
		}
	}
	for _, path := range []string{"", "app.css", "css/01-tokens.css", "app.0000000000.css", "vendor/.gitkeep", "../go.mod"} {
		if _, ok := Lookup(path); ok {
			t.Errorf("found %q", path)
		}
	}
	if url := URL("nothing.css"); url != "" {
		t.Errorf("nothing.css is at %s, want %q", url, "")
	}
}

func TestGzip(t *testing.T) {
	limits := map[string]int{"app.css": 14 << 10, "app.js": 12_000}
	for name, a := range assets.byName {
		if a.Gzip == nil {
			if strings.HasPrefix(a.ContentType, "text/") {
				t.Errorf("%s is not compressed", name)
			}
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(a.Gzip))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(data, a.Data) {
			t.Errorf("%s does not come out as it went in: %v", name, err)
		}
		t.Logf("%s: %d bytes, %d compressed", name, len(a.Data), len(a.Gzip))
		if limit := limits[name]; limit > 0 && len(a.Gzip) > limit {
			t.Errorf("%s is %d bytes compressed, over %d", name, len(a.Gzip), limit)
		}
	}
}

func TestStyleSheet(t *testing.T) {
	css := string(assets.byName["app.css"].Data)
	if open, closed := strings.Count(css, "{"), strings.Count(css, "}"); open != closed {
		t.Errorf("%d opening and %d closing braces", open, closed)
	}
	depth := 0
	for i, c := range css {
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth < 0 {
			t.Fatalf("a brace too many: …%s", css[max(0, i-80):i+1])
		}
	}
	for _, bad := range []string{"/*", "!important", "http:", "https:", "@import", "data:"} {
		if strings.Contains(css, bad) {
			t.Errorf("the style sheet has %s", bad)
		}
	}
	// Each token that is used is set.
	for _, m := range regexp.MustCompile(`var\((--[a-z0-9-]+)`).FindAllStringSubmatch(css, -1) {
		if !strings.Contains(css, m[1]+":") {
			t.Errorf("%s is used and never set", m[1])
		}
	}
	each(t, "css/*.css", func(name, text string) {
		if n := strings.Count(text, "\n"); n > 400 {
			t.Errorf("%s has %d lines", name, n)
		}
	})
}

// The pages come with a policy that knows no inline code and no inline style.
func TestScriptsKeepThePolicy(t *testing.T) {
	rules := map[string]*regexp.Regexp{
		"evaluates text":         regexp.MustCompile(`\beval\(|new Function|set(Timeout|Interval)\(\s*["'\x60]`),
		"writes markup":          regexp.MustCompile(`\b(inner|outer)HTML\s*\+?=|insertAdjacentHTML|document\.write`),
		"writes styles":          regexp.MustCompile(`\.style\b|style=|["']style["']\s*,|cssText`),
		"is no plain part":       regexp.MustCompile(`(?m)^\s*(import|export)\b`),
		"uses a comment block":   regexp.MustCompile(`/\*`),
		"keeps something around": regexp.MustCompile(`localStorage|sessionStorage|document\.cookie`),
	}
	each(t, "js/*.js", func(name, text string) {
		for what, rule := range rules {
			if name == "js/draft.js" && what == "keeps something around" {
				continue // settings that are not saved, without keys: TestDraftsHaveNoKeys in the browser
			}
			if at := rule.FindString(text); at != "" {
				t.Errorf("%s %s: %s, want %q", name, what, at, "")
			}
		}
		if strings.Count(text, "`")%2 != 0 {
			t.Errorf("%s: a back quote without its other", name)
		}
		for line := range strings.Lines(text) {
			if strings.Count(line, "`")%2 != 0 {
				t.Errorf("%s: a template over several lines: %s", name, line)
			}
		}
	})
}

func TestScriptParses(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	file := filepath.Join(t.TempDir(), "app.mjs")
	if err := os.WriteFile(file, assets.byName["app.js"].Data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(node, "--check", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func each(t *testing.T, pattern string, f func(name, text string)) {
	t.Helper()
	names, err := fs.Glob(files, pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		f(name, string(data))
	}
}
