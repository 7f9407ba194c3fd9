package system

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// visitor is a browser without a screen: it keeps cookies, and knows the server's authority.
type visitor struct {
	t      *testing.T
	s      *server
	client *http.Client
}

func (c *tenant) visitor() *visitor {
	c.s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.s.t.Fatal(err)
	}
	v := &visitor{t: c.s.t, s: c.s, client: &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.s.roots(), ServerName: "localhost"},
	}}}
	v.post("/login", url.Values{"uuid": {c.uuid}, "key": {c.key}})
	return v
}

func (v *visitor) post(path string, form url.Values) (http.Header, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), "POST", "https://"+v.s.http+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(req)
}

func (v *visitor) get(path string) string {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), "GET", "https://"+v.s.http+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	_, body := v.do(req)
	return body
}

func (v *visitor) do(req *http.Request) (http.Header, string) {
	v.t.Helper()
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("%s %s: %d %v\n%s", req.Method, req.URL.Path, resp.StatusCode, err, body)
	}
	return resp.Header, string(body)
}

// download fetches a bundle in a format into a folder. For a format with a password it returns that.
func (v *visitor) download(frontend, format, dir string) (password string) {
	v.t.Helper()
	header, body := v.post("/frontends/"+frontend+"/certificate", url.Values{"format": {format}})
	name := regexp.MustCompile(`filename="?([^";]+)`).FindStringSubmatch(header.Get("Content-Disposition"))
	if strings.HasPrefix(format, "p12") {
		name = regexp.MustCompile(`download="([^"]+)"`).FindStringSubmatch(body)
		password = regexp.MustCompile(`id="secret-1"[^>]*>([^<]+)<`).FindStringSubmatch(body)[1]
		data := regexp.MustCompile(`base64,([^"]+)"`).FindStringSubmatch(body)
		file, err := base64.StdEncoding.DecodeString(html.UnescapeString(data[1]))
		if err != nil {
			v.t.Fatal(err)
		}
		body = string(file)
	}
	if name == nil {
		v.t.Fatalf("%s: no file came: %v", format, header)
	}
	if err := os.WriteFile(filepath.Join(dir, name[1]), []byte(body), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return password
}

// command is what the page has to copy for a tool.
func (v *visitor) command(frontend, tool string) string {
	v.t.Helper()
	page := v.get("/frontends/" + frontend + "/connect?tool=" + tool)
	found := regexp.MustCompile(`(?s)<code id="command">(.*?)</code>`).FindStringSubmatch(page)
	if found == nil {
		v.t.Fatalf("the page for %s has no command", tool)
	}
	return html.UnescapeString(regexp.MustCompile(`<[^>]+>`).ReplaceAllString(found[1], ""))
}

// runs hands a command to a shell as it is, in the folder where the bundle was downloaded.
func runs(t *testing.T, dir, command, input string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = time.Second
	// The tests' own programs are where the tests put them; a person has them installed.
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binaries.client)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\nof\n%s", err, out, command)
	}
	return string(out)
}

// Every command of the connect page, taken from the page and run unchanged, with the server that it is for.
func TestCommandsOfTheConnectPage(t *testing.T) {
	s := start(t, dataDir(t))
	c := s.signUp("commands")
	database := postgresServer(t)
	_, port, _ := net.SplitHostPort(database)
	if out, err := exec.Command("psql", "-h", "127.0.0.1", "-p", port, "-U", "xlb", "-c", "create role postgres superuser login", "postgres").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	v := c.visitor()
	site := c.frontend(web(t, "one"))
	for _, tool := range []struct{ id, program, frontend, input, want string }{
		{"balancer-client", "", site, "", "one"},
		{"curl", "curl", site, "", "upstream one"},
		{"openssl", "openssl", site, "GET / HTTP/1.0\r\n\r\n", "upstream one"},
		{"psql", "psql", c.frontend(database), "", "PostgreSQL"},
		{"redis-cli", "redis-cli", c.frontend(redisServer(t)), "", "PONG"},
		{"go", "go", site, "", "upstream one"},
		{"python", "python3", site, "", "upstream one"},
		{"node", "node", site, "", "upstream one"},
		{"java", "java", site, "", "upstream one"},
	} {
		t.Run(tool.id, func(t *testing.T) {
			if _, err := exec.LookPath(tool.program); tool.program != "" && err != nil {
				if os.Getenv("XLB_ALL_PEERS") != "" || !optionalTools[tool.program] {
					t.Fatalf("%v: install it", err)
				}
				t.Skipf("%s is not installed; make check installs it", tool.program)
			}
			dir := t.TempDir()
			v.download(tool.frontend, "zip", dir)
			if out := runs(t, dir, v.command(tool.frontend, tool.id), tool.input); !strings.Contains(out, tool.want) {
				t.Errorf("it said\n%s\nwant %q", out, tool.want)
			}
		})
	}
	for _, format := range []string{"tar.gz", "pem", "p12", "k8s"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			password := v.download(site, format, dir)
			if out := runs(t, dir, v.command(site, "curl"), password+"\n"); !strings.Contains(out, "upstream one") {
				t.Errorf("it said\n%s\nwant %q", out, "upstream one")
			}
			keys, _ := filepath.Glob(filepath.Join(dir, "*", "key.pem"))
			if len(keys) != 1 {
				t.Fatalf("%d files key.pem, want 1", len(keys))
			}
			if info, err := os.Stat(keys[0]); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("key.pem has mode %v (%v), want 0600", info.Mode(), err)
			}
		})
	}
}

// optionalTools are those that make test does not install.
var optionalTools = map[string]bool{"python3": true, "node": true, "java": true}
