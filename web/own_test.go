package web

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdire/xlb/control"
)

func TestClientChangesItsName(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	read := c.call("GET", "/api/v1/client", "")
	etag := read.header.Get("ETag")
	wantProblem(t, c.call("PATCH", "/api/v1/client", `{"name":"x"}`), 428, "")
	wantProblem(t, c.call("PATCH", "/api/v1/client", `{"name":"x"}`, "If-Match", `"1"`), 412, "")
	wantProblem(t, c.call("PATCH", "/api/v1/client", `{"name":""}`, "If-Match", etag), 422, "body.name")
	a := c.call("PATCH", "/api/v1/client", `{"name":"renamed"}`, "If-Match", etag)
	if a.status != 200 || a.object(t)["name"] != "renamed" || a.header.Get("ETag") == etag {
		t.Fatalf("got %d %s, want 200 with the new name and another ETag", a.status, a.body)
	}
	wantProblem(t, c.call("PATCH", "/api/v1/client", `{"name":"again"}`, "If-Match", etag), 412, "")
	if v := c.call("GET", "/api/v1/client", ""); v.object(t)["name"] != "renamed" || v.header.Get("ETag") != a.header.Get("ETag") {
		t.Errorf("got %s, want the new name and its ETag", v.body)
	}
}

// What belonged to a client ends with it.
func TestClientDeletesItself(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	other := f.signUp("other")
	otherFrontend := other.frontend(echoes(t))
	stays, _ := other.identity(otherFrontend, "x")
	bystander := f.connect(address, stays)
	id := c.frontend(echoes(t))
	cert, _ := c.identity(id, "program")
	p, cookie := f.connect(address, cert), f.cookieOf(c)
	wantProblem(t, c.call("DELETE", "/api/v1/client", ""), 428, "")
	if a := c.call("DELETE", "/api/v1/client", "", "If-Match", c.call("GET", "/api/v1/client", "").header.Get("ETag")); a.status != 204 {
		t.Fatalf("%d %s, want 204", a.status, a.body)
	}
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("its certificate still opens the door")
	}
	p.ends(t)
	wantProblem(t, c.call("GET", "/api/v1/client/frontend", ""), 401, "")
	if a := f.tokenFor(c.uuid, c.key); a.status != 401 {
		t.Errorf("its key: %d, want 401", a.status)
	}
	if a := f.do("GET", "/", nil, "Cookie", cookie); a.status != 303 {
		t.Errorf("its browser: %d, want 303", a.status)
	}
	if !bystander.works() {
		t.Error("another client's connection was closed")
	}
}

func TestKeyIsRotated(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	first := c.key
	a := c.call("POST", "/api/v1/client/key", `{"graceSec":3600}`)
	second, _ := a.object(t)["key"].(string)
	if a.status != 200 || len(second) != 64 || second == first || a.object(t)["oldKeyUntil"] == nil {
		t.Fatalf("got %d %s, want 200 with another key of 64 digits, and until when the old one goes on", a.status, a.body)
	}
	for _, key := range []string{first, second} {
		if got := f.tokenFor(c.uuid, key); got.status != 200 {
			t.Errorf("in the grace period: %d, want 200", got.status)
		}
	}
	third := c.call("POST", "/api/v1/client/key", "").object(t)["key"].(string) // no grace
	for key, want := range map[string]int{first: 401, second: 401, third: 200} {
		if got := f.tokenFor(c.uuid, key); got.status != want {
			t.Errorf("after the second rotation: %d, want %d", got.status, want)
		}
	}
	wantProblem(t, c.call("POST", "/api/v1/client/key", `{"graceSec":604801}`), 422, "body.graceSec")
	if text := f.log.String(); strings.Contains(text, second) || strings.Contains(text, third) {
		t.Error("a key is in the log")
	}
}

func TestTokensAreRevoked(t *testing.T) {
	f := start(t)
	c, other := f.signUp("testuser"), f.signUp("other")
	if a := c.call("DELETE", "/api/v1/client/tokens", ""); a.status != 204 {
		t.Fatalf("%d %s, want 204", a.status, a.body)
	}
	wantProblem(t, c.call("GET", "/api/v1/client", ""), 401, "")
	if a := other.call("GET", "/api/v1/client", ""); a.status != 200 {
		t.Errorf("another client's token: %d, want 200", a.status)
	}
}

func TestAdministrator(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root := f.administrator()
	c, address := f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t))
	cert, _ := c.identity(id, "program")
	p := f.connect(address, cert)
	items := root.call("GET", "/api/v1/admin/clients", "").object(t)["items"].([]any)
	if len(items) != 2 || items[0].(map[string]any)["admin"] != true || items[1].(map[string]any)["connections"] != 1.0 || items[1].(map[string]any)["frontends"] != 1.0 {
		t.Errorf("got %v, want the administrator, and a client with 1 connection and 1 frontend", items)
	}
	one := "/api/v1/admin/clients/" + c.uuid
	for _, call := range []struct{ method, path, body string }{
		{"GET", "/api/v1/admin/clients", ""}, {"PATCH", one, `{"disabled":true}`}, {"DELETE", one, ""}, {"POST", one + "/key", ""},
	} {
		wantProblem(t, c.call(call.method, call.path, call.body), 403, "")
		wantProblem(t, f.do(call.method, call.path, strings.NewReader(call.body), "Content-Type", "application/json"), 401, "")
	}
	if a := root.call("PATCH", one, `{"disabled":true}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	p.ends(t)
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("a disabled client was let in")
	}
	if a := f.tokenFor(c.uuid, c.key); a.status != 403 {
		t.Errorf("a disabled client's key: %d, want 403", a.status)
	}
	wantProblem(t, root.call("PATCH", "/api/v1/admin/clients/"+root.uuid, `{"disabled":true}`), 422, "body.disabled")
	root.call("PATCH", one, `{"disabled":false}`)
	f.connect(address, cert)
	key := root.call("POST", one+"/key", "").object(t)["key"].(string)
	if old, fresh := f.tokenFor(c.uuid, c.key), f.tokenFor(c.uuid, key); old.status != 401 || fresh.status != 200 {
		t.Errorf("the old key %d, the new one %d", old.status, fresh.status)
	}
	if a := root.call("DELETE", one, ""); a.status != 204 {
		t.Errorf("%d %s, want 204", a.status, a.body)
	}
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("a deleted client was let in")
	}
	wantProblem(t, root.call("DELETE", one, ""), 404, "")
}

// The private key stays where it was made.
func TestCertificateForARequest(t *testing.T) {
	f := start(t)
	c, address := f.signUp("testuser"), f.balance()
	id, dir := c.frontend(echoes(t)), t.TempDir()
	csr := filepath.Join(dir, "csr.pem")
	make := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("openssl", append([]string{"req", "-new", "-nodes", "-keyout", filepath.Join(dir, "key.pem"), "-out", csr, "-subj", "/CN=somebody else"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v %s", err, out)
		}
		text, err := os.ReadFile(csr)
		must(t, err)
		return string(text)
	}
	send := func(body map[string]any) answer {
		text, err := json.Marshal(body)
		must(t, err)
		return c.call("POST", "/api/v1/client/frontend/"+id+"/tls", string(text))
	}
	for _, key := range [][]string{{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}, {"-newkey", "rsa:2048"}, {"-newkey", "ed25519"}} {
		a := send(map[string]any{"csr": make(key...), "name": "own key"})
		if a.status != 200 || strings.Contains(a.body, `"key"`) {
			t.Fatalf("%v: %d %s", key, a.status, a.body)
		}
		certPEM, err := base64.StdEncoding.DecodeString(a.object(t)["certificate"].(string))
		must(t, err)
		keyPEM, err := os.ReadFile(filepath.Join(dir, "key.pem"))
		must(t, err)
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		must(t, err)
		if pair.Leaf.Subject.CommonName == "somebody else" || pair.Leaf.Subject.Organization[0] != c.uuid {
			t.Errorf("the request chose the name: %s", pair.Leaf.Subject)
		}
		f.connect(address, pair)
	}
	good := make("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
	damaged := []byte(good)
	damaged[len(damaged)-50] ^= 1
	for name, body := range map[string]map[string]any{
		"no PEM": {"csr": "hello"}, "a weak key": {"csr": make("-newkey", "rsa:1024")}, "damaged": {"csr": string(damaged)}, "large": {"csr": strings.Repeat(good, 200)},
	} {
		if a := send(body); a.status != 422 || !strings.Contains(a.body, "body.csr") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for format, heading := range map[string]string{"": "RSA PRIVATE KEY", "pkcs1": "RSA PRIVATE KEY", "pkcs8": "PRIVATE KEY"} {
		body := map[string]any{"keyType": "rsa-2048"}
		if format != "" {
			body["keyFormat"] = format
		}
		a := send(body)
		key, err := base64.StdEncoding.DecodeString(a.object(t)["key"].(string))
		must(t, err)
		if block, _ := pem.Decode(key); block == nil || block.Type != heading {
			t.Errorf("keyFormat %q: %.40s", format, key)
		}
	}
	for _, body := range []map[string]any{{"keyType": "ecdsa-p256", "keyFormat": "pkcs1"}, {"csr": good, "keyFormat": "pkcs8"}, {"keyFormat": "der"}} {
		if a := send(body); a.status != 422 || !strings.Contains(a.body, "body.keyFormat") {
			t.Errorf("%v: %d %s", body, a.status, a.body)
		}
	}
	if a := send(map[string]any{"csr": good, "keyType": "rsa-3072"}); a.status != 422 || !strings.Contains(a.body, "body.keyType") {
		t.Errorf("got %d %s, want 422 that names body.keyType", a.status, a.body)
	}
}

// openssl believes the list of what was revoked.
func TestRevocationList(t *testing.T) {
	f := start(t)
	c := f.signUp("testuser")
	id, dir := c.frontend("10.0.0.1:80"), t.TempDir()
	_, revoked := c.identity(id, "lost")
	_, good := c.identity(id, "kept")
	fetch := func() (text string, list *x509.RevocationList) {
		t.Helper()
		a := f.do("GET", "/api/v1/crl", nil)
		if a.status != 200 || a.header.Get("Content-Type") != "application/pkix-crl" {
			t.Fatalf("got %d %s, want 200 and a CRL", a.status, a.header.Get("Content-Type"))
		}
		list, err := x509.ParseRevocationList([]byte(a.body))
		must(t, err)
		file := filepath.Join(dir, "crl")
		must(t, os.WriteFile(file, []byte(a.body), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), []byte(f.do("GET", "/api/v1/ca.pem", nil).body), 0o600))
		out, err := exec.Command("openssl", "crl", "-inform", "DER", "-in", file, "-noout", "-text", "-CAfile", filepath.Join(dir, "ca.pem")).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "verify OK") {
			t.Fatalf("openssl: %v %s", err, out)
		}
		return strings.ToLower(string(out)), list
	}
	if _, list := fetch(); len(list.RevokedCertificateEntries) != 0 {
		t.Errorf("got %v, want none", list.RevokedCertificateEntries)
	}
	c.revoke(id, revoked, "?reason=key-compromise")
	text, list := fetch()
	if len(list.RevokedCertificateEntries) != 1 || !strings.Contains(text, revoked) || strings.Contains(text, good) || !strings.Contains(text, "key compromise") {
		t.Errorf("got %s, want the revoked one alone, with its reason", text)
	}
	if again := f.do("GET", "/api/v1/crl", nil); again.body != string(list.Raw) {
		t.Error("it was signed again though nothing had changed")
	}
}

// An invite lets one client in, once, however many come with it at the same time.
func TestInvites(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "invite" })
	root := f.administrator()
	signUp := func(code string) answer {
		return f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"new","code":"`+code+`"}`), "Content-Type", "application/json")
	}
	wantProblem(t, f.do("POST", "/api/v1/client", strings.NewReader(`{"name":"new"}`), "Content-Type", "application/json"), 403, "body.code")
	made := root.call("POST", "/api/v1/admin/invites", "")
	code, id := made.object(t)["code"].(string), made.object(t)["id"].(string)
	if made.status != 201 || len(code) < 32 || made.header.Get("Location") != "/api/v1/admin/invites/"+id {
		t.Fatalf("got %d %s, want 201 with a code and its address", made.status, made.body)
	}
	if list := root.call("GET", "/api/v1/admin/invites", ""); strings.Contains(list.body, code) || len(list.object(t)["items"].([]any)) != 1 {
		t.Errorf("got %s, want one, without its code", list.body)
	}
	statuses := make(chan int, 20)
	for range cap(statuses) {
		go func() { statuses <- signUp(strings.ToUpper(code)).status }()
	}
	in := 0
	for range cap(statuses) {
		if <-statuses == 201 {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d got in with one invite, want 1", in)
	}
	back := root.call("POST", "/api/v1/admin/invites", "").object(t)
	if a := root.call("DELETE", "/api/v1/admin/invites/"+back["id"].(string), ""); a.status != 204 {
		t.Errorf("%d %s, want 204", a.status, a.body)
	}
	wantProblem(t, signUp(back["code"].(string)), 403, "body.code")
	if a := f.do("GET", "/signup", nil); !strings.Contains(a.body, "Invite code") {
		t.Error("the page asks for no invite")
	}
	third := root.call("POST", "/api/v1/admin/invites", "").object(t)["code"].(string)
	if a := f.postForm("/signup", "name=page&code="+third); a.status != 201 {
		t.Errorf("by the page: %d, want 201", a.status)
	}
	if strings.Contains(f.log.String(), third) {
		t.Error("a code is in the log")
	}
}

// The administrator sets limits, the client sees them against its use, and they hold at once.
func TestLimitsOfAClient(t *testing.T) {
	f := start(t, func(c *control.Config) { c.SetupCode, c.Signup = "let-me-in", "open" })
	root, c, address := f.administrator(), f.signUp("testuser"), f.balance()
	id := c.frontend(echoes(t), echoes(t))
	cert, _ := c.identity(id, "program")
	limits := func() map[string][2]float64 {
		t.Helper()
		all := map[string][2]float64{}
		for _, one := range c.call("GET", "/api/v1/client/limits", "").object(t)["items"].([]any) {
			v := one.(map[string]any)
			all[v["name"].(string)] = [2]float64{v["used"].(float64), v["max"].(float64)}
		}
		return all
	}
	if got := limits(); got["frontends"] != [2]float64{1, 100} || got["routesPerFrontend"] != [2]float64{2, 256} || got["certificates"] != [2]float64{1, 1000} ||
		got["connections"] != [2]float64{0, 10_000} || got["bytesPerSec"] != [2]float64{0, 0} {
		t.Errorf("got %v, want the defaults", got)
	}
	set := func(body string) answer {
		return root.call("PATCH", "/api/v1/admin/clients/"+c.uuid, `{"limits":`+body+`}`)
	}
	held := f.connect(address, cert)
	if a := set(`{"frontends":1,"routesPerFrontend":1,"certificates":1,"connections":1}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	if got := limits(); got["connections"] != [2]float64{1, 1} || got["frontends"] != [2]float64{1, 1} {
		t.Errorf("got %v, want 1 of 1 connections and 1 of 1 frontends", got)
	}
	wantProblem(t, c.call("POST", "/api/v1/client/frontend", `{"routes":[{"dest":"10.0.0.1:80"}]}`), 403, "")
	wantProblem(t, c.call("POST", "/api/v1/client/frontend/"+id+"/tls", `{"keyType":"ecdsa-p256"}`), 403, "")
	if a := c.call("PATCH", "/api/v1/client/frontend/"+id, `{"routes":[{"dest":"10.0.0.1:80"},{"dest":"10.0.0.2:80"}]}`); a.status != 422 {
		t.Errorf("two routes: %d, want 422", a.status)
	}
	if _, err := f.echo(address, clientOf(cert)); err == nil {
		t.Error("a second connection was let in")
	}
	if !held.works() {
		t.Error("what was there before the limit was closed")
	}
	if a := set(`{"connections":null,"certificates":0}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	if got := limits(); got["connections"][1] != 10_000 || got["certificates"][1] != 0 || got["frontends"][1] != 1 {
		t.Errorf("got %v, want 10,000 connections, no bound of certificates and 1 frontend", got)
	}
	f.connect(address, cert)
	set(`{"connectionsPerSec":1}`)
	refused := 0
	for range 5 {
		if _, err := f.echo(address, clientOf(cert)); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("five connections in a second, where one may come")
	}
	wantProblem(t, set(`{"connections":-1}`), 422, "body.limits.connections")
	wantProblem(t, set(`{"conections":1}`), 422, "body.limits.conections")
	if a := set(`{"requestsPerSec":2}`); a.status != 200 {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	for range 10 {
		if a := c.call("GET", "/api/v1/client", ""); a.status == 429 {
			if a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return
		}
	}
	t.Error("ten requests in a moment, where two in a second may come")
}
