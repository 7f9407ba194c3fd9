package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/xdire/xlb"
)

// rule is what a package may import: which of ours, and which modules of others.
// Standard packages are free unless never names them, with the reason.
type rule struct {
	ours   []string
	others []string
	never  map[string]string
}

var rules = map[string]rule{
	"lb/internal/record": {
		others: []string{"golang.org/x/sys"},
		never: map[string]string{
			"net/http": "records only", "log": "the caller decides what is logged", "log/slog": "the caller decides what is logged",
			"crypto/x509": "certificates are the handshake's",
		},
	},
	"lb/internal/nettest": {},
	"lb/internal/loop": {
		ours:   []string{"internal/heap", "lb/internal/record"},
		others: []string{"golang.org/x/sys"},
		never:  map[string]string{"net/http": "bytes only", "log": "nothing here may wait", "log/slog": "nothing here may wait"},
	},
	"lb/health": {
		ours: []string{"internal/heap"},
		never: map[string]string{
			"net/http": "it would bring an HTTP server along", "log": "the caller decides what is logged", "log/slog": "the caller decides what is logged",
			"encoding/json": "wire formats belong to handlers",
		},
	},
	"lb": {
		ours:   []string{"internal/heap", "internal/source", "lb/health", "lb/internal/loop", "lb/internal/record"},
		others: []string{"golang.org/x/sys"},
		never: map[string]string{
			"net/http": "a TCP library must not carry an HTTP server",
			"log":      "the caller decides what is logged", "log/slog": "the caller decides what is logged",
			"encoding/json": "wire formats belong to handlers",
		},
	},
	"pki": {
		ours:   []string{"internal/turns"},
		others: []string{"github.com/youmark/pkcs8", "software.sslmate.com/src/go-pkcs12"},
		never:  map[string]string{"os": "bytes in, bytes out", "net": "bytes in, bytes out"},
	},
	"store": {
		others: []string{"github.com/dgraph-io/badger/v4", "golang.org/x/sys"},
		never: map[string]string{
			"net/http": "records only", "crypto/x509": "certificates are pki's, here they are records",
		},
	},
	"control/live": {
		ours:   []string{"internal/heap", "internal/lines", "store", "pki", "lb", "lb/health"},
		others: []string{"golang.org/x/time"},
		never:  map[string]string{"net/http": "records in, pools and status out"},
	},
	"control": {
		ours:   []string{"control/live", "internal/backup", "internal/demo", "internal/egress", "internal/lines", "internal/relay", "internal/source", "store", "pki", "lb"},
		others: []string{"github.com/golang-jwt/jwt/v5", "github.com/google/uuid", "golang.org/x/crypto", "golang.org/x/time"},
		never:  map[string]string{"net/http": "rules know no transport"},
	},
	"views": {
		others: []string{"github.com/a-h/templ"},
		never:  map[string]string{"net/http": "props in, HTML out"},
	},
	"static": {others: []string{"github.com/klauspost/compress"}},
	"internal/command": {
		ours:   []string{"internal/backup", "internal/certfile", "internal/config", "internal/datadir", "internal/egress", "pki", "store"},
		others: []string{"filippo.io/age", "github.com/smallstep/truststore", "golang.org/x/sys"},
	},
	"internal/acmecert": {others: []string{"golang.org/x/crypto"}, never: map[string]string{"os": "what is kept is the Keeper's"}},
	"internal/certfile": {},
	"internal/backup":   {never: map[string]string{"os": "bytes in, bytes out"}},
	"internal/config":   {ours: []string{"internal/egress"}},
	"internal/demo":     {},
	"internal/egress":   {},
	"internal/datadir":  {ours: []string{"internal/backup", "pki", "store"}},
	"internal/files":    {},
	"internal/relay":    {ours: []string{"store"}},
	"internal/heap":     {},
	"internal/source":   {ours: []string{"internal/heap"}},
	"internal/lines":    {},
	"internal/turns":    {},
	"handlers": {
		ours:   []string{"control", "internal/turns", "views"},
		others: []string{"github.com/danielgtaylor/huma/v2", "github.com/a-h/templ", "github.com/klauspost/compress"},
	},
	"web": {
		ours: []string{"control", "handlers", "internal/relay", "internal/source", "lb", "static"},
		others: []string{
			"github.com/go-chi/chi/v5", "github.com/gorilla/sessions",
			"github.com/danielgtaylor/huma/v2", "github.com/klauspost/compress",
			"github.com/prometheus/client_golang", "github.com/prometheus/common",
		},
	},
	"internal/serve": {
		ours:   []string{"control", "internal/acmecert", "internal/certfile", "internal/config", "internal/datadir", "internal/files", "internal/relay", "lb", "store", "web"},
		others: []string{"github.com/coreos/go-systemd/v22", "golang.org/x/sync", "golang.org/x/sys"},
	},
	".":                       {ours: []string{"internal/command", "internal/config", "internal/datadir", "internal/serve"}},
	"testing/balancer-client": {},
	"testing/acme":            {},
	"testing/system":          {ours: []string{"testing/process"}},
	"testing/abuse":           {ours: []string{"testing/process"}},
	"testing/process":         {},
	"testing/dist":            {ours: []string{"testing/process"}},
	"testing/house":           {},
}

// file is one parsed source file, tests left out.
type file struct {
	path string
	ast  *ast.File
}

// packages parses the module in-process: a test built on `go list` would be hidden by the test cache.
func packages(t *testing.T, mode parser.Mode) map[string][]file {
	t.Helper()
	found := map[string][]file{}
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if skipDir(rel) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, path, nil, mode)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		found[dir] = append(found[dir], file{path: rel, ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func skipDir(rel string) bool {
	switch filepath.ToSlash(rel) {
	case ".git", "node_modules", "bin", "data", "testing/e2e", "testing/bench":
		return true
	}
	return false
}

func TestPackagesImportOnlyWhatTheirFloorAllows(t *testing.T) {
	for dir, files := range packages(t, parser.ImportsOnly) {
		allowed, known := rules[dir]
		if !known {
			t.Errorf("package %s has no rule: add it to the table with what it may import", dir)
			continue
		}
		for _, f := range files {
			for _, imported := range f.ast.Imports {
				path, _ := strconv.Unquote(imported.Path.Value)
				if why := forbidden(allowed, path); why != "" {
					t.Errorf("%s imports %s: %s, want %q", f.path, path, why, "")
				}
			}
		}
	}
}

func forbidden(allowed rule, path string) string {
	if why, no := allowed.never[path]; no {
		return why
	}
	if ours, isOurs := strings.CutPrefix(path, module+"/"); isOurs {
		if !slices.Contains(allowed.ours, ours) {
			return "not below it in the house"
		}
		return ""
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return ""
	}
	for _, other := range allowed.others {
		if path == other || strings.HasPrefix(path, other+"/") {
			return ""
		}
	}
	return "a library its floor does not list"
}

// Goroutines have owners: the balancer, and the task list of main. There are three exceptions: the store calls Badger's Close,
// which takes no context and waits for ever on a disk that has failed; the other side of a connection to the demo
// upstream ends with the balancer's; and autocert takes no context, and gives up after five minutes.
func TestGoroutinesStartOnlyInTheBalancer(t *testing.T) {
	for dir, files := range packages(t, parser.SkipObjectResolution) {
		if dir == "lb" || strings.HasPrefix(dir, "testing/") {
			continue
		}
		for _, f := range files {
			if f.path == "store/reopen.go" || f.path == "internal/demo/demo.go" || f.path == "internal/acmecert/acmecert.go" {
				continue
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if _, is := n.(*ast.GoStmt); is {
					t.Errorf("%s starts a goroutine: offer Run(ctx) error and let internal/serve own it", f.path)
				}
				return true
			})
		}
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	for dir, files := range packages(t, parser.ParseComments|parser.PackageClauseOnly) {
		documented := slices.ContainsFunc(files, func(f file) bool { return f.ast.Doc != nil })
		if !documented {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

func TestRootPackageIsMainAlone(t *testing.T) {
	for _, f := range packages(t, parser.PackageClauseOnly)["."] {
		if f.path != "main.go" {
			t.Errorf("%s: people start XLB with `go run main.go`, so the root package is main.go alone, want main.go", f.path)
		}
	}
}
