package e2e

import (
	"archive/zip"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// upstream is an HTTP server that says who it is.
func upstream(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "upstream %s", name)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

// bundle is what a person finds in the zip that the browser downloaded.
type bundle struct {
	pair   tls.Certificate
	roots  *x509.CertPool
	readme string
}

func unzip(t *testing.T, path string) bundle {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := map[string][]byte{}
	for _, f := range archive.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(f.Name)], err = io.ReadAll(content)
		content.Close()
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(f.Name) == "key.pem" && f.Mode().Perm() != 0o600 {
			t.Errorf("key.pem is unpacked with mode %v, want 0600", f.Mode().Perm())
		}
	}
	b := bundle{roots: x509.NewCertPool(), readme: string(files["README.txt"])}
	if b.pair, err = tls.X509KeyPair(files["cert.pem"], files["key.pem"]); err != nil {
		t.Fatalf("%v; the zip has %d files", err, len(files))
	}
	if !b.roots.AppendCertsFromPEM(files["ca.pem"]) {
		t.Fatal("ca.pem has no certificate")
	}
	return b
}

// get makes one request through the balancer with the bundle, and verifies the server with its ca.pem.
func (b bundle) get(t *testing.T) string {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{b.pair}, RootCAs: b.roots}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Timeout: 10 * time.Second, Transport: transport}).Get("https://" + xlb.lb + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hold opens a connection through the balancer, uses it once, and keeps it until the test ends.
func (b bundle) hold(t *testing.T) {
	t.Helper()
	conn, err := tls.Dial("tcp", xlb.lb, &tls.Config{Certificates: []tls.Certificate{b.pair}, RootCAs: b.roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// signUp goes through /signup, to the page that asks for routes.
func (b *tab) signUp(name string) (id string) {
	b.t.Helper()
	id, _ = b.signUpForKey(name)
	b.press("I have saved it")
	b.holds("the panel is gone", `document.querySelector("#secret-1") === null`)
	return id
}

// signUpForKey goes through /signup and returns the id and the key that the next page shows, in a panel that stays.
func (b *tab) signUpForKey(name string) (id, key string) {
	b.t.Helper()
	b.open("/signup")
	b.fill("#name", name)
	b.follow("Create client")
	b.see("Save your client key now")
	return b.text("#secret-1"), b.text("#secret-2")
}

// The whole of the wizard, as a person with a browser goes through it.
func TestFromSignUpToTheFirstByte(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	id, key := b.signUpForKey("Payments team")
	if !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(id) || len(key) < 32 {
		t.Fatalf("id %q, key of %d characters", id, len(key))
	}
	b.shoot("new-with-key")
	b.press("Download xlb-client.env")
	env, err := os.ReadFile(b.downloaded(".env"))
	if err != nil || !strings.Contains(string(env), id) || !strings.Contains(string(env), key) {
		t.Errorf("the .env file lacks id or key: %v", err)
	}

	one, two := upstream(t, "one"), upstream(t, "two")
	b.fill(rowInput(1), one)
	b.fill(rowInput(2), two)
	b.fill("#name", "web")
	b.holds("a check of the route", `document.querySelector("[data-row]:nth-child(1) .good")?.checkVisibility()`)
	b.shoot("new-checked")
	b.follow("Create frontend")

	b.see("Download the certificate")
	b.shoot("certificate")
	b.follow("Download xlb-web.zip")
	got := unzip(t, b.downloaded(".zip"))
	for _, wanted := range []string{xlb.lb[strings.LastIndex(xlb.lb, ":"):], "SHA-256", "xpires"} {
		if !strings.Contains(got.readme, wanted) {
			t.Errorf("the README of the zip does not mention %q:\n%s", wanted, got.readme)
		}
	}

	b.see("Waiting for the first connection")
	b.shoot("connect-waiting")
	if text := got.get(t); text != "upstream one" && text != "upstream two" {
		t.Fatalf("the balancer answered %q", text)
	}
	b.see("Connected") // by itself: nothing is pressed
	b.shoot("connect-connected")
	b.follow("Open web")
	b.see("Right now")
	b.see(one)
	b.shoot("frontend")
	if text := b.text("#main"); strings.Contains(text, key) {
		t.Error("the key is shown a second time")
	}
}

// A reload must not show the key again, nor create a second client.
func TestKeyIsShownOnce(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	_, key := b.signUpForKey("Once")
	b.press("I have saved it")
	b.leave("reload", func() { b.run("reload", chromedp.Reload()) })
	b.see("Where should traffic go?")
	var html string
	b.until("read", `document.documentElement.outerHTML`, &html)
	if strings.Contains(html, key) || strings.Contains(html, "Save your client key") {
		t.Error("the key is shown again after a reload")
	}
}

// Every step with scripts switched off.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	b := newTabWithoutScript(t)
	id, key := b.signUpForKey("No scripts")
	b.shoot("noscript-key")
	b.leave("reload", func() { b.run("reload", chromedp.Reload()) })
	b.see("This key was shown already.")
	b.allow("409")
	b.shoot("noscript-key-again")
	b.open("/frontends/new")
	b.shoot("noscript-new")
	b.fill(rowInput(1), "nonsense")
	b.follow("Create frontend")
	b.see("port")
	b.allow("422")
	b.shoot("noscript-new-error")
	b.fill(rowInput(1), upstream(t, "plain"))
	b.follow("Create frontend")
	b.see("Download the certificate")
	b.press("Download ")
	got := unzip(t, b.downloaded(".zip"))
	b.follow("I have it")
	b.see("Waiting for the first connection")
	b.shoot("noscript-connect")
	if text := got.get(t); text != "upstream plain" {
		t.Fatalf("got %q, want %q", text, "upstream plain")
	}
	b.follow("Refresh")
	b.see("Connected")
	b.follow("Open ")
	b.see("Right now")
	b.follow("Settings")
	b.fill("#name", "renamed")
	b.follow("Save changes")
	b.see("renamed")
	b.follow("Delete frontend")
	b.fill("#name", "renamed")
	b.follow("Delete frontend")
	b.see("No frontends yet")
	b.open("/account")
	b.follow("Log out")
	b.see("Log in")
	b.fill("#uuid", id)
	b.fill("#key", key)
	b.follow("Log in")
	b.see("No scripts")
}

// The panel with the key stays, whatever the reader does, until the key was copied, saved or put away.
func TestKeyStaysUntilItIsSaved(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	_, key := b.signUpForKey("Keeper")
	held := `document.querySelector("#main [data-unsaved] #secret-2")?.textContent.trim() === "` + key + `"`
	b.fill(rowInput(1), "http://10.0.0.1:80")
	b.follow("Create frontend")
	b.see("Leave out http://")
	b.allow("422")
	b.holds("the key after an error in the form", held)
	b.shoot("new-error-with-key")
	b.follow("Finish later")
	b.see("Get to the first byte")
	b.holds("the key after Finish later", held)
	b.shoot("overview-with-key")
	b.leave("back", func() { b.run("back", chromedp.Evaluate(`history.back()`, nil)) })
	b.holds("the key after Back", held)
	asked := make(chan string, 1)
	chromedp.ListenTarget(b.ctx, func(event any) {
		if e, ok := event.(*page.EventJavascriptDialogOpening); ok {
			asked <- string(e.Type)
			go chromedp.Run(b.ctx, page.HandleJavaScriptDialog(false))
		}
	})
	go chromedp.Run(b.ctx, chromedp.Reload())
	select {
	case what := <-asked:
		if what != "beforeunload" {
			t.Errorf("the browser asks about %s, want beforeunload", what)
		}
	case <-time.After(patience):
		t.Error("a reload does not ask first")
	}
	b.holds("the key after a reload that was called off", held)
	b.press("Copy both")
	b.holds("saved", `document.querySelector("[data-unsaved]") === null && document.querySelector("#secret-2") !== null`)
	b.follow("Finish later")
	b.see("Get to the first byte")
	b.holds("the key is gone", `document.querySelector("#secret-2") === null`)
}

// Who has nothing running takes the demo upstream, offered while no route is typed.
func TestDemoUpstream(t *testing.T) {
	t.Parallel()
	b := newTab(t)
	b.signUp("Demo")
	b.holds("the offer", `document.querySelector("[data-demo]").checkVisibility()`)
	b.fill(rowInput(1), "10.0.0.1:80")
	b.holds("no offer beside a route", `!document.querySelector("[data-demo]").checkVisibility()`)
	b.fill(rowInput(1), "x")
	b.run("clear", chromedp.KeyEvent("\b"))
	b.shoot("new-demo")
	b.follow("Use the demo upstream")
	b.see("Whoever holds it reaches demo")
	b.follow("Download xlb-demo.zip")
	bundle := unzip(t, b.downloaded(".zip"))
	b.see("curl --cert cert.pem")
	if text := bundle.get(t); !strings.Contains(text, "This is the demo upstream of XLB.") {
		t.Errorf("the demo upstream says %q", text)
	}
	b.see("Connected")
	b.follow("Open demo")
	b.see("192.0.2.1:80")
}

// refused connects with a certificate that is let in no more.
func (b bundle) refused(t *testing.T) {
	t.Helper()
	conn, err := tls.Dial("tcp", xlb.lb, &tls.Config{Certificates: []tls.Certificate{b.pair}, RootCAs: b.roots})
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a revoked certificate is let in, want it refused")
	}
}
