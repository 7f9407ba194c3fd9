// Package static holds what the browser loads besides the pages: the style
// sheet, the scripts, the font and the icon. Everything is embedded, named by
// its content (so it can be cached for good) and compressed once at start.
//
// The style sheet is the files of css/ joined in the order of their names.
//
// The script is the files of js/ joined in the order of their names into one
// module. A part neither imports nor exports: each one is put into a block of
// its own, so its names stay private. The first part, 00-shared.js, is in no
// block: what it declares is for all. Parts talk through events of the
// document ("xlb:swap" after new markup came in, "xlb:say" for a text to
// announce, "xlb:pause" to pause the live updates). Lines that are only a
// comment are left out of the result, therefore no template literal or block
// comment may reach over several lines.
package static

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/klauspost/compress/gzip" // packs closer than the standard library's: the scripts have a budget
)

// The directory vendor is filled by "make assets" and may be empty; the pages
// are right without it.
//
//go:embed css js icon.svg all:vendor
var files embed.FS

// Prefix is the path under which the assets are served.
const Prefix = "/static/"

// Asset is one file as it goes to the browser.
type Asset struct {
	Name        string // as the markup asks for it: "app.css"
	URL         string // "/static/app.0123456789.css"
	ContentType string
	Data        []byte
	Gzip        []byte // nil when compressing does not pay
	ETag        string // quoted
}

var assets = mustBuild(files)

// URL returns the address of the named asset, "" when there is none.
func URL(name string) string { return assets.byName[name].URL }

// Lookup finds an asset by its hashed path, as it follows Prefix.
func Lookup(path string) (Asset, bool) {
	a, ok := assets.byPath[path]
	return a, ok
}

type set struct {
	byName, byPath map[string]Asset
}

var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

func mustBuild(src fs.FS) set {
	s, err := build(src)
	if err != nil {
		panic("static: " + err.Error())
	}
	return s
}

func build(src fs.FS) (set, error) {
	s := set{byName: map[string]Asset{}, byPath: map[string]Asset{}}

	icon, err := fs.ReadFile(src, "icon.svg")
	if err != nil {
		return s, err
	}
	if err := s.add("icon.svg", icon); err != nil {
		return s, err
	}

	vendor, err := fs.ReadDir(src, "vendor")
	if err != nil {
		return s, err
	}
	for _, e := range vendor {
		if e.IsDir() || contentTypes[path.Ext(e.Name())] == "" {
			continue
		}
		data, err := fs.ReadFile(src, "vendor/"+e.Name())
		if err != nil {
			return s, err
		}
		if err := s.add(e.Name(), data); err != nil {
			return s, err
		}
	}

	css, err := joinCSS(src)
	if err != nil {
		return s, err
	}
	if font, ok := s.byName["inter.woff2"]; ok {
		css = append(css, fontFace(font.URL)...)
	}
	if err := s.add("app.css", css); err != nil {
		return s, err
	}

	js, err := joinJS(src)
	if err != nil {
		return s, err
	}
	return s, s.add("app.js", js)
}

func (s set) add(name string, data []byte) error {
	if _, ok := s.byName[name]; ok {
		return fmt.Errorf("two assets are named %s", name)
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])[:10]
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hash + ext
	a := Asset{
		Name:        name,
		URL:         Prefix + hashed,
		ContentType: contentTypes[ext],
		Data:        data,
		ETag:        `"` + hash + `"`,
	}
	if ext != ".woff2" {
		packed, err := compress(data)
		if err != nil {
			return err
		}
		if len(packed) < len(data) {
			a.Gzip = packed
		}
	}
	s.byName[name] = a
	s.byPath[hashed] = a
	return nil
}

func compress(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// fontFace names the font twice, as the token --font does. "optional" shows
// the font only when it is there at once, so no text ever moves.
func fontFace(url string) string {
	return `@font-face{font-family:"Inter Variable";src:url("` + url +
		`") format("woff2");font-weight:100 900;font-style:normal;font-display:optional}` + "\n"
}

var (
	cssComment = regexp.MustCompile(`(?s)/\*.*?\*/`)
	cssSpace   = regexp.MustCompile(`\s+`)
	cssTight   = regexp.MustCompile(` ?([{};]) ?`)
)

// joinCSS joins the style sheets and takes out comments and idle white space.
// Strings in them therefore hold no braces, semicolons or runs of spaces.
func joinCSS(src fs.FS) ([]byte, error) {
	text, err := readAll(src, "css/*.css", func(b *bytes.Buffer, _ string, data []byte) { b.Write(data) })
	if err != nil {
		return nil, err
	}
	text = cssComment.ReplaceAll(text, nil)
	text = cssSpace.ReplaceAll(text, []byte(" "))
	text = cssTight.ReplaceAll(text, []byte("$1"))
	text = bytes.ReplaceAll(text, []byte(": "), []byte(":"))
	text = bytes.ReplaceAll(text, []byte(";}"), []byte("}"))
	return append(bytes.TrimSpace(text), '\n'), nil
}

func joinJS(src fs.FS) ([]byte, error) {
	return readAll(src, "js/*.js", func(b *bytes.Buffer, name string, data []byte) {
		isShared := path.Base(name) == "00-shared.js"
		if !isShared {
			b.WriteString("{\n")
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "//") {
				continue
			}
			b.WriteString(line)
			b.WriteByte('\n')
		}
		if !isShared {
			b.WriteString("}\n")
		}
	})
}

func readAll(src fs.FS, pattern string, join func(b *bytes.Buffer, name string, data []byte)) ([]byte, error) {
	names, err := fs.Glob(src, pattern) // sorted by name
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("nothing matches %s", pattern)
	}
	var b bytes.Buffer
	for _, name := range names {
		data, err := fs.ReadFile(src, name)
		if err != nil {
			return nil, err
		}
		join(&b, name, data)
	}
	return b.Bytes(), nil
}
