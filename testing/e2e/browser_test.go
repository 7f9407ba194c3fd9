package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// One server and one browser for the whole package; each test has a browser context of its own.
var (
	xlb      process
	chromium context.Context
)

type process struct{ binary, dir, http, lb string }

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "xlb-e2e")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	stop, err := startXLB(dir)
	if err != nil {
		return 0, err
	}
	defer stop()
	path, err := findBrowser()
	if err != nil {
		return 0, err
	}
	served, err := servedSPKI()
	if err != nil {
		return 0, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Flag("ignore-certificate-errors-spki-list", served), // this server's certificate and no other
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1"),
		chromedp.Flag("force-device-scale-factor", "1"), chromedp.Flag("lang", "en-US"), chromedp.WindowSize(1440, 1000),
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	defer endAllocator()
	var endBrowser context.CancelFunc
	chromium, endBrowser = chromedp.NewContext(allocator, chromedp.WithErrorf(func(string, ...any) {}))
	defer endBrowser()
	defer chromedp.Cancel(chromium)
	if err := chromedp.Run(chromium); err != nil {
		return 0, fmt.Errorf("start the browser: %w", err)
	}
	return m.Run(), nil
}

// findBrowser fails rather than skips: pages that nobody has looked at are not tested. The program
// itself comes before Debian's script around it, which would leave the browser behind when it is ended.
func findBrowser() (string, error) {
	for _, name := range []string{os.Getenv("XLB_CHROME"), "/usr/lib/chromium/chromium-headless-shell", "chromium-headless-shell", "chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no browser: apt-get install chromium-headless-shell, or set XLB_CHROME")
}

func startXLB(dir string) (stop func(), err error) {
	binary := filepath.Join(dir, "xlb")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	xlb = process{binary: binary, dir: filepath.Join(dir, "data"), http: freePort(), lb: freePort()}
	ops := freePort()
	_, httpPort, _ := net.SplitHostPort(xlb.http)
	xlb.http = "localhost:" + httpPort
	cmd := exec.Command(binary, "-data-dir", xlb.dir, "-http-addr", xlb.http, "-lb-addr", xlb.lb, "-ops-addr", ops,
		"-signup-rate", "0", "-drain-timeout", "2s")
	output := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + ops + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return stop, nil
			}
		}
	}
	stop()
	return nil, fmt.Errorf("xlb was not ready in 30 s\n%s", output)
}

// servedSPKI is the hash of the public key that the server presents to a client that verifies it with
// the authority in the data directory.
func servedSPKI() (string, error) {
	pem, err := os.ReadFile(filepath.Join(xlb.dir, "cacert.pem"))
	if err != nil {
		return "", err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", xlb.http, &tls.Config{RootCAs: pool})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// roots is the server's own authority.
func roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(xlb.dir, "cacert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// tab is a browser context of its own: no cookies of other tests. It fails the test on any console
// error, exception, violated policy or failed request.
type tab struct {
	t         *testing.T
	ctx       context.Context
	scripted  bool // the page's own scripts run
	downloads string
	allowed   []string
	mu        sync.Mutex
	problems  []string
}

func newTab(t *testing.T, actions ...chromedp.Action) *tab {
	t.Helper()
	return newTabFor(t, tabPatience, actions...)
}

// newTabFor is a tab that is there for so long.
func newTabFor(t *testing.T, patience time.Duration, actions ...chromedp.Action) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancelTime := context.WithTimeout(ctx, patience)
	t.Cleanup(cancelTime)
	b := &tab{t: t, ctx: ctx, scripted: true, downloads: t.TempDir()}
	chromedp.ListenTarget(ctx, b.listen)
	allow := chromedp.ActionFunc(func(ctx context.Context) error {
		of := chromedp.FromContext(ctx).BrowserContextID
		for _, name := range []string{"clipboard-write", "clipboard-read"} {
			if err := browser.SetPermission(&browser.PermissionDescriptor{Name: name}, browser.PermissionSettingGranted).WithBrowserContextID(of).Do(ctx); err != nil {
				return err
			}
		}
		return browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).
			WithBrowserContextID(of).WithDownloadPath(b.downloads).Do(ctx)
	})
	setup := append([]chromedp.Action{network.Enable(), log.Enable(), runtime.Enable(), allow}, actions...)
	if err := chromedp.Run(ctx, setup...); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	t.Cleanup(b.check)
	return b
}

// newTabWithoutScript is a tab in which pages run no script. What a test evaluates runs all the same.
func newTabWithoutScript(t *testing.T) *tab {
	b := newTab(t, emulation.SetScriptExecutionDisabled(true))
	b.scripted = false
	return b
}

func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.problem("exception: %s", e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			b.problem("console: %v", e.Args)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.problem("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventLoadingFailed:
		if e.ErrorText != "net::ERR_ABORTED" {
			b.problem("request failed: %s %s", e.Type, e.ErrorText)
		}
	}
}

func (b *tab) problem(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// allow expects problems with this text: a step was meant to fail. They may be reported late.
func (b *tab) allow(text string) { b.allowed = append(b.allowed, text) }

func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		if !slices.ContainsFunc(b.allowed, func(text string) bool { return strings.Contains(p, text) }) {
			b.t.Error(p)
		}
	}
	if b.t.Failed() && b.ctx.Err() == nil {
		b.screenshot("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
	}
}

func (b *tab) path() string {
	b.t.Helper()
	var url string
	b.until("location", `location.href`, &url)
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	return "/" + path
}

// downloaded waits for a file in the download folder.
func (b *tab) downloaded(suffix string) string {
	b.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(poll) {
		files, _ := filepath.Glob(filepath.Join(b.downloads, "*"+suffix))
		if len(files) > 0 {
			if info, err := os.Stat(files[0]); err == nil && info.Size() > 0 {
				return files[0]
			}
		}
	}
	b.t.Fatalf("no %s was downloaded", suffix)
	return ""
}

// shoot makes sure that the page fits its window, wide and narrow, and writes pictures of it, light and
// dark, into the folder that XLB_SHOTS names, if it does.
func (b *tab) shoot(name string) {
	b.t.Helper()
	b.loaded()
	b.run("to the top", chromedp.Evaluate(`scrollTo(0, 0)`, nil)) // or the bar lies over what is checked
	for _, width := range []int64{1440, 375} {
		b.run("resize", emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500))
		var over int
		b.until(fmt.Sprintf("a window of %d pixels", width),
			fmt.Sprintf(`innerWidth >= %d && innerWidth - %[1]d < 50 ? document.scrollingElement.scrollWidth - %[1]d : null`, width), &over)
		if over > 0 {
			b.t.Errorf("%s is %d pixels wider than a window of %d", name, over, width)
		}
		for _, theme := range []string{"light", "dark"} {
			if !accessChecked(name, width, theme) && os.Getenv("XLB_SHOTS") == "" {
				continue
			}
			b.run(theme, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}))
			if accessChecked(name, width, theme) {
				b.checkAccess(fmt.Sprintf("%s, %s, %d pixels", name, theme, width))
			}
			b.screenshot(fmt.Sprintf("%s-%s-%d", name, theme, width))
		}
	}
	b.run("resize back", emulation.SetDeviceMetricsOverride(1440, 900, 1, false))
}

func (b *tab) screenshot(name string) {
	dir := os.Getenv("XLB_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(b.ctx, chromedp.FullScreenshot(&png, 100)); err == nil {
		os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// offline takes the network away from the tab, or gives it back.
func (b *tab) offline(yes bool) {
	b.t.Helper()
	all := []*network.Conditions{{DownloadThroughput: -1, UploadThroughput: -1}}
	b.run("network", chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := network.EmulateNetworkConditionsByRule(yes, all).Do(ctx)
		return err
	}))
}
